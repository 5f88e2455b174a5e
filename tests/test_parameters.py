"""Parameters: where they may stand, and what Python's, numpy's and pandas' values become."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

import tensorsql
from tensorsql import Connection, errors
from tensorsql.planner.binder import literals

DATE = datetime.date(2020, 1, 31)
MOMENT = datetime.datetime(2020, 1, 31, 10, 11, 12, 345678)

# Every place of an expression, with values for its parameters; DuckDB says what comes out.
PLACES: list[tuple[str, Sequence[Any]]] = [
    ("SELECT $1,$2,$1", [1, 2]),
    ("SELECT ?, ? + ?", [1, 2, 3]),
    ("SELECT * FROM (VALUES (?, ?), (?, 4)) v", [1, 2, 3]),
    ("VALUES (?), (?)", [1, 2]),
    ("WITH c AS (SELECT ? AS a), d AS (VALUES (?)) SELECT *, ? FROM c, d, c AS e", [1, 2, 3]),
    ("SELECT i FROM range(9) r(i) WHERE i IN (SELECT ? UNION ALL SELECT ?) ORDER BY i", [1, 7]),
    ("SELECT * FROM (SELECT ? AS a) x JOIN (SELECT ? AS b) y ON a = b AND ? = 1", [2, 2, 1]),
    ("SELECT * FROM range(?) r(i), LATERAL (SELECT i + ? AS n) s ORDER BY ALL", [2, 10]),
    ("SELECT i FROM range(9) r(i) WHERE i IN ? ORDER BY i", [[1, 7, None]]),
    ("SELECT i FROM range(9) r(i) WHERE i NOT IN ? AND i < ? ORDER BY i", [(1, 7), 4]),
    ("SELECT i FROM range(9) r(i) WHERE i = ANY(?) OR i > ALL(?) ORDER BY i", [[1], [6, 7]]),
    ("SELECT 1 IN ?, 'a' IN ?", [[], ["a", "b"]]),
    ("SELECT unnest(?)", [[1, None]]),
    ("SELECT * FROM unnest(?) t(x)", [["a", "b"]]),
    ("SELECT CASE WHEN ? THEN ? ELSE ? END, coalesce(?, ?)", [True, 1, 2, None, 3]),
    ("SELECT ?[?], [?, 2], {'a': ?}", [[5, 6], 2, 1, 3]),
    (
        "SELECT sum(i) OVER (ROWS BETWEEN ? PRECEDING AND ? FOLLOWING) FROM range(4) r(i)",
        [1, 0],
    ),
    ("SELECT count(*) FILTER (WHERE i > ?) FROM range(4) r(i) HAVING count(*) > ?", [1, 2]),
    ("SELECT 1 UNION ALL SELECT ? ORDER BY 1 LIMIT ? OFFSET ?", [2, 1, 1]),
    ("SELECT ?::DATE, CAST(? AS VARCHAR), EXTRACT(year FROM ?)", ["2020-01-31", 1, DATE]),
    (
        "SELECT trim(BOTH ? FROM ?), substring(? FROM ? FOR ?), ? LIKE ?",
        ["x", "xax", "abc", 2, 1, "a", "a"],
    ),
    ("SELECT EXISTS (SELECT 1 WHERE ? = 1), (SELECT ?), ? BETWEEN ? AND ?", [1, 5, 2, 1, 3]),
]

# Values beside Python's own; the last is what SQL gives back.
VALUES: list[tuple[Any, str, Any]] = [
    (pd.NaT, "NULL", None),
    (pd.NA, "NULL", None),
    (np.datetime64("NaT"), "NULL", None),
    (np.array([1, 2]), "INTEGER[]", [1, 2]),
    (np.array([1.5, 2.5], dtype=np.float32), "DOUBLE[]", [1.5, 2.5]),
    (np.array([[1, 2], [3, 4]]), "INTEGER[][]", [[1, 2], [3, 4]]),
    (np.array(["a", None], dtype=object), "VARCHAR[]", ["a", None]),
    (np.array(["2020-01-31", "NaT"], dtype="datetime64[D]"), "DATE[]", [DATE, None]),
    (np.array([MOMENT], dtype="datetime64[ns]"), "TIMESTAMP[]", [MOMENT]),
    (np.ma.masked_array([1, 2], [False, True]), "INTEGER[]", [1, None]),
    (np.datetime64(MOMENT, "ns"), "TIMESTAMP", MOMENT),
    (np.timedelta64(3, "D"), "INTERVAL", datetime.timedelta(days=3)),
    (np.timedelta64(3000, "ns"), "INTERVAL", datetime.timedelta(microseconds=3)),
    (np.int8(3), "INTEGER", 3),
    (np.uint64(1 << 63), "HUGEINT", 1 << 63),
    (np.bool_(True), "BOOLEAN", True),
    (np.str_("x"), "VARCHAR", "x"),
    (pd.Timestamp(MOMENT), "TIMESTAMP", MOMENT),
    (pd.Timedelta("1 day 2s"), "INTERVAL", datetime.timedelta(days=1, seconds=2)),
    (pd.Series([1, 2]), "INTEGER[]", [1, 2]),
    ([pd.NaT, pd.Timestamp(MOMENT)], "TIMESTAMP[]", [None, MOMENT]),
    (range(3), "INTEGER[]", [0, 1, 2]),
]

# What SQL has no value for, or would alter.
REFUSED = [
    pd.Timestamp("2020-01-01 00:00:00.000000001"),
    np.datetime64("2020-01-01T00:00:00.000000001"),
    np.timedelta64(1, "ns"),
    pd.Timedelta(1, "ns"),
    np.datetime64("20200-01-01"),
    np.timedelta64(3, "Y"),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])[0],
    np.longdouble(1.5),
    datetime.time(1, 2, tzinfo=datetime.UTC),
    1 << 127,
    1j,
    {1, 2},
    ...,
    "\ud800",
    ["\ud800"],
    pd.Period("2020-01"),
]


@pytest.fixture(scope="module")
def connection() -> Connection:
    return tensorsql.connect()


@pytest.mark.parametrize(("sql", "values"), PLACES)
def test_everywhere(connection: Connection, sql: str, values: Sequence[Any]) -> None:
    """A parameter may stand wherever an expression may, and is counted by where it stands."""
    assert connection.execute(sql, values).fetchall() == duckdb.execute(sql, values).fetchall()


def test_names_side_by_side(connection: Connection) -> None:
    """Two dollar signs with a name between them begin no text."""
    found = connection.execute("SELECT $a,$b,$a,$b", {"a": 1, "b": 2}).fetchall()
    assert found == [(1, 2, 1, 2)]


@pytest.mark.parametrize(("value", "kind", "back"), VALUES)
def test_values(connection: Connection, value: Any, kind: str, back: Any) -> None:
    """What other libraries' values become."""
    (row,) = connection.execute("SELECT ?, typeof(?)", [value, value]).fetchall()
    assert row == (back, '"NULL"' if kind == "NULL" else kind)


@pytest.mark.parametrize("value", REFUSED, ids=repr)
def test_refused(connection: Connection, value: Any) -> None:
    """An error of the user's, never another value."""
    with pytest.raises((errors.BindError, errors.OutOfRangeError)):
        connection.execute("SELECT ?", [value])
    with pytest.raises((errors.BindError, errors.OutOfRangeError)):
        connection.executemany("SELECT ?", [[value], [value]])


@pytest.mark.parametrize("column", [[1, 2.5], [True, 2], [pd.NaT, MOMENT], [DATE, MOMENT]])
def test_many_rows_are_as_one(connection: Connection, column: list[Any]) -> None:
    """executemany stores what execute stores, whatever types a column mixes."""
    connection.execute("CREATE OR REPLACE TABLE t (s VARCHAR)")
    connection.executemany("INSERT INTO t VALUES (?)", [[value] for value in column])
    for value in column:
        connection.execute("INSERT INTO t VALUES (?)", [value])
    found = [text for (text,) in connection.execute("SELECT s FROM t").fetchall()]
    assert found[: len(column)] == found[len(column) :]


def test_own_types_stay(connection: Connection) -> None:
    """Python's own values, unchanged."""
    values = [None, True, 1, 1 << 100, 0.5, Decimal("1.50"), "é", b"\0", uuid.UUID(int=5), DATE]
    values += [MOMENT, datetime.time(1, 2), datetime.timedelta(days=-1), [1, None], {"a": [1]}]
    marks = ", ".join("?" for _ in values)
    assert list(connection.execute(f"SELECT {marks}", values).fetchall()[0]) == values


PLAIN = [[1, None, 2], [True, False], [0.5, None], ["é", None], [b"x"], [DATE], [None], []]


@pytest.mark.parametrize("column", PLAIN)
def test_plain_columns_are_looked_at_as_one(
    column: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their values are as each alone, and no call is made for each."""
    assert literals.python_values(column) == [*map(literals.python_value, column)]
    calls: list[Any] = []
    monkeypatch.setattr(literals, "python_value", calls.append)
    literals.python_values(column)
    assert len(calls) <= column.count(None)


@pytest.mark.parametrize("column", [[1 << 127, 1], [None, "\ud800"], ["\ud83d", "\ude00"]])
def test_plain_columns_are_checked(column: list[Any]) -> None:
    with pytest.raises(errors.Error):
        literals.python_values(column)


@pytest.mark.parametrize(
    ("sql", "given", "unread"),
    [
        ("SELECT $2", [1, 2], "parameter 1"),
        ("SELECT $3, $1", [1, 2, 3], "parameter 2"),
        ("SELECT ?", [1, 2], "2 parameters were given"),
        ("SELECT 1", [1], "1 parameters were given"),
        ("SELECT $a", {"a": 1, "b": 2}, 'parameter "b"'),
        ("SELECT :a; SELECT $c", {"a": 1, "b": 2, "c": 3}, 'parameter "b"'),
        ("SELECT 1", {"b": 2}, 'parameter "b"'),
    ],
)
def test_values_that_nothing_takes(
    connection: Connection, sql: str, given: Any, unread: str
) -> None:
    with pytest.raises(tensorsql.ProgrammingError, match=unread):
        connection.execute(sql, given)


def test_each_statement_takes_its_own(connection: Connection) -> None:
    assert connection.execute("SELECT $1; SELECT $2", [1, 2]).fetchall() == [(2,)]
    assert connection.execute("SELECT $a; SELECT $b", {"a": 1, "b": 2}).fetchall() == [(2,)]
