"""Frames, arrays and Arrow in and out: the right value, or a refusal that says why."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_values import python
from test_round_trips import FLAT, NESTED, made, tables

import tensorsql
from tensorsql import errors
from tensorsql.storage.columns.types import Kind

DAY, NOON = dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, 12)
MIDNIGHT = dt.datetime(2020, 1, 2)
NANO = pd.Timestamp("2020-01-02 12:00:00.123456789")
ZONED = dt.datetime(2020, 1, 2, 12, tzinfo=dt.UTC)
WIDEST = 2**64 - 1


def arrow(values: list[Any], kind: pa.DataType) -> pa.Table:
    return pa.table({"a": pa.array(values, kind)})


def extension(kind: pa.DataType, values: list[Any]) -> pa.Table:
    return pa.table(
        {"a": pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))}
    )


def series(values: Any, dtype: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype)})


def polar(values: list[Any], dtype: Any = None) -> pl.DataFrame:
    return pl.DataFrame({"a": pl.Series(values, dtype=dtype)})


READ: dict[str, tuple[Any, str, list[Any]]] = {
    # pandas
    "int64": (series([1, 2]), "BIGINT", [1, 2]),
    "Int64": (series([2**53 + 1, None], "Int64"), "BIGINT", [2**53 + 1, None]),
    "UInt64": (series([WIDEST, None], "UInt64"), "HUGEINT", [WIDEST, None]),
    "boolean": (series([True, None], "boolean"), "BOOLEAN", [True, None]),
    "Float32": (series([1.5, None], "Float32"), "FLOAT", [1.5, None]),
    "float": (series([1.5, None]), "DOUBLE", [1.5, None]),
    "string": (series(["x", None], "string"), "VARCHAR", ["x", None]),
    "ArrowDtype": (series([2**53 + 1, None], "int64[pyarrow]"), "BIGINT", [2**53 + 1, None]),
    "datetime64[ns]": (series([NOON, None], "datetime64[ns]"), "TIMESTAMP", [NOON, None]),
    "datetime64[s]": (series([NOON, None], "datetime64[s]"), "TIMESTAMP", [NOON, None]),
    "timedelta": (series([dt.timedelta(1), None]), "INTERVAL", [dt.timedelta(1), None]),
    "category": (series(pd.Categorical(["b", "a", None])), "VARCHAR", ["b", "a", None]),
    "category of ints": (series(pd.Categorical([3, 1, None])), "BIGINT", [3, 1, None]),
    "sparse": (series(pd.arrays.SparseArray([0, 1])), "BIGINT", [0, 1]),
    "objects": (series(["x", None, "y"], object), "VARCHAR", ["x", None, "y"]),
    "object dates": (series([DAY, None], object), "DATE", [DAY, None]),
    "mixed moments": (series([DAY, NOON, pd.NaT], object), "TIMESTAMP", [MIDNIGHT, NOON, None]),
    "wide objects": (series([2**70, None], object), "DECIMAL(38,0)", [2**70, None]),
    "a series": (pd.Series([1, 2]), "BIGINT", [1, 2]),
    # Python
    "mixed moments, time first": ({"a": [NOON, DAY]}, "TIMESTAMP", [NOON, MIDNIGHT]),
    "NaT": ({"a": [pd.NaT, pd.Timestamp(NOON)]}, "TIMESTAMP", [None, NOON]),
    "NA": ({"a": [pd.NA, 1]}, "BIGINT", [None, 1]),
    "NaN and None": ({"a": [1.0, None]}, "DOUBLE", [1.0, None]),
    "beyond int64": ({"a": [2**63]}, "HUGEINT", [2**63]),
    "decimals": ({"a": [Decimal("1.5"), 2]}, "DECIMAL(2,1)", [Decimal("1.5"), Decimal("2.0")]),
    "nothing": ({"a": [None]}, "NULL", [None]),
    "UUID": ({"a": [uuid.UUID(int=1)]}, "UUID", [uuid.UUID(int=1)]),
    "dictionaries": ({"a": [{"d": DAY, "t": NOON}]}, "STRUCT(d DATE, t TIMESTAMP)",
                     [{"d": DAY, "t": NOON}]),
    # numpy
    "uint64": ({"a": np.array([WIDEST], "u8")}, "HUGEINT", [WIDEST]),
    "float16": ({"a": np.array([1.5], "f2")}, "FLOAT", [1.5]),
    "other byte order": ({"a": np.array([1, 2], ">i4")}, "INTEGER", [1, 2]),
    "bytes": ({"a": np.array([b"x"])}, "BLOB", [b"x"]),
    "text": ({"a": np.array(["x"])}, "VARCHAR", ["x"]),
    "days": ({"a": np.array(["2020-01-02", "NaT"], "M8[D]")}, "DATE", [DAY, None]),
    "seconds": ({"a": np.array([1], "m8[s]")}, "INTERVAL", [dt.timedelta(seconds=1)]),
    "masked": ({"a": np.ma.array([1, 2], mask=[0, 1])}, "BIGINT", [1, None]),
    "structured": (np.array([(1,)], [("a", "i4")]), "INTEGER", [1]),
    "masked structured": (np.ma.array(np.array([(1,), (2,)], [("a", "i4")]), mask=[(1,), (0,)]),
                          "INTEGER", [None, 2]),
    "foreign booleans": ({"a": np.array([255, 0], "u1").view("?")}, "BOOLEAN", [True, False]),
    # torch
    "bfloat16": ({"a": torch.tensor([1.5], dtype=torch.bfloat16)}, "FLOAT", [1.5]),
    "torch.uint16": ({"a": torch.tensor([65535], dtype=torch.uint16)}, "INTEGER", [65535]),
    "torch.uint64": ({"a": torch.tensor([WIDEST], dtype=torch.uint64)}, "HUGEINT", [WIDEST]),
    "torch.half": ({"a": torch.tensor([1.5]).half()}, "FLOAT", [1.5]),
    "gradients": ({"a": torch.ones(1, requires_grad=True)}, "FLOAT", [1.0]),
    "lazily negated": ({"a": torch.complex(torch.ones(1), torch.ones(1)).conj().imag},
                       "FLOAT", [-1.0]),
    # polars
    "Categorical": (polar(["x", "y", None], pl.Categorical), "VARCHAR", ["x", "y", None]),
    "Enum": (polar(["x", None], pl.Enum(["y", "x"])), "VARCHAR", ["x", None]),
    "pl.String": (polar(["x", None]), "VARCHAR", ["x", None]),
    "pl.Datetime(ns)": (polar([NOON], pl.Datetime("ns")), "TIMESTAMP", [NOON]),
    "pl.Time": (polar([dt.time(1, 2)]), "TIME", [dt.time(1, 2)]),
    "pl.Decimal": (polar([Decimal("1.5")], pl.Decimal(9, 2)), "DECIMAL(9,2)", [Decimal("1.50")]),
    "pl.List": (polar([[1], None]), "BIGINT[]", [[1], None]),
    "pl.Null": (polar([None]), "NULL", [None]),
    "pl.Series": (pl.Series("a", [1]), "BIGINT", [1]),
    # Arrow
    "large_string": (arrow(["x"], pa.large_string()), "VARCHAR", ["x"]),
    "string_view": (arrow(["x"], pa.string_view()), "VARCHAR", ["x"]),
    "dictionary": (arrow(["x", None], pa.dictionary(pa.int8(), pa.string())),
                   "VARCHAR", ["x", None]),
    "map": (arrow([[("x", 1)]], pa.map_(pa.string(), pa.int64())),
            "STRUCT(key VARCHAR, value BIGINT)[]",
            [[{"key": "x", "value": 1}]]),
    "duration": (arrow([1000], pa.duration("ns")), "INTERVAL", [dt.timedelta(microseconds=1)]),
    "time64[ns]": (arrow([1000], pa.time64("ns")), "TIME", [dt.time(0, 0, 0, 1)]),
    "decimal256": (arrow([Decimal("1.50")], pa.decimal256(38, 2)),
                   "DECIMAL(38,2)", [Decimal("1.50")]),
    "half": (arrow([np.float16(1.5)], pa.float16()), "FLOAT", [1.5]),
    "arrow.uuid": (extension(pa.uuid(), [b"\0" * 15 + b"\1"]), "UUID", [uuid.UUID(int=1)]),
    "arrow.bool8": (extension(pa.bool8(), [1, 0, None]), "BOOLEAN", [True, False, None]),
    "arrow.json": (extension(pa.json_(), ["1"]), "VARCHAR", ["1"]),
}  # fmt: skip

REFUSED: dict[str, tuple[Any, str]] = {
    "nanoseconds": (series([NANO]), "nanoseconds"),
    "nanoseconds as objects": (series([NANO], object), "nanoseconds"),
    "nanoseconds in a list": ({"a": [[NANO]]}, "nanoseconds"),
    "numpy nanoseconds": ({"a": np.array([1], "M8[ns]")}, "nanoseconds"),
    "numpy nanosecond spans": ({"a": np.array([1], "m8[ns]")}, "nanoseconds"),
    "Arrow nanoseconds": (arrow([1], pa.timestamp("ns")), "nanoseconds"),
    "Arrow nanoseconds of a day": (arrow([1], pa.time64("ns")), "nanoseconds"),
    "nested nanoseconds": (arrow([[1]], pa.list_(pa.timestamp("ns"))), "nanoseconds"),
    "interval nanoseconds": (arrow([(1, 2, 3)], pa.month_day_nano_interval()), "nanoseconds"),
    "zone": (series([ZONED]), "time zone, and this has UTC"),
    "zone elsewhere": (series([NOON]).a.dt.tz_localize("Europe/Paris").to_frame(), "Europe/Paris"),
    "zone as objects": ({"a": [ZONED]}, "has a time zone"),
    "zones beside none": ({"a": [NOON, ZONED]}, "has a time zone"),
    "zone of a time": ({"a": [dt.time(1, tzinfo=dt.UTC)]}, "has a time zone"),
    "zone in a struct": (arrow([{"x": 1}], pa.struct([("x", pa.timestamp("us", "UTC"))])),
                         "time zone"),
    "polars zone": (polar([ZONED]), "time zone"),
    "too far": (arrow([2**62], pa.timestamp("s")), "out of bounds"),
    "period": (series(pd.period_range("2020", periods=2, freq="M")), "type pandas.period"),
    "interval": (series(pd.interval_range(0, 2)), "extension type pandas.interval"),
    "opaque": (extension(pa.opaque(pa.int8(), "x", "y"), [1]), "extension type arrow.opaque"),
    "int beside str": (series([1, "x"], object), "Could not convert"),
    "bool beside int": ({"a": [True, 2]}, "Could not convert"),
    "str beside bytes": ({"a": ["x", b"y"]}, "mixes str and bytes"),
    "float beside a wide int": ({"a": [2**53 + 1, 0.5]}, "outside of the range exactly"),
    "beyond 38 digits": ({"a": [10**40]}, "beyond 38 digits"),
    "sets": ({"a": [{1, 2}]}, "a set has no order"),
    "surrogates": ({"a": ["\ud800"]}, "surrogates"),
    "mixed moments in a list": ({"a": [[DAY, NOON]]}, "mixes dates and datetimes"),
    "complex": ({"a": np.array([1j])}, "complex128"),
    "long double": ({"a": np.array([1], "g")}, "numpy arrays of"),
    "months": ({"a": np.array(["2020-01"], "M8[M]")}, r"datetime64\[M\]"),
    "void": ({"a": np.zeros(1, "V4")}, r"numpy arrays of \|V4"),
    "rows masked in part": (np.ma.array(np.ones((1, 2, 2)), mask=[[[1, 0], [0, 0]]]),
                            "hidden in part"),
    "torch complex": (torch.ones(1, dtype=torch.complex64), "complex64"),
    "torch float8": (torch.ones(1).to(torch.float8_e4m3fn), "float8"),
    "torch sparse": (torch.eye(2).to_sparse(), "to_dense"),
    "torch meta": (torch.ones(1, device="meta"), "torch tensor of torch.float32"),
    "pl.Object": (polar([object()], pl.Object), "holds Python objects"),
    "pl.LazyFrame": (pl.LazyFrame({"a": [1]}), r"collect\(\)"),
    "union": (pa.table([pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])],
                       ["a"]), "union"),
    "decimal256": (arrow([Decimal(10) ** 50], pa.decimal256(60, 0)), "38 digits"),
    "NULL in a row": (arrow([[1, None]], pa.list_(pa.int8(), 2)), "cannot be NULL"),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name: str) -> None:
    value, kind, expected = READ[name]
    with tensorsql.connect() as connection:
        found = connection.register("t", value).execute("SELECT * FROM t")
        assert [str(column[1]) for column in found.description or ()] == [kind]
        assert [row[0] for row in found.fetchall()] == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    value, message = REFUSED[name]
    with tensorsql.connect() as connection:
        refusals = (errors.UnsupportedError, errors.ConversionError)
        with pytest.raises(refusals, match=message):
            connection.register("t", value).execute("SELECT * FROM t").fetchall()


def test_masked_rows_are_null() -> None:
    masked = np.ma.array(np.ones((2, 2, 2), "f4"), mask=[np.ones((2, 2)), np.zeros((2, 2))])
    with tensorsql.connect() as connection:
        connection.register("t", {"x": masked})
        first, second = connection.execute("SELECT x FROM t").fetchall()
        assert first == (None,) and second[0].tolist() == [[1, 1], [1, 1]]
        with pytest.raises(errors.ConversionError, match="a pixel cannot be NULL"):
            connection.register_masks("m", np.ma.array(np.ones((1, 2, 2), "f4"), mask=True))


@pytest.mark.parametrize(
    "value",
    [
        pa.table([[1], [2], [3]], names=["a", "A", "a"]),
        pd.DataFrame([[1, 2, 3]], columns=["a", "A", "a"]),
        {"a": [1], "A": [2], "a_2": [3]},
    ],
)
def test_names_that_differ_by_case(value: Any) -> None:
    with tensorsql.connect() as connection:
        found = connection.register("t", value).execute("SELECT * FROM t")
        assert [name for name, *_ in found.description or ()] == ["a", "A_1", "a_2"]
        assert found.fetchall() == [(1, 2, 3)]
        assert connection.execute("SELECT A_1 FROM t").fetchall() == [(2,)]


def test_parquet_names_and_zones(tmp_path: Path) -> None:
    moments = pa.array([NOON], pa.timestamp("us", "Europe/Paris"))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array(["x"]), moments], ["a", "A", "t"]), path)
    with tensorsql.connect() as connection:
        assert connection.execute(f"SELECT a, a_1 FROM '{path}'").fetchall() == [(1, "x")]
        with pytest.raises(errors.ConversionError, match=r"Europe/Paris.*utc => true"):
            connection.execute(f"SELECT t FROM '{path}'").fetchall()
        sql = f"SELECT t FROM read_parquet('{path}', utc => true)"
        assert connection.execute(sql).fetchall() == [(NOON,)]


def test_executemany_keeps_each_value() -> None:
    with tensorsql.connect() as connection:
        connection.execute("CREATE TABLE t (a VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?)", [[1], [2.5], [DAY], [NOON], ["x"]])
        rows = connection.execute("SELECT a FROM t").fetchall()
        assert [row[0] for row in rows] == ["1", "2.5", "2020-01-02", "2020-01-02 12:00:00", "x"]


# out


def test_frames_compute() -> None:
    """No column is of objects, whatever is NULL."""
    with tensorsql.connect() as connection:
        frame = connection.execute(
            "SELECT * FROM (VALUES (9007199254740993, 1.50, DATE '2020-01-02', TRUE, 1.5::DOUBLE, "
            "TIMESTAMP '2020-01-02 12:00:00', INTERVAL 36 HOURS), "
            "(NULL, NULL, NULL, NULL, NULL, NULL, NULL)) AS t(i, m, d, b, x, t, v)"
        ).df()
        assert frame["i"].iloc[0] == 9007199254740993
        assert (frame["m"] * 2).tolist() == [Decimal("3.00"), pd.NA]
        assert frame["d"].dt.year.tolist() == [2020, pd.NA]
        assert frame["t"].dt.hour.tolist() == [12, pd.NA]
        assert (frame["v"] * 2).iloc[0] == pd.Timedelta(hours=72)
        assert frame["b"].sum() == 1 and frame["x"].mean() == 1.5
        total = connection.execute("SELECT sum(range) AS s FROM range(5)").df()["s"]
        assert (total + 1).tolist() == [11] and total.mean() == 10.0
        wide = connection.execute("SELECT 100000000000000000000::HUGEINT AS h").df()["h"]
        assert (wide + 1).tolist() == [10**20 + 1]
        assert all(isinstance(kind, pd.ArrowDtype) for kind in frame.dtypes)
        empty = connection.execute("SELECT 1::BIGINT AS i, 2.5 AS m WHERE false").df()
        assert [str(kind) for kind in empty.dtypes] == [
            "int64[pyarrow]",
            "decimal128(2, 1)[pyarrow]",
        ]


def test_frames_keep_the_shape_of_tensors() -> None:
    with tensorsql.connect() as connection:
        connection.register("t", {"x": torch.arange(12).reshape(2, 2, 3)})
        column = connection.execute("SELECT x FROM t").df()["x"]
        assert column[1].tolist() == [[6, 7, 8], [9, 10, 11]]
        connection.register("back", pd.DataFrame({"x": column}))
        found = connection.execute("SELECT x FROM back")
        assert str((found.description or ())[0][1]) == "TENSOR(2, 3)"
        assert found.fetchall()[1][0].tolist() == [[6, 7, 8], [9, 10, 11]]


def test_a_stream_can_be_asked_again() -> None:
    with tensorsql.connect() as connection:
        cursor = connection.execute("SELECT range AS a FROM range(5)")
        assert cursor.fetchone() == (0,)
        for _ in range(2):
            assert pa.table(cursor)["a"].to_pylist() == [1, 2, 3, 4]
        assert duckdb.sql("SELECT sum(a) FROM cursor").fetchall() == [(10,)]
        assert pl.DataFrame(cursor)["a"].to_list() == [1, 2, 3, 4]
        assert cursor.fetchall() == [(1,), (2,), (3,), (4,)]
        assert pa.table(cursor).num_rows == 0


OUTWARD = {
    "arrow": lambda cursor: cursor.fetch_arrow_table(),
    "stream": lambda cursor: pa.table(cursor),
    "pandas": lambda cursor: cursor.df(),
    "polars": lambda cursor: pl.DataFrame(cursor),
}
# what polars has no type for, and what pandas says in days
LEFT_OUT = {
    "polars": (Kind.INTERVAL, Kind.BOX, Kind.TENSOR),
    "pandas": (Kind.INTERVAL, Kind.TENSOR),
}


@pytest.mark.parametrize("way", OUTWARD)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_out_and_back_in(way: str, data: st.DataObject) -> None:
    kinds = [kind for kind in FLAT + NESTED if kind.kind not in LEFT_OUT.get(way, ())]
    drawn, content = data.draw(tables(kinds))
    with made(drawn, content) as connection:
        before = connection.execute("SELECT * FROM t").fetch_arrow_table()
        connection.register("given", OUTWARD[way](connection.execute("SELECT * FROM t")))
        connection.execute("INSERT INTO back SELECT * FROM given")
        after = connection.execute("SELECT * FROM back").fetch_arrow_table()
        assert [repr(python(c)) for c in after.columns] == [repr(python(c)) for c in before.columns]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_rows_out_and_back_in(data: st.DataObject) -> None:
    kinds = [kind for kind in FLAT if kind.kind not in (Kind.INTERVAL, Kind.ENUM)]
    drawn, content = data.draw(tables(kinds))
    with made(drawn, content) as connection:
        rows = connection.execute("SELECT * FROM t").fetchall()
        holes = ", ".join("?" * len(drawn))
        connection.executemany(f"INSERT INTO back VALUES ({holes})", rows)
        assert list(map(repr, connection.execute("SELECT * FROM back").fetchall())) == list(
            map(repr, rows)
        )
