"""What fills MASK and TENSOR columns: selected masks, lists, nested lists, parameters, files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tensorsql
from tensorsql.errors import BindError, ConversionError, TypeMismatchError


@pytest.fixture
def con() -> Iterator[tensorsql.Connection]:
    connection = tensorsql.connect()
    yield connection
    connection.close()


def column(con: tensorsql.Connection, sql: str) -> list[Any]:
    """The only column's values, tensors as lists."""
    found = [value for (value,) in con.execute(sql).fetchall()]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in found]


def nested(random: np.random.Generator, depth: int) -> Any:
    """Lists in lists, often of two, with NULLs on every level."""
    if random.random() < 0.08:
        return None
    if depth == 0:
        return float(random.integers(-3, 4))
    return [nested(random, depth - 1) for _ in range(random.choice([2, 2, 2, 2, 2, 1, 3, 0]))]


def is_shape(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether the value is lists of exactly this shape with a number everywhere."""
    if not shape:
        return value is not None
    if value is None or len(value) != shape[0]:
        return False
    return all(is_shape(each, shape[1:]) for each in value)


@pytest.mark.parametrize("shape", [(2,), (2, 2), (2, 2, 2), (1,), (3, 2)])
def test_lists_of_the_shape_become_tensors(
    con: tensorsql.Connection, shape: tuple[int, ...]
) -> None:
    """CAST takes lists of exactly the shape, TRY_CAST gives NULL for others; back to lists too."""
    random = np.random.default_rng(len(shape))
    values = [nested(random, len(shape)) for _ in range(300)]
    kind = pa.float64()
    for _ in shape:
        kind = pa.list_(kind)
    con.register("lists", pa.table({"i": range(300), "v": pa.array(values, kind)}))
    name = f"TENSOR({', '.join(map(str, shape))})"
    expected = [value if is_shape(value, shape) else None for value in values]
    assert any(each is not None for each in expected) or shape == (3, 2)
    found = column(con, f"SELECT TRY_CAST(v AS {name}) FROM lists ORDER BY i")
    assert found == expected
    back = f"CAST(TRY_CAST(v AS {name}) AS DOUBLE{'[]' * len(shape)})"
    assert column(con, f"SELECT {back} FROM lists ORDER BY i") == expected
    wrong = [i for i, value in enumerate(values) if value is not None and expected[i] is None]
    with pytest.raises(ConversionError, match="none NULL"):
        con.execute(f"SELECT CAST(v AS {name}) FROM lists WHERE i = {wrong[0]}")
    right = f"FROM lists WHERE TRY_CAST(v AS {name}) IS NOT NULL ORDER BY i"
    kept = [value for value in expected if value is not None]
    assert column(con, f"SELECT CAST(v AS {name}) {right}") == kept


def test_every_way_into_a_tensor_column(con: tensorsql.Connection, tmp_path: Path) -> None:
    lists = pa.array([[1, 2], None], pa.list_(pa.float32()))
    pq.write_table(pa.table({"v": lists}), tmp_path / "lists.parquet")
    con.register("array", {"v": np.array([[9, 8]], np.float32)})
    con.execute("CREATE TABLE t (i INTEGER, v TENSOR(2))")
    con.execute("INSERT INTO t VALUES (0, [1, 2]), (1, [0.5, -1]), (2, NULL)")
    con.execute("INSERT INTO t VALUES (3, ?)", [[3, 4]])
    con.execute("INSERT INTO t SELECT 4, [x, x + 1] FROM range(2) r(x)")
    con.execute(f"INSERT INTO t SELECT 5, v FROM '{tmp_path}/lists.parquet'")
    con.execute("INSERT INTO t SELECT 6, v FROM array")
    con.execute("UPDATE t SET v = [7, 7] WHERE i = 2")
    expected = [[1, 2], [0.5, -1], [3, 4], [0, 1], [1, 2], [1, 2], None, [9, 8], [7, 7]]
    assert column(con, "SELECT v FROM t") == expected
    for bad in ("[1]", "[1, NULL]", "[1e60, 0]"):
        with pytest.raises(ConversionError, match=r"TENSOR\(2\), which takes 2 float32 numbers"):
            con.execute(f"INSERT INTO t VALUES (9, {bad})")
    for bad in ("[[1, 2]]", "[DATE '2020-01-01']", "1"):
        with pytest.raises(BindError, match="TENSOR"):
            con.execute(f"INSERT INTO t VALUES (9, {bad})")
    assert column(con, "SELECT count(*) FROM t") == [9]


@pytest.fixture
def masks(con: tensorsql.Connection) -> tensorsql.Connection:
    """`bytes` and `floats`: three 2 × 2 masks of 0, 20, … 220 of 255, by 8 bits and as floats."""
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) * 20
    con.register_masks("bytes", pixels)
    con.register_masks("floats", pixels.astype(np.float32) / 255)
    return con


FILLS = [
    "INSERT INTO t SELECT index, mask FROM {source}",
    "INSERT INTO t SELECT index, CASE WHEN index < 3 THEN mask END FROM {source}",
    "INSERT INTO t SELECT index, mask FROM {source} WHERE index < 2 UNION ALL "
    "SELECT index, mask FROM {source} WHERE index = 2",
    "INSERT INTO t (k, i) SELECT mask, index FROM {source}",
    "INSERT INTO t SELECT index, NULL FROM {source}; "
    "UPDATE t SET k = (SELECT mask FROM {source} WHERE index = t.i)",
]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("source", ["bytes", "floats"])
def test_a_mask_column_without_scale_takes_that_of_its_first_masks(
    masks: tensorsql.Connection, fill: str, source: str
) -> None:
    masks.execute("CREATE TABLE t (i INTEGER, k MASK)")
    masks.execute("INSERT INTO t SELECT index, mask FROM bytes WHERE false")
    masks.execute(fill.format(source=source))
    counted = column(masks, "SELECT CP(k, -, (0.1, 1)) FROM t ORDER BY i")
    assert counted == column(masks, f"SELECT CP(mask, -, (0.1, 1)) FROM {source} ORDER BY index")
    other = "floats" if source == "bytes" else "bytes"
    with pytest.raises(TypeMismatchError, match="MASK"):
        masks.execute(f"INSERT INTO t SELECT index, mask FROM {other}")
    masks.execute("INSERT INTO t VALUES (7, NULL)")
    masks.execute("INSERT INTO t SELECT * FROM t")
    assert column(masks, "SELECT count(*) FROM t") == [8]


def test_masks_of_one_scale_and_two_dtypes_say_so(masks: tensorsql.Connection) -> None:
    masks.execute("CREATE TABLE t AS SELECT mask FROM floats")
    masks.register_masks("doubles", np.zeros((1, 2, 2)))
    with pytest.raises(TypeMismatchError, match=r"of float64 to MASK\(1\) of float32"):
        masks.execute("INSERT INTO t SELECT mask FROM doubles")


WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
ELEMENTS = (*WHOLE, "float16", "float32", "float64")


def fits(numbers: np.ndarray, element: str) -> bool:
    """Whether numbers, rounded, are within the range of a dtype."""
    kind = np.dtype("uint8" if element == "bool" else element)
    if kind.kind == "f":
        return all(abs(float(n)) <= np.finfo(kind).max or not np.isfinite(n) for n in numbers)
    limits = np.iinfo(kind)
    return all(np.isfinite(n) and limits.min <= round(n.item()) <= limits.max for n in numbers)


@pytest.mark.parametrize("target", ELEMENTS)
def test_numbers_of_every_dtype_fit_or_are_refused(con: tensorsql.Connection, target: str) -> None:
    """From tensors of every dtype and from lists; nothing wraps."""
    con.register("goal", {"v": np.zeros((1, 2), target)})
    con.execute("CREATE TABLE t AS SELECT * FROM goal")
    for source in ("int64", "uint64", "uint8", "float16", "float64"):
        kind = np.dtype(source)
        edges = [-1.0, 2.5, 300.0, 60000.0, np.nan, np.inf]
        if kind.kind != "f":
            edges = [np.iinfo(kind).min, np.iinfo(kind).max]
        for edge in edges:
            numbers = np.array([1, edge], kind)
            con.register("given", {"v": numbers[None]})
            con.execute("DELETE FROM t")
            for sql in ("SELECT v FROM given", "SELECT CAST(v AS DOUBLE[]) FROM given"):
                if "DOUBLE" in sql and kind.kind != "f" and abs(int(edge)) > 2**53:
                    continue
                try:
                    con.execute(f"INSERT INTO t {sql}")
                except ConversionError:
                    assert not fits(numbers, target), (source, numbers)
                else:
                    assert fits(numbers, target), (source, numbers)
                    found = column(con, "SELECT v FROM t LIMIT 1")[0]
                    if np.dtype(target).kind == "f":
                        wanted = numbers.astype(target)
                        assert np.array_equal(found, wanted, equal_nan=True), (source, numbers)
                    else:
                        assert found == [round(n.item()) for n in numbers], (source, numbers)


@pytest.mark.parametrize("empty", ["[]", "[[]]", "[[], []]", "?"])
def test_empty_lists_are_no_tensors(con: tensorsql.Connection, empty: str) -> None:
    parameters = [np.zeros((0, 2))] if empty == "?" else []
    with pytest.raises(ConversionError, match="does not fit TENSOR"):
        con.execute(f"SELECT CAST({empty} AS TENSOR(2, 2))", parameters).fetchall()
    tried = f"SELECT TRY_CAST({empty} AS TENSOR(2, 2))"
    assert con.execute(tried, parameters).fetchall() == [(None,)]


NO_TENSORS = ("TENSOR", "TENSOR()", "TENSOR(0)", "TENSOR(2, 0)", "TENSOR(65536, 32768)")
NO_MASKS = ("MASK(0)", "MASK(4294967296)", f"MASK({10**40})", "MASK(1, 2)")


@pytest.mark.parametrize("name", [*NO_TENSORS, *NO_MASKS])
def test_types_that_hold_nothing_are_refused(con: tensorsql.Connection, name: str) -> None:
    with pytest.raises(BindError, match=r"TENSOR takes its sizes|MASK takes one number"):
        con.execute(f"CREATE TABLE t (v {name})")


def test_tensors_that_no_row_has_are_null(con: tensorsql.Connection) -> None:
    """An outer join with a table without rows gives NULLs that functions and operators take."""
    empty = pa.table({"i": pa.array([], pa.int64()), "v": pa.array([], pa.list_(pa.float32(), 3))})
    con.register("e", empty)
    con.register("f", pa.table({"i": [1], "v": pa.array([[1, 2, 3]], pa.list_(pa.float32(), 3))}))
    joined = "FROM f LEFT JOIN e ON f.i = e.i"
    for expression in ("e.v", "e.v = f.v", "CAST(e.v AS FLOAT[])", "e.v::VARCHAR"):
        assert column(con, f"SELECT {expression} {joined}") == [None]
    assert column(con, f"SELECT count(*) {joined} GROUP BY e.v") == [1]
    assert column(con, f"SELECT e.v {joined} UNION ALL SELECT v FROM f") == [None, [1, 2, 3]]
