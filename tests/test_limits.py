"""Sizes and depths: what is large works or is refused in words, and nothing runs away."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest

import tensorsql
from tensorsql import Connection, errors


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with tensorsql.connect() as opened:
        opened.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v(i, s)")
        yield opened


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT " + "(" * 100 + "1" + ")" * 100, 1),
        ("SELECT " + "upper(" * 60 + "'a'" + ")" * 60, "A"),
        ("SELECT " + "NOT " * 100 + "true", True),
        ("SELECT " + "CASE WHEN true THEN " * 60 + "1" + " END" * 60, 1),
        ("SELECT count(*) FROM " + "(SELECT * FROM " * 60 + "t" + ")" * 60, 2),
        ("SELECT " + "+".join(["1"] * 300), 300),
        ("SELECT count(*) FROM t WHERE " + " AND ".join(f"i <> {k + 9}" for k in range(500)), 2),
        ("SELECT count(*) FROM t WHERE " + " OR ".join(f"i = {k}" for k in range(500)), 2),
        (f"SELECT count(*) FROM t WHERE i IN ({', '.join(map(str, range(2000)))})", 2),
        (f"SELECT count(*) FROM ({' UNION ALL '.join(['SELECT 1'] * 100)})", 100),
        ("SELECT length('" + "x" * 1_000_000 + "')", 1_000_000),
        ('SELECT "' + "x" * 10_000 + '" FROM (SELECT 7 AS "' + "x" * 10_000 + '")', 7),
        ("SELECT " + "9" * 5000 + " > 1", True),
        ('SELECT "🙂 é" FROM (SELECT 3 AS "🙂 é")', 3),
        ("SELECT length('a\0b')", 3),
    ],
    ids=lambda value: str(value)[:40],
)
def test_large(connection: Connection, sql: str, answer: object) -> None:
    assert connection.execute(sql).fetchone() == (answer,)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "upper(" * 2000 + "'a'" + ")" * 2000,
        "SELECT " + "NOT " * 5000 + "true",
        "SELECT * FROM " + "(SELECT * FROM " * 5000 + "t" + ")" * 5000,
        "SELECT 1" + " BETWEEN 1 AND 2" * 60,
        "SELECT " + "nullif(" * 40 + "1" + ", 2)" * 40,
        "SELECT * FROM range(100000000000)",
        "SELECT * FROM range(1, 99999999999999999999, 2)",
    ],
    ids=lambda sql: sql[:30],
)
def test_too_large(connection: Connection, sql: str) -> None:
    before = sys.getrecursionlimit()
    began = time.monotonic()
    with pytest.raises((errors.NotSupportedError, errors.DataError, errors.BindError)):
        connection.execute(sql)
    assert time.monotonic() - began < 10
    assert sys.getrecursionlimit() == before
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_limits_of_limit(connection: Connection) -> None:
    most = 2**63 - 1
    for sql, rows in [
        (f"SELECT * FROM t LIMIT {most} OFFSET 1", 1),
        (f"SELECT * FROM t ORDER BY i LIMIT {most} OFFSET {most}", 0),
        ("SELECT * FROM t LIMIT 0", 0),
        ("SELECT * FROM t LIMIT NULL", 2),
    ]:
        assert len(connection.execute(sql).fetchall()) == rows


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        ("SELECT ?", (), "no value was given for parameter 1"),
        ("SELECT ?", (1, 2), "2 parameters were given, but the statement has 1"),
        ("SELECT 1", (1,), "1 parameters were given, but the statement has 0"),
        ("SELECT $2", (1, 2, 3), "3 parameters were given, but the statement has 2"),
        ("SELECT ?, :a", (1,), "given by position, but :a is taken by name"),
        ("SELECT ?, :a", {"a": 1}, "given by name, but"),
        ("SELECT :abc", {"abd": 1}, 'no value was given for parameter "abc"; did you mean "abd"'),
        ("SELECT ?", (object(),), "Python type object"),
        ("SELECT ?", ([1, "a"],), "cannot make a list of INTEGER"),
        ("SELECT ?", ("\ud800",), "half a character"),
        ("SELECT '\ud800'", (), "half a character"),
        ("SELECT * FROM t LIMIT ?", (-1,), "must not be negative"),
        ("SELECT * FROM t LIMIT ?", ("x",), "LIMIT is a number of rows"),
    ],
)
def test_parameters(connection: Connection, sql: str, parameters: object, message: str) -> None:
    with pytest.raises(errors.ProgrammingError, match=message):
        connection.execute(sql, parameters)  # type: ignore[arg-type]


def test_a_cast_parameter(connection: Connection) -> None:
    assert connection.execute("SELECT ?::INTEGER + 1", ("41",)).fetchone() == (42,)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("execute", (5,)),
        ("execute", (b"SELECT 1",)),
        ("execute", ("SELECT ?", "abc")),
        ("execute", ("SELECT ?", 5)),
        ("executemany", ("SELECT ?", None)),
        ("executemany", ("SELECT ?", [1, 2])),
    ],
)
def test_misuse(connection: Connection, call: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(errors.InterfaceError):
        getattr(connection, call)(*arguments)


def test_the_caret_of_a_long_line(connection: Connection) -> None:
    with pytest.raises(errors.BindError) as found:
        connection.execute("SELECT " + "1, " * 5000 + "nope" + ", 2" * 5000)
    text, line, caret = str(found.value).split("\n")
    assert text == 'column "nope" not found' and len(line) < 250
    assert line[caret.index("^") :].startswith("nope")


def test_threads_share_a_connection() -> None:
    """It is not made for that, but nothing breaks and every answer is right."""
    with tensorsql.connect() as shared:
        shared.execute("CREATE TABLE t AS SELECT range AS i FROM range(1000)")
        answers: list[object] = []

        def ask() -> None:
            answers.extend(shared.execute("SELECT sum(i) FROM t").fetchone() for _ in range(10))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [(499_500,)] * 30


def test_everything_is_refused_after_close() -> None:
    closed = tensorsql.connect()
    cursor = closed.execute("SELECT 1")
    closed.close()
    for use in (cursor.fetchall, closed.close, closed.commit, closed.interrupt, closed.cursor):
        with pytest.raises(errors.InterfaceError, match="closed"):
            use()
