"""Texts made to break things: an answer or an error of ours, soon; never a defect, never a hang."""

from __future__ import annotations

import contextlib
import sys
import threading

import pytest

import tensorsql
from tensorsql import Connection, errors

PATIENCE = 30.0  # seconds; each takes one or two
MANY = 100_000

COLUMNS = ", ".join(f"c{place}" for place in range(25))
NULLS = ", ".join(f"NULL AS c{place}" for place in range(25))

HOSTILE = {
    "CUBE": f"SELECT count(*) FROM (SELECT {NULLS}) GROUP BY CUBE ({COLUMNS})",
    "ROLLUPs": "SELECT count(*) FROM t GROUP BY " + ", ".join(["ROLLUP (a, s)"] * 20),
    "repeats": "SELECT length(repeat(repeat(repeat('a', 100000), 100000), 100000))",
    "long series": "SELECT len(range(100000000000))",
    "LIKE of many parts": "SELECT s LIKE '" + "%a" * MANY + "' FROM t",
    "ILIKE of many parts": "SELECT s ILIKE '" + "%a" * MANY + "' FROM t",
    "LIKE of many places": "SELECT s LIKE '" + "_" * MANY + "%' FROM t",
    "SIMILAR TO": "SELECT s SIMILAR TO '" + "(a|b)*" * MANY + "' FROM t",
    "expression beyond memory": "SELECT regexp_matches(s, '((a{100}){100}){100}') FROM t",
    "optional letters": "SELECT regexp_matches(s, '" + "a?" * MANY + "') FROM t",
    "replaced": "SELECT regexp_replace(s, '" + "(a|b)*" * MANY + "', 'x') FROM t",
    "extracted": "SELECT regexp_extract(s, '" + "(a)" * MANY + "', 3) FROM t",
    "pattern of a star": "SELECT * SIMILAR TO '((a{100}){100}){100}' FROM t",
    "pattern of COLUMNS": "SELECT COLUMNS('" + "a?" * 3000 + "') FROM t",
    "NUL in a text": "SELECT 'a\0b', s LIKE 'a\0%' FROM t",
    "NUL in a name": 'SELECT "a\0" FROM t',
    "NUL between words": "SELECT\0a FROM t",
    "NUL in a file": "SELECT * FROM 'a\0.csv'",
    "half a character": "SELECT '\ud800'",
    "half a character in a name": 'SELECT "\udfff" FROM t',
    "long text": "SELECT '" + "x" * 10 * MANY + "'",
    "long name": 'SELECT "' + "x" * 10 * MANY + '"',
    "long integer": "SELECT " + "1" * 10 * MANY,
    "long decimal": "SELECT 0." + "1" * 10 * MANY,
    "long exponent": "SELECT 1e" + "9" * MANY,
    "long text as INTEGER": "SELECT '" + "1" * 10 * MANY + "'::INTEGER",
    "long text as DECIMAL": "SELECT '" + "1" * 10 * MANY + "'::DECIMAL(38, 0)",
    "long text as HUGEINT": "SELECT '0x" + "f" * 10 * MANY + "'::HUGEINT",
    "long text as DATE": "SELECT '" + "1" * 10 * MANY + "-01-01'::DATE",
    "long INTERVAL": "SELECT INTERVAL '" + "1" * MANY + " days'",
    "parentheses": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "brackets": "SELECT " + "[" * 5000 + "1" + "]" * 5000,
    "braces": "SELECT " + "{'a': " * 3000 + "1" + "}" * 3000,
    "signs": "SELECT " + "- " * 5000 + "1",
    "NOTs": "SELECT " + "NOT " * 5000 + "true",
    "calls": "SELECT " + "abs(" * 3000 + "1" + ")" * 3000,
    "subqueries": "SELECT " + "(SELECT " * 800 + "1" + ")" * 800,
    "nested types": "SELECT NULL::" + "STRUCT(a " * 1000 + "INTEGER" + ")" * 1000,
    "comments": "/*" * 10_000 + "*/" * 10_000 + " SELECT 1",
    "comment that never ends": "/*" * MANY,
    "text that never ends": "SELECT '" + "a''" * MANY,
    "quotes between dollar signs": "SELECT " + "$a$" * 10_001,
    "parameters": "SELECT " + ",".join(["?"] * 500),
    "exponents": "SELECT " + ",".join(["1e3-1"] * 500),
    "semicolons": ";" * 10_000,
    "instructions in comments": "SELECT /* sqlglot.meta line=x, name=y */ upper('a')",
}


@pytest.fixture
def connection() -> Connection:
    found = tensorsql.connect()
    found.execute("CREATE TABLE t (a INTEGER, s VARCHAR); INSERT INTO t VALUES (1, 'aab'), (2, '')")
    return found


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE.keys())
def test_ends_well(connection: Connection, sql: str) -> None:
    """Whatever it is, it is over soon, and it is no defect."""
    timer = threading.Timer(PATIENCE, connection.interrupt)
    timer.start()
    try:
        connection.execute(sql).fetchall()
    except errors.InterruptedError as error:
        raise AssertionError("hangs") from error
    except errors.InternalError as error:
        raise AssertionError(str(error)[:300]) from error
    except errors.Error as error:
        assert str(error)
    finally:
        timer.cancel()


# What DuckDB takes: up to a thousand expressions one in the other, and any number of queries.
DEEP = {
    "parentheses": ("SELECT " + "(" * 900 + "1" + ")" * 900, 1),
    "sum": ("SELECT " + " + ".join(["1"] * 900), 900),
    "sum of columns": ("SELECT " + " + ".join(["a"] * 900) + " FROM t WHERE a = 1", 900),
    "concatenation": ("SELECT length(" + " || ".join(["s"] * 900) + ") FROM t WHERE a = 1", 2700),
    "calls": ("SELECT " + "abs(" * 900 + "-1" + ")" * 900, 1),
    "CASE": ("SELECT " + "CASE WHEN a = 1 THEN " * 400 + "a" + " END" * 400 + " FROM t", 1),
    "NOTs": ("SELECT " + "NOT " * 900 + "true", True),
    "queries": ("SELECT * FROM (" * 400 + "SELECT 1 AS x" + ")" * 400, 1),
    "common tables": (
        "WITH a0 AS (SELECT 1 AS x)"
        + "".join(f", a{i} AS (SELECT x + 1 AS x FROM a{i - 1})" for i in range(1, 300))
        + " SELECT * FROM a299",
        300,
    ),
    "conditions": ("SELECT a FROM t WHERE " + "(a = 1 AND " * 300 + "true" + ")" * 300, 1),
}


@pytest.mark.parametrize("name", DEEP)
def test_takes_what_nests_deeply(connection: Connection, name: str) -> None:
    sql, answer = DEEP[name]
    assert connection.execute(sql).fetchall()[0] == (answer,)


def test_says_what_nests_too_deeply(connection: Connection) -> None:
    limit = sys.getrecursionlimit()
    text = "SELECT 1,\n" + "(" * 20_000 + "1" + ")" * 20_000
    with pytest.raises(errors.UnsupportedError, match="20000 brackets are open here; compute"):
        connection.execute(text)
    with pytest.raises(errors.UnsupportedError, match="words in chains") as caught:
        connection.execute("SELECT a, " + "NOT " * 50_000 + "true FROM t")
    assert caught.value.position == (1, 1)
    assert sys.getrecursionlimit() == limit


def test_recursion_limit_is_given_back(connection: Connection) -> None:
    """The user's own, whatever it is."""
    before = sys.getrecursionlimit()
    try:
        for limit in (900, 5000, 7000):
            sys.setrecursionlimit(limit)
            connection.execute("SELECT " + "(" * 400 + "1" + ")" * 400)
            assert sys.getrecursionlimit() == limit
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0])
def test_deep_statements_are_left(connection: Connection, seconds: float) -> None:
    """Whenever it is interrupted, the process lives and goes on."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    sql = "SELECT " + "coalesce(abs(" * 1500 + "a" + "), 1)" * 1500 + " FROM t"
    with contextlib.suppress(errors.InterruptedError, errors.UnsupportedError):
        connection.execute(sql)
    timer.join()
    assert connection.execute("SELECT " + "(" * 400 + "1" + ")" * 400).fetchall() == [(1,)]


def test_deep_statements_beside_others() -> None:
    """The room for deep ones is one thread's: the others wait for it, and all get their answers."""
    answers: list[object] = []

    def ask(sql: str, times: int) -> None:
        own = tensorsql.connect()
        for _ in range(times):
            answers.append(own.execute(sql).fetchall()[0][0])
        own.close()

    deep = "SELECT " + "(" * 400 + "1" + ")" * 400
    threads = [threading.Thread(target=ask, args=(deep, 3)) for _ in range(2)]
    threads += [threading.Thread(target=ask, args=("SELECT 1", 20)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 46


@pytest.mark.parametrize("digits", [39, 40, 45, 60, 80, 1000])
@pytest.mark.parametrize("digit", "19")
def test_decimals_too_long(connection: Connection, digit: str, digits: int) -> None:
    """A text with more digits than a DECIMAL holds is no other number."""
    connection.execute(f"CREATE TABLE d AS SELECT '{digit * digits}' AS s")
    with pytest.raises(errors.ConversionError):
        connection.execute("SELECT s::DECIMAL(38, 0) FROM d").fetchall()
    assert connection.execute("SELECT TRY_CAST(s AS DECIMAL(38, 2)) FROM d").fetchall() == [(None,)]
