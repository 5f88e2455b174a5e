"""Interrupts: every kind of statement looks often whether it is cancelled, ends and leaves nothing.

Not seconds are measured but looks: a statement is cancelled at its first, middle and last look.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensorsql
from tensorsql import session as session_module
from tensorsql.cancellation import cancelled_by, check_cancelled, in_helper
from tensorsql.dbapi import Connection
from tensorsql.errors import InterruptedError

ROWS = 30_000
FRAME = "OVER (PARTITION BY k % 3 ORDER BY x ROWS BETWEEN 50 PRECEDING AND 50 FOLLOWING)"
KINDS = {
    "scan": "SELECT sum(x * k + f) FROM t WHERE x % 7 <> 3",
    "sort": "SELECT * FROM t ORDER BY s, x DESC",
    "top-n": "SELECT * FROM t ORDER BY f LIMIT 1000",
    "running sum": "SELECT sum(x) OVER (ORDER BY x) FROM t",
    "rank": "SELECT rank() OVER (PARTITION BY k ORDER BY x) FROM t",
    "sliding average": f"SELECT avg(f) {FRAME} FROM t",
    "sliding distinct": f"SELECT count(DISTINCT f) {FRAME} FROM t",
    "groups": "SELECT x, sum(k), avg(f) FROM t GROUP BY x",
    "median": "SELECT k, median(f) FROM t GROUP BY k",
    "count distinct": "SELECT k, count(DISTINCT x) FROM t GROUP BY k",
    "string_agg": "SELECT k, string_agg(s, ',') FROM t GROUP BY k",
    "distinct": "SELECT DISTINCT x, k FROM t",
    "join": "SELECT sum(a.k) FROM t a JOIN t b ON a.x = b.x",
    "cross join": "SELECT count(*) FROM t a, small b WHERE a.x + b.x = 17",
    "union": "SELECT x FROM t UNION SELECT x + 1 FROM t",
    "text": "SELECT sum(length(regexp_replace(upper(s), '[0-9]+', 'x', 'g'))) FROM t",
    "CREATE TABLE AS": "CREATE TABLE u AS SELECT *, x + 1 AS y FROM t",
    "INSERT": "INSERT INTO t SELECT * FROM t",
    "UPDATE": "UPDATE t SET f = f + 1, s = s || 'a'",
    "DELETE": "DELETE FROM t WHERE x % 2 = 0",
    "COPY parquet": "COPY t TO '{folder}/new.parquet'",
    "COPY csv": "COPY t TO '{folder}/new.csv'",
    "COPY json": "COPY t TO '{folder}/new.json'",
    "read csv": "SELECT count(*), sum(x) FROM '{folder}/kept.csv'",
    "conditions": "SELECT 1 FROM small WHERE " + " AND ".join(f"x <> {i}" for i in range(300)),
    "CTEs": "WITH " + ", ".join(f"a{i} AS (SELECT 1)" for i in range(100)) + " SELECT 1",
    "joins": "SELECT 1 FROM small a0 "
    + " ".join(f"JOIN small a{i} ON a{i}.x = a0.x" for i in range(1, 12)),
    "values": f"SELECT * FROM (VALUES {', '.join(f'({i})' for i in range(500))})",
}


class Cancelling(threading.Event):
    """An event that is set at a look: `looks` counts them."""

    limit = sys.maxsize
    looks = 0

    def is_set(self) -> bool:
        Cancelling.looks += 1
        return Cancelling.looks >= Cancelling.limit


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("cancel")
    found = tensorsql.connect(str(folder / "cancel.tsql"))
    found.execute("SET morsel_size = 4096")
    found.execute(
        f"CREATE TABLE t AS SELECT (i * 7919) % {ROWS} AS x, i % 1000 AS k, "
        f"(i * 31 % {ROWS}) / 7.0::DOUBLE AS f, 'text ' || i AS s FROM range({ROWS}) r(i)"
    )
    found.execute("CREATE TABLE small AS SELECT range AS x FROM range(300)")
    found.execute(f"COPY t TO '{folder}/kept.csv'")
    yield found
    found.close()


def cut(connection: Connection, sql: str, limit: int) -> None:
    """Run a statement that is cancelled at a look; what it did before is undone."""
    Cancelling.limit, Cancelling.looks = limit, 0
    try:
        connection.execute("BEGIN")
        Cancelling.looks = 0
        connection.execute(sql)
    finally:
        Cancelling.limit = sys.maxsize
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("kind", KINDS)
def test_ends_at_any_look(
    kind: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = connection.execute("SELECT count(*), sum(x), sum(f) FROM t").fetchall()
    folder = Path(str(connection.session.database.path)).parent if "kept" in kind else tmp_path
    if kind == "read csv":
        connection.execute(f"COPY t TO '{tmp_path}/kept.csv'")
    sql = KINDS[kind].replace("{folder}", str(folder))
    monkeypatch.setattr(session_module, "Event", Cancelling)
    cut(connection, sql, sys.maxsize)
    looks = Cancelling.looks
    assert looks >= 10
    for limit in (1, looks // 2):
        with pytest.raises(InterruptedError, match="the query was cancelled"):
            cut(connection, sql, limit)
    monkeypatch.undo()
    assert connection.execute("SELECT count(*), sum(x), sum(f) FROM t").fetchall() == kept
    assert not list(tmp_path.glob("*.part"))


def test_what_never_looks_is_left_behind() -> None:
    event, going = threading.Event(), threading.Event()
    with cancelled_by(event):
        event.set()
        with pytest.raises(InterruptedError):
            in_helper(going.wait)
    going.set()


def test_nobody_is_cancelled_without_a_statement() -> None:
    check_cancelled()
    assert in_helper(lambda: 1) == 1


def test_interrupt_from_another_thread(connection: Connection) -> None:
    told = threading.Timer(0.3, connection.interrupt)
    told.start()
    with pytest.raises(InterruptedError):
        connection.execute("SELECT count(*) FROM range(10000000) a, range(10000000) b")
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


INTERRUPTED_IMPORT = """
import os, signal, sys, threading, tensorsql
connection = tensorsql.connect()
assert "torch" not in sys.modules
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    connection.execute("SELECT 1").fetchall()
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", "torch" in sys.modules)
print(connection.execute("SELECT sum(range) FROM range(10)").fetchall())
"""


def test_ctrl_c_while_torch_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[(45,)]"
    assert done.stderr == ""
