"""Files as relations, and relations as files."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from storage_values import VALUES, columns, python

from tensorsql.errors import BindError, CorruptError, Error, IOError, UnsupportedError
from tensorsql.storage.columns import types
from tensorsql.storage.columns.arrow import to_arrow
from tensorsql.storage.formats import file_relation, write_file
from tensorsql.storage.formats.objects import is_table, relation
from tensorsql.storage.tables.catalog import Relation

SAMPLE = pa.table(
    {
        "a": pa.array([1, 2, None], pa.int32()),
        "s": ["x", "", 'x,"y\n'],
        "d": [dt.date(2020, 1, 1), None, dt.date(2021, 1, 1)],
        "f": [1.0, 2.5, None],
        "p": pa.array([Decimal("1.20"), None, Decimal("-3.00")], pa.decimal128(10, 2)),
        "t": [dt.datetime(2020, 1, 1, 1, 1, 1, 5), None, dt.datetime(2020, 1, 1)],
        "b": [True, None, False],
    }
)


def contents(found: Relation) -> dict[str, list[Any]]:
    reader = found.open()
    return {
        column.name: python(to_arrow(reader.read(column.name, 0, found.rows)))
        for column in found.schema.columns
    }


def csv_rows(path: Path, **options: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    found = contents(file_relation("read_csv", str(path), options))
    return list(found), list(zip(*found.values(), strict=True))


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_parquet_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    kinds = [kind for kind in VALUES if not kind.is_wide or kind.kind.name == "DECIMAL"]
    kinds = [kind for kind in kinds if kind.kind not in (types.Kind.INTERVAL, types.Kind.TENSOR)]
    kind = data.draw(st.sampled_from(kinds))
    array = data.draw(columns(kind))
    path = str(tmp_path_factory.mktemp("parquet") / "x.parquet")
    assert write_file(pa.table({"c": array}), path, {}) == len(array)
    found = file_relation("read_parquet", path, {})
    assert contents(found) == {"c": python(array)}


def test_parquet_statistics_and_globs(tmp_path: Path) -> None:
    for number in range(2):
        write_file(SAMPLE, str(tmp_path / f"{number}.parquet"), {"compression": "zstd"})
    found = file_relation("read_parquet", str(tmp_path / "*.parquet"), {})
    assert found.rows == 6 and found.identity is None
    assert (found.statistics["p"].minimum, found.statistics["p"].maximum) == (-300, 120)
    assert (
        found.statistics["d"].minimum
        == dt.date(2020, 1, 1).toordinal() - dt.date(1970, 1, 1).toordinal()
    )
    assert found.statistics["s"].non_null and not found.statistics["a"].non_null
    whole = SAMPLE.to_pydict()
    assert contents(found) == {name: values * 2 for name, values in whole.items()}
    listed = [str(tmp_path / "1.parquet"), str(tmp_path / "0.parquet")]
    assert file_relation("parquet_scan", listed, {}).rows == 6


def test_csv_as_duckdb_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    assert write_file(SAMPLE, str(path), {"header": True}) == 3
    theirs = duckdb.sql(f"SELECT * FROM read_csv('{path}', allow_quoted_nulls = false)")
    names, ours = csv_rows(path)
    assert names == theirs.columns and ours == theirs.fetchall()


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n2,y\n", "1,x\n2,y\n", "a|b\n1|2020-01-01\n", "a;b\n1;\n;2\n", "x,y\nz,w\n",
        "a\tb\n1.5\ttrue\n", "a,b\n", "a,b\n1,2\n\n", "n,t\n1,2020-01-01 10:11:12\n",
        'a,b\n"1,2",3\n',
    ],
)  # fmt: skip
def test_sniffing_as_duckdb(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    theirs = duckdb.sql(f"SELECT * FROM read_csv('{path}')")
    assert csv_rows(path) == (theirs.columns, theirs.fetchall())


def test_csv_options(tmp_path: Path) -> None:
    path = tmp_path / "x.tbl"
    path.write_text("1|a|2.50|\n2||NA|\n")
    kinds = (("k", types.BIGINT), ("w", types.VARCHAR), ("p", types.decimal(9, 2)))
    found = csv_rows(path, columns=kinds, delimiter="|", nullstr="NA")
    assert found == (["k", "w", "p"], [("1", "a", "2.50"), ("2", "", None)])  # text to be cast
    assert csv_rows(path, all_varchar=True, header=False)[1][0] == ("1", "a", "2.50", None)
    assert csv_rows(path, skip=1, header=False, sep="|")[1] == [(2, None, "NA", None)]
    with pytest.raises(BindError, match='a CSV file has no option "delm"; did you mean "delim"'):
        csv_rows(path, delm="|")
    with pytest.raises(CorruptError, match="line 1 has 4 fields where 2 are expected"):
        csv_rows(path, names=["a", "b"])


def test_json(tmp_path: Path) -> None:
    lines, array = tmp_path / "x.ndjson", tmp_path / "x.json"
    lines.write_text('{"a": 1, "b": [1, 2]}\n{"a": null}\n')
    array.write_text('[{"a": 1, "b": [1, 2]}, {"a": null}]')
    for path in (lines, array):
        found = contents(file_relation("read_json", str(path), {}))
        assert found == {"a": [1, None], "b": [[1, 2], None]}


def test_npy(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "b.npy", values[:1])
    np.save(tmp_path / "n.npy", np.arange(3, dtype=">i2"))
    found = file_relation("read_npy", str(tmp_path / "[ab].npy"), {})
    assert str(found.schema.columns[2].type) == "TENSOR(2, 2)"
    expected = [*values.reshape(3, 4).tolist(), values[0].reshape(4).tolist()]
    assert contents(found)["value"] == expected and contents(found)["index"] == [0, 1, 2, 0]
    assert contents(found)["filename"][3].endswith("b.npy")
    numbers = file_relation("read_npy", str(tmp_path / "n.npy"), {})
    assert contents(numbers)["value"] == [0, 1, 2]
    with pytest.raises(CorruptError, match="holds int16 rows"):
        file_relation("read_npy", [str(tmp_path / "a.npy"), str(tmp_path / "n.npy")], {})


def test_images(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "b.png")
    found = file_relation("read_images", str(tmp_path / "*.png"), {})
    assert str(found.schema.columns[4].type) == "TENSOR(3, 2, 4)"
    image = found.open().read("image", 0, 2).values
    assert torch.equal(image[0], torch.from_numpy(pixels).permute(2, 0, 1))
    Image.fromarray(pixels[:1]).save(tmp_path / "c.png")
    with pytest.raises(UnsupportedError, match=r"give a size => \(width, height\)"):
        file_relation("read_images", str(tmp_path / "*.png"), {})
    resized = file_relation("read_images", str(tmp_path / "*.png"), {"size": (2, 2)})
    assert contents(resized)["height"] == [2, 2, 1]
    assert resized.open().read("image", 0, 3).values.shape == (3, 3, 2, 2)


@pytest.mark.parametrize(
    "function", ["read_parquet", "read_csv", "read_json", "read_npy", "read_images"]
)
def test_bad_files_are_named(tmp_path: Path, function: str) -> None:
    corrupt = tmp_path / "corrupt.bin"
    corrupt.write_bytes(b"\x89\xff\x00nonsense\n")
    with pytest.raises(CorruptError, match=r"corrupt\.bin"):
        contents(file_relation(function, str(corrupt), {}))
    with pytest.raises(IOError, match=r'file ".*none" does not exist'):
        file_relation(function, str(tmp_path / "none"), {})
    with pytest.raises(IOError, match="no file matches"):
        file_relation(function, str(tmp_path / "*.none"), {})
    with pytest.raises(BindError, match='no option "frobnicate"'):
        file_relation(function, str(corrupt), {"frobnicate": 1})
    empty = tmp_path / "empty"
    empty.touch()
    if function in ("read_csv", "read_json"):  # a text of no rows
        assert list(contents(file_relation(function, str(empty), {})).values()) == [[]]
    else:
        with pytest.raises(Error, match="empty"):
            contents(file_relation(function, str(empty), {}))


def test_bad_writes(tmp_path: Path) -> None:
    with pytest.raises(IOError, match="cannot be written"):
        write_file(SAMPLE, str(tmp_path / "no" / "x.csv"), {})
    with pytest.raises(UnsupportedError, match='cannot write format "xlsx"'):
        write_file(SAMPLE, str(tmp_path / "x"), {"format": "xlsx"})
    with pytest.raises(BindError, match="compression of a Parquet file to write is one of"):
        write_file(SAMPLE, str(tmp_path / "x.parquet"), {"compression": "zip"})


def test_objects() -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "s": ["x", None]})
    assert contents(relation("f", frame)) == {"a": [1, 2], "s": ["x", None]}
    assert contents(relation("f", SAMPLE.to_batches()[0])) == SAMPLE.to_pydict()
    assert contents(relation("f", {"a": [1], "t": torch.ones(1, 2)})) == {"a": [1], "t": [[1, 1]]}
    assert contents(relation("f", np.array([[1, 2]]))) == {"column0": [1], "column1": [2]}
    assert str(relation("f", torch.zeros(2, 3, 4)).schema.columns[0].type) == "TENSOR(3, 4)"
    assert not is_table("text") and not is_table(3)
    with pytest.raises(UnsupportedError, match="int is not a table"):
        relation("f", 3)
