"""Twice the text is twice the work: no statement costs the square of its length to plan.

Work is counted as calls, of python functions and of built-in ones, from text to rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tensorsql
from tensorsql.dbapi import Connection
from tensorsql.errors import InterruptedError, TypeMismatchError

TWICE = 2.2
Statement = Callable[[int], str]


def listed(part: str, n: int, separator: str = ", ") -> str:
    """`part` for the numbers below n; `{i}` is the number, `{j}` the one before."""
    return separator.join(part.format(i=i, j=i - 1) for i in range(n))


def chained(first: str, part: str, n: int, separator: str = ", ") -> str:
    """`part` for the numbers from 1, after something else."""
    return separator.join([first, *(part.format(i=i, j=i - 1) for i in range(1, n))])


# name: (n, statement); `wide` has n columns c0, c1, … and one row, `tiny` one column x.
CASES: dict[str, tuple[int, Statement]] = {
    "star": (100, lambda n: "SELECT * FROM wide"),
    "star of stars": (100, lambda n: "SELECT * FROM (SELECT * FROM (SELECT * FROM wide))"),
    "filter": (100, lambda n: "SELECT * FROM wide WHERE c0 = 1 AND c1 = 1"),
    "names": (100, lambda n: f"SELECT {listed('c{i}', n)} FROM wide"),
    "group": (100, lambda n: f"SELECT {listed('c{i}', n)} FROM wide GROUP BY {listed('c{i}', n)}"),
    "group all": (100, lambda n: f"SELECT {listed('c{i}', n)}, count(*) FROM wide GROUP BY ALL"),
    "aggregates": (50, lambda n: f"SELECT {listed('sum(c{i})', n)} FROM wide"),
    "order": (50, lambda n: f"SELECT * FROM wide ORDER BY {listed('c{i}', n)}"),
    "distinct": (100, lambda n: "SELECT DISTINCT * FROM wide"),
    "describe": (100, lambda n: "DESCRIBE wide"),
    "summarize": (60, lambda n: "SUMMARIZE wide"),
    "self join": (100, lambda n: "SELECT * FROM wide a JOIN wide b ON a.c0 = b.c0"),
    "using": (50, lambda n: f"SELECT * FROM wide JOIN wide b USING ({listed('c{i}', n)})"),
    "natural": (50, lambda n: "SELECT * FROM wide NATURAL JOIN wide b"),
    "update": (50, lambda n: f"UPDATE wide SET {listed('c{i} = c{i} + 1', n)}"),
    "windows": (30, lambda n: f"SELECT {listed('sum(c{i}) OVER (ORDER BY c0)', n)} FROM wide"),
    "parquet": (100, lambda n: "SELECT * FROM wide_file"),
    "CTE of CTE": (
        30,
        lambda n: (
            "WITH "
            + chained("a0 AS (SELECT 1 AS x)", "a{i} AS (SELECT x + 1 AS x FROM a{j})", n)
            + f" SELECT * FROM a{n - 1}"
        ),
    ),
    "CTEs": (50, lambda n: f"WITH {listed('a{i} AS (SELECT {i} AS x)', n)} SELECT * FROM a0"),
    "used CTEs": (
        30,
        lambda n: (
            f"WITH {listed('a{i} AS (SELECT {i} AS x)', n)} "
            + listed("SELECT * FROM a{i}", n, " UNION ALL ")
        ),
    ),
    "AND": (100, lambda n: f"SELECT 1 FROM wide WHERE {listed('c{i} <> {i}', n, ' AND ')}"),
    "OR": (100, lambda n: f"SELECT 1 FROM wide WHERE {listed('c0 = {i}', n, ' OR ')}"),
    "OR of ANDs": (
        50,
        lambda n: f"SELECT 1 FROM wide WHERE {listed('(c0 = {i} AND c1 = 2)', n, ' OR ')}",
    ),
    "IN": (100, lambda n: f"SELECT 1 FROM wide WHERE c0 IN ({listed('{i}', n)})"),
    "CASE": (
        100,
        lambda n: f"SELECT CASE {listed('WHEN c0 = {i} THEN {i}', n, ' ')} END FROM wide",
    ),
    "CASE of a value": (
        100,
        lambda n: f"SELECT CASE c0 {listed('WHEN {i} THEN {i}', n, ' ')} END FROM wide",
    ),
    "UNION ALL": (30, lambda n: listed("SELECT {i} AS x", n, " UNION ALL ")),
    "UNION": (30, lambda n: listed("SELECT {i} AS x", n, " UNION ")),
    "left joins": (
        15,
        lambda n: (
            "SELECT 1 FROM " + chained("tiny a0", "LEFT JOIN tiny a{i} ON a{i}.x = a{j}.x", n, " ")
        ),
    ),
    "VALUES": (200, lambda n: f"SELECT * FROM (VALUES {listed('({i}, {i})', n)})"),
    "INSERT": (200, lambda n: f"INSERT INTO tiny VALUES {listed('({i})', n)}"),
    "VALUES of expressions": (
        60,
        lambda n: f"SELECT * FROM (VALUES {listed('({i} + 0, {i})', n)})",
    ),
    "INSERT of expressions": (60, lambda n: f"INSERT INTO tiny VALUES {listed('({i} + 0)', n)}"),
    "IN of expressions": (60, lambda n: f"SELECT 1 FROM wide WHERE c0 IN ({listed('{i} + 0', n)})"),
    "list of expressions": (100, lambda n: f"SELECT [{listed('{i} + 0', n)}]"),
    "long VALUES": (
        1000,
        lambda n: "SELECT * FROM (VALUES " + listed("({i}, {i}.5, 'a{i}', NULL)", n) + ")",
    ),
    "long INSERT": (1000, lambda n: f"INSERT INTO tiny VALUES {listed('({i})', n)}"),
    "long INSERT of texts": (1000, lambda n: "INSERT INTO tiny VALUES " + listed("('{i}')", n)),
    "long IN": (1000, lambda n: "SELECT 1 FROM wide WHERE c0 IN (" + listed("'{i}'", n) + ")"),
    "long list": (1000, lambda n: f"SELECT [{listed('{i}.5', n)}]"),
    "one bad literal": (
        300,
        lambda n: f"SELECT * FROM (VALUES {listed('({i})', n)}, (DATE '2020-01-01'))",
    ),
    "pairs": (
        40,
        lambda n: f"SELECT 1 FROM wide WHERE (c0, c1) IN ({listed('({i}, {i})', n)})",
    ),
    "nested": (30, lambda n: "SELECT * FROM (" * n + "SELECT 1 AS x" + ")" * n),
    "parentheses": (40, lambda n: "SELECT " + "(" * n + "1" + ")" * n),
    "nested calls": (40, lambda n: "SELECT " + "abs(" * n + "c0" + ")" * n + " FROM wide"),
    "nested CASEs": (
        15,
        lambda n: "SELECT " + "CASE WHEN c0 = 1 THEN " * n + "1" + " END" * n + " FROM wide",
    ),
    "nested IN": (10, lambda n: "SELECT x FROM tiny WHERE x IN (" * n + "SELECT 1" + ")" * n),
    "scalar subqueries": (15, lambda n: f"SELECT {listed('(SELECT max(x) + {i} FROM tiny)', n)}"),
    "views of views": (12, lambda n: f"SELECT * FROM v{n - 1}"),
    "sums": (50, lambda n: f"SELECT {listed('c{i}', n, ' + ')} FROM wide"),
    "concatenations": (100, lambda n: f"SELECT {listed('c{i}', n, ' || ')} FROM wide"),
    "expressions": (50, lambda n: f"SELECT {listed('c0 + {i}', n)} FROM wide"),
    "HAVING": (
        30,
        lambda n: "SELECT c0 FROM wide GROUP BY c0 HAVING " + listed("sum(c{i}) > 0", n, " AND "),
    ),
    "pivot": (
        30,
        lambda n: f"SELECT {listed('sum(CASE WHEN c0 = {i} THEN c1 END)', n)} FROM wide",
    ),
    "list": (200, lambda n: f"SELECT [{listed('{i}', n)}]"),
    "coalesce": (100, lambda n: f"SELECT coalesce({listed('c{i}', n)}) FROM wide"),
    "EXPLAIN": (50, lambda n: f"EXPLAIN SELECT {listed('c{i} + 1', n)} FROM wide WHERE c0 = 1"),
    "statements": (30, lambda n: listed("SELECT {i}", n, "; ")),
}
# The search for an order looks at pairs of inputs.
PAIRS: dict[str, tuple[int, Statement]] = {
    "chain of joins": (
        12,
        lambda n: (
            "SELECT 1 FROM " + chained("tiny a0", "JOIN tiny a{i} ON a{i}.x = a{j}.x", n, " ")
        ),
    ),
    "star of joins": (
        12,
        lambda n: "SELECT 1 FROM " + chained("tiny a0", "JOIN tiny a{i} ON a{i}.x = a0.x", n, " "),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    """What is imported and remembered once for a process is no work of a statement."""
    connection = tensorsql.connect()
    connection.execute("SELECT 1").fetchall()
    connection.close()
    yield


def prepared(n: int, folder: Path, views: int) -> Connection:
    """A connection with tables and a file of n columns, and so many views of views."""
    connection = tensorsql.connect()
    connection.execute(f"CREATE TABLE wide ({listed('c{i} INTEGER', n)})")
    connection.execute(f"INSERT INTO wide VALUES ({listed('1', n)})")
    connection.execute("CREATE TABLE tiny AS SELECT range AS x FROM range(3)")
    pq.write_table(pa.table({f"c{i}": [1, 2] for i in range(n)}), folder / f"{n}.parquet")
    connection.execute(f"CREATE VIEW wide_file AS SELECT * FROM '{folder / f'{n}.parquet'}'")
    connection.execute("CREATE VIEW v0 AS SELECT 1 AS x")
    for i in range(1, views):
        connection.execute(f"CREATE VIEW v{i} AS SELECT x + 1 AS x FROM v{i - 1}")
    return connection


def work(sql: str, connection: Connection) -> int:
    """Calls made to carry out a statement."""
    calls = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    connection.execute("SET threads = 1")
    sys.setprofile(count)
    try:
        connection.execute(sql)
    except TypeMismatchError:
        pass
    finally:
        sys.setprofile(None)
    return calls


def grown(n: int, statement: Statement, folder: Path) -> float:
    """How many times the work of n the work of 2 n is."""
    once, twice = (
        work(sql, prepared(size, folder, size if "FROM v" in sql else 0))
        for size, sql in ((size, statement(size)) for size in (n, 2 * n))
    )
    return twice / once


@pytest.mark.parametrize("name", CASES)
def test_work_grows_as_the_text_does(name: str, tmp_path: Path) -> None:
    assert grown(*CASES[name], tmp_path) <= TWICE


@pytest.mark.parametrize("name", PAIRS)
def test_join_order_looks_at_pairs(name: str, tmp_path: Path) -> None:
    assert grown(*PAIRS[name], tmp_path) <= TWICE**2


INTERRUPTED: dict[str, Statement] = {
    "items": lambda n: f"SELECT {listed('c0 + {i}', n)} FROM wide",
    "ORs": lambda n: f"SELECT 1 FROM wide WHERE {listed('c0 = {i}', n, ' OR ')}",
    "VALUES": lambda n: f"SELECT * FROM (VALUES {listed('({i} + 0)', n)})",
    "long INSERT": lambda n: f"INSERT INTO tiny VALUES {listed('({i}.5)', 50 * n)}",
    "UNION ALL": lambda n: listed("SELECT {i} AS x", n, " UNION ALL "),
    "statements": lambda n: listed("SELECT {i}", n, "; "),
}


@pytest.mark.parametrize("name", INTERRUPTED)
def test_interrupted_planning_ends_soon(name: str, tmp_path: Path) -> None:
    """Wherever it is interrupted, little is done after."""
    connection, sql = prepared(4, tmp_path, 0), INTERRUPTED[name](150)
    whole = work(sql, connection)
    for tenth in (1, 3, 5, 7, 9):
        calls = [0]

        def count(_: Any, event: str, __: Any, calls: list[int] = calls, at: int = tenth) -> None:
            calls[0] += event in ("call", "c_call")
            if calls[0] == whole * at // 10:
                connection.interrupt()

        sys.setprofile(count)
        try:
            with pytest.raises(InterruptedError):
                connection.execute(f"{sql} -- {tenth}")  # another text: the plan is not kept
        finally:
            sys.setprofile(None)
        assert calls[0] <= whole * tenth // 10 + whole // 10 + 2000
