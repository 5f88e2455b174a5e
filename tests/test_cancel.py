"""Interrupts: every kind of statement looks often whether it is cancelled, ends and leaves nothing.

Not seconds are measured but looks: a statement is cancelled at its first, middle and last look.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensorsql
from tensorsql import session_state
from tensorsql.cancellation import cancelled_by, check_cancelled, in_helper
from tensorsql.dbapi import Connection
from tensorsql.errors import InterruptedError
from tests.cancel_kinds import KINDS, fingerprint, prepared


class Cancelling(threading.Event):
    """An event that is set at a look: `looks` counts them."""

    limit = sys.maxsize
    looks = 0

    def is_set(self) -> bool:
        Cancelling.looks += 1
        return Cancelling.looks >= Cancelling.limit


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    found = prepared(tmp_path_factory.mktemp("cancel"))
    found.execute("SET plan_cache = 0")  # planning looks, too
    yield found
    found.close()


def cut(connection: Connection, sql: str, limit: int) -> None:
    """Run a statement that is cancelled at a look; what it did before is undone."""
    connection.execute("BEGIN")
    Cancelling.limit, Cancelling.looks = limit, 0
    try:
        connection.execute(sql)
    finally:
        Cancelling.limit = sys.maxsize
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("kind", KINDS)
def test_ends_at_any_look(
    kind: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = fingerprint(connection)
    if kind == "read csv":
        connection.execute(f"COPY t TO '{tmp_path}/kept.csv'")
    sql = KINDS[kind].replace("{folder}", str(tmp_path))
    monkeypatch.setattr(session_state, "Event", Cancelling)
    cut(connection, sql, sys.maxsize)
    looks = Cancelling.looks
    assert looks >= 10
    for limit in (1, looks // 2):
        with pytest.raises(InterruptedError, match="the query was cancelled"):
            cut(connection, sql, limit)
    monkeypatch.undo()
    assert fingerprint(connection) == kept
    assert not list(tmp_path.glob("*.part"))


SHORT = (
    "CREATE VIEW v AS SELECT x, k FROM small_t",
    "CREATE TABLE u (a INT PRIMARY KEY, b VARCHAR DEFAULT 'x' NOT NULL)",
    "DROP TABLE small_t",
    "INSERT INTO small_t VALUES (1, 2), (3, 4)",
    "INSERT INTO small_t VALUES ('no number', 2)",
    "SELECT CAST(k || 'x' AS INT) FROM small_t",
    "SELECT TRY_CAST(k || 'x' AS INT), CASE WHEN k > 1 THEN 1 END FROM small_t ORDER BY ALL",
    "SELECT nothing FROM small_t",
    "SELECT x FROM '{folder}/a.csv' WHERE x < 10",
    "COPY (SELECT x FROM small_t) TO '{folder}/b.csv'",
    "EXPLAIN ANALYZE SELECT count(*) FROM small_t",
    "PRAGMA integrity_check",
)


@pytest.mark.parametrize("sql", SHORT)
def test_nobody_takes_an_interrupt_for_a_fault(
    sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement cancelled at any look is cancelled: not wrong, and not done with less rows."""
    connection = tensorsql.connect(str(tmp_path / "short.tsql"))
    connection.execute("CREATE TABLE small_t AS SELECT range AS x, range % 3 AS k FROM range(20)")
    connection.execute(f"COPY small_t TO '{tmp_path}/a.csv'")
    monkeypatch.setattr(session_state, "Event", Cancelling)
    sql, before = sql.replace("{folder}", str(tmp_path)), connection.session.database.store.latest()
    for limit in (*range(1, 40), *range(40, 2000, 101)):
        Cancelling.limit, Cancelling.looks = limit, 0
        try:
            connection.execute(sql)
        except InterruptedError:
            assert connection.session.database.store.latest().tables == before.tables
            assert not (tmp_path / "b.csv").exists()
            continue
        except tensorsql.Error:
            pass
        break
    Cancelling.limit = sys.maxsize
    assert 1 < limit < 1900 and Cancelling.looks <= limit
    connection.close()


def test_what_never_looks_is_left_behind() -> None:
    event, going = threading.Event(), threading.Event()
    with cancelled_by(event):
        event.set()
        with pytest.raises(InterruptedError):
            in_helper(going.wait)
    going.set()


def test_a_helper_needs_no_other() -> None:
    """So a crew's threads do themselves what they would be left behind with anyway."""
    own, inner = in_helper(lambda: (threading.get_ident(), in_helper(threading.get_ident)))
    assert own == inner != threading.get_ident()


def test_nobody_is_cancelled_without_a_statement() -> None:
    check_cancelled()
    assert in_helper(lambda: 1) == 1


def test_interrupt_from_another_thread(connection: Connection) -> None:
    told = threading.Timer(0.3, connection.interrupt)
    told.start()
    with pytest.raises(InterruptedError):
        connection.execute("SELECT count(*) FROM range(10000000) a, range(10000000) b")
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
