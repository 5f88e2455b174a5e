"""Runs of literals are bound by columns at once, and mean what they mean one by one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlglot import exp

import tensorsql
from tensorsql import Connection, errors
from tensorsql.parser import pieces, runs
from tensorsql.parser.dialect import parse, position, stored_text, text_of

MANY = 10**9
LITERALS = {
    "integers": ["1", "0", "-1", "127", "5"],
    "wide integers": ["2147483648", "-2147483648", "1", "9223372036854775807", "-1"],
    "widest integers": ["1", str(2**127 - 1), str(-(2**127)), str(2**127), "1" * 40],
    "integers and NULL": ["1", "NULL", "3", "null"],
    "texts": ["'a'", "'b''c'", "''", "'x,y)('", "'\n'", "'1'"],
    "decimals": ["1.5", "-0.25", "10.25", "10.", "00.50", "0.1234567890123456789"],
    "long decimals": ["9" * 37 + ".5", "0.123456789", "1"],
    "numbers": ["1", "1.5", "1e3", "-1E-3", "007"],
    "floats": ["1e400", "1e3", "-0e0", "0"],
    "numbers and texts": ["1", "'2'", "' 7 '", "NULL"],
    "texts and numbers": ["'2'", "3", "'a'"],
    "truth": ["TRUE", "NULL", "false"],
    "dates": ["DATE '2020-01-02'", "'2021-01-01'", "NULL", "date'1999-12-31'", "DATE 'no'"],
    "times": ["TIMESTAMP '2020-01-01 10:00:00'", "DATE '2020-01-02'"],
    "nothing": ["NULL"],
}
STATEMENTS = (
    "SELECT *, typeof(col0), typeof(col1) FROM (VALUES {rows}) t",
    "VALUES {rows} ORDER BY ALL",
    "SELECT {x} IN ({items}) FROM t",
    "SELECT i FROM t WHERE {x} NOT IN ({items})",
    "SELECT CASE WHEN i = 1 THEN 1 END IN ({items}), NULL IN ({items}), 1 IN ({items}) FROM t",
    "SELECT [{items}] AS l, typeof([{items}])",
    "SELECT list_contains([{items}], {x}), {x} IN [{items}] FROM t",
    "INSERT INTO t ({x}, {y}) VALUES {rows}",
    "INSERT INTO t ({x}) VALUES {rows}",
    "SELECT * FROM t WHERE (i, {x}) IN (VALUES {rows})",
    "SELECT * FROM t LEFT JOIN (VALUES {rows}) v(x) ON v.x = t.{x}",
    "SELECT (SELECT max(col0) FROM (VALUES {rows}) v WHERE v.col1 = t.{x}) FROM t",
    "UPDATE t SET i = 7 WHERE {x} IN ({items})",
    "SELECT count(*) FILTER (WHERE {x} IN ({items})) FROM t GROUP BY e",
)
COLUMNS = ("i", "d", "f", "s", "dt", "ti", "bo", "r", "h", "l", "e", "v")


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    found = tensorsql.connect()
    found.execute(
        "CREATE TABLE t (i INTEGER, d DECIMAL(8, 2), f DOUBLE, s VARCHAR, dt DATE, ti TINYINT, "
        "bo BOOLEAN, r REAL, h HUGEINT, l INTEGER[], e ENUM('a', '1'), v INTERVAL)"
    )
    found.execute(
        "INSERT INTO t VALUES (1, 1.5, 1e3, 'a', DATE '2020-01-02', 1, true, 1.5, 5, [1], 'a', "
        "INTERVAL 1 DAY), (-2147483648, -0.25, 'NaN', '1', DATE '2021-01-01', -128, false, 0.5, "
        "170141183460469231731687303715884105727, [], '1', INTERVAL 30 DAY)"
    )
    found.execute("INSERT INTO t (i) VALUES (NULL)")
    yield found
    found.close()


def statement(draw: random.Random) -> str:
    kinds = [draw.choice(list(LITERALS.values())) for _ in range(2)]
    separator = draw.choice([", ", ",", " ,\r\n\t"])
    count = draw.choice([1, 2, 5, 9])
    given = [[draw.choice(kind) for kind in kinds] for _ in range(count)]
    x, y = draw.sample(COLUMNS, 2)
    return draw.choice(STATEMENTS).format(
        rows=separator.join(f"( {a}{separator}{b})" for a, b in given),
        items=separator.join(a for a, _ in given),
        x=x,
        y=y,
    )


def outcome(connection: Connection, sql: str) -> Any:
    connection.execute("BEGIN")
    try:
        found = connection.execute(sql)
        rows = found.fetchall() if found.description else None
        return repr((rows, connection.execute("SELECT * FROM t").fetchall()))
    except errors.Error as error:
        return type(error), error.message
    finally:
        connection.execute("ROLLBACK")


def both_ways(patch: pytest.MonkeyPatch) -> Iterator[None]:
    for least, long in ((1, 0), (MANY, MANY)):
        patch.setattr(runs, "LEAST", least)
        patch.setattr(pieces, "LONG", long)
        yield


@pytest.mark.parametrize("seed", range(4))
def test_same_answers_and_errors(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    draw = random.Random(seed)
    for sql in (statement(draw) for _ in range(30)):
        found = [outcome(connection, sql) for _ in both_ways(monkeypatch)]
        assert found[0] == found[1], sql


ROWS = ", ".join(f"({i}, 'a''b(,)\n', NULL)" for i in range(100))
ITEMS = " ,\n".join(f"'é{i}'" for i in range(100))
LISTED = ", ".join(map(str, range(200)))
TREES = {
    "insert": f"INSERT INTO t (a, b, c) VALUES {ROWS}",
    "insert without a space": f"INSERT INTO t VALUES{ROWS}",
    "insert, then an expression": f"INSERT INTO t VALUES {ROWS}, (1 + 1, 'a', NULL)",
    "insert in parentheses": f"INSERT INTO t (VALUES {ROWS})",
    "statement": f"VALUES {ROWS} UNION ALL (VALUES {ROWS} LIMIT 1)",
    "named": f"SELECT * FROM (VALUES {ROWS}) AS v (a, b, c), VALUES {ROWS}",
    "common tables": f"WITH a (x) AS (VALUES {ROWS}) SELECT * FROM a JOIN (VALUES {ROWS}) ON true",
    "subqueries": f"SELECT (VALUES {ROWS}), EXISTS (VALUES {ROWS}), 1 IN (VALUES {ROWS})",
    "view": f"CREATE VIEW v AS SELECT * FROM (VALUES {ROWS}) t WHERE a IN ({ITEMS})",
    "copy": f"COPY (VALUES {ROWS}) TO 'x.csv'",
    "items": f"SELECT x IN ({ITEMS}) AND y NOT IN({ITEMS}), x IN [{ITEMS}], l[1]",
    "lists": f"SELECT ARRAY[{ITEMS}], {{'a': [{ITEMS}]}}, f([{ITEMS}], [[{ITEMS}]])[1]",
    "texts": f"SELECT 'VALUES ({LISTED})' -- IN ({LISTED})\n, \"[{LISTED}]\" /* [{LISTED}] */",
    "words": f"SELECT invalues, x.values FROM t WHERE a.values IN ({ITEMS})",
}


@pytest.mark.parametrize("name", TREES)
def test_same_trees(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What a run stands for is what sqlglot reads there, at the same places."""
    found = [parse(TREES[name])[0] for _ in both_ways(monkeypatch)]
    hidden = list(found[0].find_all(runs.LiteralRun))
    assert bool(hidden) == (name != "texts")
    for run in hidden:
        siblings = run.parent.args[run.arg_key]
        place = next(place for place, each in enumerate(siblings) if each is run)
        siblings[place : place + 1] = runs.written_out(run)
        run.parent.set(run.arg_key, siblings)
    assert found[0] == found[1]
    assert text_of(found[0]) == text_of(found[1])
    places = [[position(node) for node in tree.find_all(exp.Literal)] for tree in found]
    assert places[0] == places[1]


@pytest.mark.parametrize("broken", ["'x'", "1 +", "(", "1, 2", "a", "1)", "1_0", "--1\n"])
@pytest.mark.parametrize("frame", ["VALUES {0}", "SELECT 1 IN ({0})", "SELECT [{0}]"])
def test_same_errors_of_syntax(monkeypatch: pytest.MonkeyPatch, frame: str, broken: str) -> None:
    row = "({0})" if "VALUES" in frame else "{0}"
    sql = frame.format(", ".join([*(row.format(i) for i in range(100)), row.format(broken)]))
    found: list[Any] = []
    for _ in both_ways(monkeypatch):
        connection = tensorsql.connect()
        try:
            found.append(connection.execute(sql).fetchall())
        except errors.Error as error:
            found.append((type(error), error.message, error.position))
        connection.close()
    assert found[0] == found[1]


def test_the_bad_one_of_many_is_named() -> None:
    connection = tensorsql.connect()
    connection.execute("CREATE TABLE t (a INTEGER, d DATE)")
    rows = [f"({i}, '2020-01-01')" for i in range(2000)]
    rows[1234] = "(1234, DATE '2020-01-01')"
    rows[1500] = "(NULL, 1.5)"
    with pytest.raises(errors.BindError, match='column "d" is DATE') as caught:
        connection.execute("INSERT INTO t VALUES\n" + ",\n".join(rows))
    assert caught.value.position == (1502, 8)
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_views_of_runs_are_stored() -> None:
    connection = tensorsql.connect()
    connection.execute(f"CREATE VIEW v AS SELECT * FROM (VALUES {ROWS}) t (a, b, c)")
    found = connection.execute(f"SELECT count(*), max(a) FROM v WHERE b NOT IN ({ITEMS})")
    assert found.fetchall() == [(100, 99)]
    items = ", ".join(map(str, range(200)))
    text = str(connection.execute(f"EXPLAIN SELECT * FROM v WHERE a IN ({items})").fetchall())
    assert "a IN (0, 1, 2, … 196 more …, 199)" in text


@pytest.mark.parametrize("kind", LITERALS)
@pytest.mark.parametrize("written", ["VALUES{rows}", "SELECT i IN({items}), [{items}]"])
def test_texts_are_stored_that_alone_have_a_run_or_have_none(
    monkeypatch: pytest.MonkeyPatch, kind: str, written: str
) -> None:
    """Blanks and comments change as a view is stored, and so does what is read as a run."""
    items = [*LITERALS[kind] * 64][:64]
    for between in (",", ", /* a comment */ ", f",{' ' * 20}"):
        rows = between.join(f"({item})" for item in items)
        text = written.format(rows=rows, items=between.join(items))
        for long in (0, len(text) + 1, MANY):
            monkeypatch.setattr(pieces, "LONG", long)
            assert stored_text(parse(text)[0])
