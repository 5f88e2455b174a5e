"""Texts of lists, structs, boxes and tensors: written and read as DuckDB does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorsql
from tensorsql import Connection, errors
from tensorsql.planner.functions.conversions import from_text, to_text
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import Type

KINDS = [
    types.list_of(types.VARCHAR),
    types.list_of(types.INTEGER),
    types.list_of(types.list_of(types.VARCHAR)),
    types.struct(("a", types.INTEGER), ("b c", types.VARCHAR)),
    types.list_of(types.struct(("a", types.VARCHAR))),
]
PIECES = [
    *"[]{}(),:'\" ab1x", "NULL", "null", "a: ", '"b c": ', "\n", "'a'", ", ", "\\\\", "\\'", "é",
]  # fmt: skip
ITEMS = st.one_of(st.none(), st.text(st.sampled_from("ab ',\"\\[]{}():=\n\tNULé"), max_size=6))
oracle = duckdb.connect()


@pytest.fixture
def connection() -> Connection:
    return tensorsql.connect()


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(map(plain, value.values()))
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def ours(text: str, kind: Type) -> Any:
    try:
        return plain(from_text(text, kind))
    except errors.ConversionError:
        return "refused"


def theirs(text: str, kind: Type) -> Any:
    try:
        return plain(oracle.execute(f"SELECT CAST(? AS {kind})", [text]).fetchall()[0][0])
    except duckdb.Error:
        return "refused"


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(KINDS), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_texts_mean_what_they_mean_to_duckdb(kind: Type, inner: str) -> None:
    """Only where brackets or quotes do not match, or a backslash is outside, may one refuse."""
    text = f"{{{inner}}}" if kind.fields else f"[{inner}]"
    found, expected = ours(text, kind), theirs(text, kind)
    if found != expected:
        assert "refused" in (found, expected)
        assert any(mark in inner for mark in ("]", "}", ")", "\\"))


@settings(max_examples=200, deadline=None)
@given(st.lists(ITEMS, max_size=4), ITEMS)
def test_what_is_written_is_read_back(items: list[str | None], field: str | None) -> None:
    kind = types.struct(("l", types.list_of(types.VARCHAR)), ("b c", types.VARCHAR))
    value = (tuple(items), field)
    text = to_text(value, kind)
    assert text == oracle.execute(
        "SELECT {'l': ?::VARCHAR[], 'b c': ?::VARCHAR}::VARCHAR", [items, field]
    ).fetchall()[0][0]  # fmt: skip
    assert from_text(text, kind) == value


NESTED = """
    SELECT * FROM (VALUES
        ([1, NULL, -3], {'a': 1, 'b c': 'it''s, "x"'}, [[DATE '2020-01-31'], NULL, []],
         [0.1::DOUBLE, 'nan']),
        ([], {'a': NULL, 'b c': ''}, [], [1e300, '-inf', NULL]),
        (NULL, NULL, NULL, NULL)
    ) v(l, s, n, d)
"""


def test_csv_is_written_and_read_as_by_duckdb(connection: Connection, tmp_path: Path) -> None:
    mine, other = tmp_path / "a.csv", tmp_path / "b.csv"
    connection.execute(f"COPY ({NESTED}) TO '{mine}'")
    oracle.execute(f"COPY ({NESTED}) TO '{other}'")
    assert mine.read_bytes() == other.read_bytes()
    kinds = 'l INTEGER[], s STRUCT(a INTEGER, "b c" VARCHAR), n DATE[][], d DOUBLE[]'
    connection.execute(f"CREATE TABLE t ({kinds})")
    connection.execute(f"COPY t FROM '{other}'")
    assert repr(connection.execute("FROM t").fetchall()) == repr(oracle.execute(NESTED).fetchall())
    assert connection.execute(f"SELECT s FROM '{mine}' WHERE l = '[]'").fetchall() == [
        ("{'a': NULL, 'b c': ''}",)
    ]
    columns = "columns = {'l': 'INTEGER[]', 's': 'VARCHAR', 'n': 'VARCHAR[]', 'd': 'VARCHAR'}"
    read = f"SELECT l, n FROM read_csv('{mine}', {columns})"
    assert connection.execute(read).fetchall() == oracle.execute(read).fetchall()


def test_tensors_and_boxes_go_through_csv(connection: Connection, tmp_path: Path) -> None:
    kept = {
        "f": np.array([[[0.1, -0.0], [1e-40, 3e38]], [[np.nan, np.inf], [-np.inf, 7]]], "float32"),
        "d": np.array([[0.1, 1e300], [np.nan, 5e-324]]),
        "h": np.array([[0.1, 65504], [6e-8, 1]], "float16"),
        "b": np.array([[0, 255], [1, 2]], "uint8"),
        "i": np.array([[-(2**63), 2**63 - 1], [0, 1]]),
    }
    for name, array in kept.items():
        connection.register("given", {"x": array})
        connection.execute(f"CREATE TABLE {name} AS SELECT x FROM given UNION ALL SELECT NULL")
        connection.execute(f"COPY {name} TO '{tmp_path}/{name}.csv'")
        connection.execute(f"CREATE TABLE {name}2 AS SELECT * FROM {name} LIMIT 0")
        connection.execute(f"COPY {name}2 FROM '{tmp_path}/{name}.csv'")
        rows = connection.execute(f"FROM {name}2").fetchall()
        assert rows[2] == (None,)
        for (found,), stored in zip(rows[:2], array, strict=True):
            assert found.dtype == array.dtype
            assert found.tobytes() == stored.tobytes()
    path = f"{tmp_path}/box.csv"
    connection.execute(f"COPY (SELECT BOX_XYXY(1, 2, 3, 4.5) AS b) TO '{path}'")
    found = connection.execute(f"SELECT b::BOX, b FROM '{path}'").fetchall()
    assert found == [((1.0, 2.0, 3.0, 4.5), "BOX(1.0, 2.0, 3.0, 4.5)")]


@pytest.mark.parametrize(
    "text", ["", "1", "[1", "[1, 2, 3]", "[1, x]", "[1, NULL]", "[[1], 2]", "{1, 2}", "[1,, 2]"]
)
def test_texts_that_are_no_tensor(connection: Connection, text: str) -> None:
    with pytest.raises(errors.ConversionError, match="could not convert string"):
        connection.execute("SELECT CAST(? AS TENSOR(2))", [text]).fetchall()
    sql = "SELECT TRY_CAST(x AS TENSOR(2)) FROM (VALUES (?), ('[1, 2]')) v(x)"
    (first,), (second,) = connection.execute(sql, [text]).fetchall()
    assert first is None
    assert second.tolist() == [1.0, 2.0]


def test_what_has_no_text_is_refused_with_a_cure_that_works(
    connection: Connection, tmp_path: Path
) -> None:
    connection.register_masks("m", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(errors.UnsupportedError, match=r'EXCLUDE \("mask"\)'):
        connection.execute(f"COPY m TO '{tmp_path}/x.csv'")
    connection.execute(f"COPY (SELECT * EXCLUDE (\"mask\") FROM m) TO '{tmp_path}/x.csv'")
    with pytest.raises(errors.UnsupportedError, match="no type INTERVAL; CAST it to VARCHAR"):
        connection.execute(f"COPY (SELECT [INTERVAL 1 DAY] i) TO '{tmp_path}/x.parquet'")
    connection.execute(f"COPY (SELECT [INTERVAL 1 DAY]::VARCHAR i) TO '{tmp_path}/x.parquet'")


def test_names_in_types_are_quoted_where_they_must_be() -> None:
    kind = types.struct(
        ("a b", types.enum(("it's",))), ('"', types.VARCHAR), ("Plain_1", types.REAL)
    )
    assert str(kind) == """STRUCT("a b" ENUM('it''s'), \"""\" VARCHAR, Plain_1 FLOAT)"""
    with tensorsql.connect() as connection:
        (found,) = connection.execute(f"SELECT CAST(NULL AS {kind}) AS x").description or ()
        assert found[1] == kind
