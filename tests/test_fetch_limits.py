"""Fetching rows: no memory left is OutOfMemoryError, an interrupt ends it, and no row is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

import tensorsql
from tensorsql import session_state
from tensorsql.errors import InterruptedError

WITHOUT_MEMORY = """
import resource, sys, tensorsql
connection = tensorsql.connect()
numbers = ", ".join(f"(range + {i})::DECIMAL(18, 2) AS d{i}" for i in range(10))
sql = f"SELECT {numbers} FROM range(1000000)"
connection.execute("SELECT 1 AS x, 'a' AS s").df()
fetch = sys.argv[1]
cursor = connection.execute(sql)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
endless = resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_AS, (size + (8 << 20), endless))
try:
    getattr(cursor, fetch)()
    print("fetched")
except tensorsql.errors.OutOfMemoryError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_AS, (endless, endless))
print(len(cursor.rows), cursor.fetchone()[0])
"""
FETCHES = ("fetchall", "df", "fetch_arrow_table")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit and the size are Linux's")
@pytest.mark.parametrize("fetch", FETCHES)
def test_no_memory_left(fetch: str) -> None:
    command = [sys.executable, "-c", WITHOUT_MEMORY, fetch]
    # No allocator keeps what was freed, or it might do without new memory.
    plain = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | plain)
    assert done.stdout.splitlines() == [
        "the machine has no memory left for this statement",
        "1000000 0.00",
    ], done.stderr


class Cancelling(threading.Event):
    """An event that is set at a look."""

    left = 0

    def is_set(self) -> bool:
        Cancelling.left -= 1
        return Cancelling.left <= 0


@pytest.mark.parametrize("fetch", FETCHES)
@pytest.mark.parametrize("looks", [1, 3])
def test_an_interrupt_ends_it_and_loses_nothing(
    fetch: str, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT range AS a, range AS b, 'text ' || range AS c FROM range(100000)"
    cursor = tensorsql.connect().execute(sql)
    monkeypatch.setattr(session_state, "Event", Cancelling)
    Cancelling.left = looks
    with pytest.raises(InterruptedError):
        getattr(cursor, fetch)()
    monkeypatch.undo()
    assert len(getattr(cursor, fetch)()) == 100_000


def test_an_interrupt_before_it_does_nothing() -> None:
    connection = tensorsql.connect()
    cursor = connection.execute("SELECT range FROM range(3)")
    connection.interrupt()
    assert cursor.fetchall() == [(0,), (1,), (2,)]


def test_rows_come_once_and_in_order_over_blocks() -> None:
    cursor = tensorsql.connect().execute("SELECT range FROM range(50000)")
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany(40_000) == [(i,) for i in range(1, 40_001)]
    assert cursor.fetchall() == [(i,) for i in range(40_001, 50_000)]
