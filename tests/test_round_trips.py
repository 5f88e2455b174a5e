"""What goes out comes back: random tables through every format, and as DuckDB reads them."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_values import VALUES, array_of, python

import tensorsql
from tensorsql import Connection
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import Kind, Type

# what files are most often wrong about
AWKWARD = [
    "", " ", " x ", '"', '""', "'", ",", "a,b", 'x"y', "\n", "a\r\nb", "\r", "\t", "|", ";", "\\",
    "NULL", "null", "nan", "inf", "true", "t", "yes", "0", "-0", "007", "+1", "1.50", "1e5",
    "1e400", "0x10", "9" * 19, "9" * 25, "9" * 50, "2020-01-01", "2020-1-5", "01/02/2020",
    "10:11", "2020-01-01 10:11:12.1234567", "2020-01-01T10:11:12Z", "24:00:00", "infinity",
    "epoch", "{}", "[]", "[1,2]", "#c", "\u2028", "\u0085", "\x0c", "\x00", "\x7f", "\x1b",
    "é", "日本", "😀", "\ufeff", "550e8400-e29b-41d4-a716-446655440000",
]  # fmt: skip
TEXT = st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"])))
DATE = st.dates()
UUIDS = st.uuids().map(str)
EXTREME: dict[Type, st.SearchStrategy[Any]] = {
    **VALUES,
    types.VARCHAR: TEXT,
    types.BLOB: st.binary(max_size=6),
    types.DATE: DATE,
    types.TIMESTAMP: st.datetimes(),
    types.TIME: st.times(),
    types.UUID: UUIDS,
    types.DOUBLE: st.floats(),
    types.REAL: st.floats(width=32),
    types.decimal(38, 38): VALUES[types.decimal(18, 0)].map(lambda n: n.scaleb(-38)),
    types.list_of(types.VARCHAR): st.lists(st.one_of(st.none(), TEXT), max_size=3),
    types.list_of(types.INTERVAL): st.lists(
        st.one_of(st.none(), VALUES[types.INTERVAL]), max_size=2
    ),
    types.struct(("a b'c", types.BLOB), ("x", types.REAL)): st.fixed_dictionaries(
        {"a b'c": st.one_of(st.none(), st.binary(max_size=3)), "x": st.floats(width=32)}
    ),
}
FLAT = [kind for kind in EXTREME if not (kind.child or kind.fields or kind.shape)]
FLAT = [kind for kind in FLAT if kind.kind is not Kind.BOX]
NESTED = [kind for kind in EXTREME if kind not in FLAT]
ALL = FLAT + NESTED
WRITTEN: dict[str, list[Type]] = {
    "csv": ALL,
    "tsv": ALL,
    "csv.gz": ALL,
    "json": ALL,
    "json.zst": ALL,
    "parquet": [kind for kind in ALL if "INTERVAL" not in str(kind)],
}


def tables(kinds: list[Type], rows: int = 8) -> st.SearchStrategy[tuple[list[Type], pa.Table]]:
    """Tables of one to four columns of these types."""

    def columns(drawn: list[Type]) -> st.SearchStrategy[tuple[list[Type], pa.Table]]:
        cells = [st.one_of(st.none(), EXTREME[kind]) for kind in drawn]
        return st.lists(st.tuples(*cells), max_size=rows).map(
            lambda found: (drawn, table(drawn, found))
        )

    return st.lists(st.sampled_from(kinds), min_size=1, max_size=4).flatmap(columns)


def table(kinds: list[Type], rows: list[tuple[Any, ...]]) -> pa.Table:
    arrays = [array_of([row[i] for row in rows], kind) for i, kind in enumerate(kinds)]
    return pa.table({f"c{i}": array for i, array in enumerate(arrays)})


def made(kinds: list[Type], content: pa.Table) -> Connection:
    """A connection with the table `t` of these rows, and `back` like it, without rows."""
    connection = tensorsql.connect()
    columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(kinds))
    for name in ("t", "back"):
        connection.execute(f"CREATE TABLE {name} ({columns})")
    connection.register("given", content)
    connection.execute("INSERT INTO t SELECT * FROM given")
    return connection


def contents(connection: Connection, name: str) -> list[list[str]]:
    found = connection.execute(f"SELECT * FROM {name}").fetch_arrow_table()
    return [list(map(repr, python(column))) for column in found.columns]


@pytest.mark.parametrize("suffix", WRITTEN)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_copy_and_back(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    kinds, content = data.draw(tables(WRITTEN[suffix]))
    path = tmp_path_factory.mktemp("copy") / f"t.{suffix}"
    with made(kinds, content) as connection:
        header = " (HEADER false)" if "sv" in suffix and data.draw(st.booleans()) else ""
        connection.execute(f"COPY t TO '{path}'{header}")
        connection.execute(f"COPY back FROM '{path}'{header}")
        assert contents(connection, "back") == contents(connection, "t")


@pytest.mark.parametrize("suffix", ["csv", "json"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_text_is_altered(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    """A column is text as it stands, or has DuckDB's type and values."""
    cells = (
        st.one_of(st.none(), TEXT) if data.draw(st.booleans()) else st.sampled_from(AWKWARD[20:])
    )
    column = data.draw(st.lists(cells, min_size=1, max_size=5))
    path = tmp_path_factory.mktemp("text") / f"t.{suffix}"
    with tensorsql.connect() as connection:
        connection.register(
            "t", pa.table({"name": pa.array(column, pa.string()), "n": range(len(column))})
        )
        connection.execute(f"COPY t TO '{path}'")
        found = connection.execute(f"SELECT name FROM '{path}'")
        ((_, kind, *_),) = found.description or ()
        rows = [row[0] for row in found.fetchall()]
    if kind in (types.VARCHAR, types.NULL):
        assert rows == column
        return
    theirs = duckdb.sql(f"SELECT name FROM read_{suffix}('{path}')")
    assert str(kind) == str(theirs.types[0])
    assert list(map(repr, rows)) == [repr(row[0]) for row in theirs.fetchall()]
