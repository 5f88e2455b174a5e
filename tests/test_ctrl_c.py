"""Ctrl-C: a KeyboardInterrupt that leaves session, tables and folders as if nothing had been run.

Ctrl-C is pressed, and pressed again at once, when a statement looks whether it is cancelled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensorsql
from tensorsql import session_state
from tensorsql.dbapi import Connection
from tests.cancel_kinds import KINDS, fingerprint, prepared

AT_LOOK = 5


class Pressing(threading.Event):
    """An event at whose look Ctrl-C is pressed, twice."""

    looks = 0

    def is_set(self) -> bool:
        Pressing.looks += 1
        if Pressing.looks in (AT_LOOK, AT_LOOK + 1):
            os.kill(os.getpid(), signal.SIGINT)
        return super().is_set()


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    found = prepared(tmp_path_factory.mktemp("ctrl_c"))
    yield found
    found.close()


def pressed_in(connection: Connection, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a statement in which Ctrl-C is pressed."""
    Pressing.looks = 0
    with monkeypatch.context() as patch:
        patch.setattr(session_state, "Event", Pressing)
        connection.execute(sql)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "read csv"])
def test_ends_every_kind(
    kind: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = fingerprint(connection)
    with pytest.raises(KeyboardInterrupt):
        pressed_in(connection, KINDS[kind].replace("{folder}", str(tmp_path)), monkeypatch)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert fingerprint(connection) == kept
    assert not list(tmp_path.glob("*.part"))
    with tensorsql.connect(
        str(connection.session.database.store.folder)
    ) as other:  # no lock is left
        other.execute("CREATE TABLE v AS SELECT 1")
        other.execute("DROP TABLE v")


def test_ends_what_is_made_of_several_statements(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt between two of the statements is not lost, and the first ones are undone."""
    connection.execute("CREATE TABLE many (x INT)")
    Pressing.looks = 0
    rows = [(i,) for i in range(100)]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(session_state, "Event", Pressing)
        connection.executemany("INSERT INTO many SELECT ?", rows)
    assert connection.execute("SELECT count(*) FROM many").fetchall() == [(0,)]
    connection.execute("DROP TABLE many")


def test_fetching_can_be_tried_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = connection.execute("SELECT x, s FROM t")
    Pressing.looks = 0
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(session_state, "Event", Pressing)
        cursor.fetchall()
    assert len(cursor.fetchall()) == 30_000


def test_of_others_is_left_to_them(connection: Connection) -> None:
    """A program that handles SIGINT itself keeps its handler."""
    told = []
    before = signal.signal(signal.SIGINT, lambda *_: told.append(1))
    try:
        signal.raise_signal(signal.SIGINT)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        connection.execute("SELECT count(*) FROM t a, small b WHERE a.x + b.x = 17")
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == [1, 1]


def program(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program."""
    command = [sys.executable, "-c", text, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


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


def test_while_torch_is_imported() -> None:
    done = program(INTERRUPTED_IMPORT)
    assert done.stdout.splitlines()[-1] == "[(45,)]"
    assert done.stderr == ""


LONG_SORT = """
import os, signal, threading, tensorsql
connection = tensorsql.connect()
connection.execute("SELECT 1")
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    connection.execute("SELECT range FROM range(9000000) ORDER BY range * 7919 % 9000011")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_process_ends_whole_while_work_is_left_behind() -> None:
    """Not by an abort, which is what becomes of a thread that Python cuts within C++."""
    done = program(LONG_SORT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


INTERRUPTED_SCRIPT = """
import os, signal, sys, threading
from tensorsql.__main__ import program
threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
sys.argv = ["tensorsql", sys.argv[1], "--mode", "csv", "-f", sys.argv[2]]
program()
"""
SCRIPT = """CREATE TABLE kept AS SELECT 1 AS a;
SELECT a FROM kept;
BEGIN;
INSERT INTO kept VALUES (2);
SELECT count(*) FROM range(10000000) a, range(10000000) b;
INSERT INTO kept VALUES (3);
"""


def test_ends_a_script_with_130(tmp_path: Path) -> None:
    script, database = tmp_path / "script.sql", tmp_path / "script.tsql"
    script.write_text(SCRIPT)
    done = program(INTERRUPTED_SCRIPT, str(database), str(script))
    assert done.returncode == 130
    assert done.stderr == "Interrupted Error: the query was cancelled\n"
    assert done.stdout in ("a\n1\n", "")
    with tensorsql.connect(database) as connection:
        if done.stdout:
            assert connection.execute("SELECT a FROM kept").fetchall() == [(1,)]
