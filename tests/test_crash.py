"""Killed writers, and two processes at once: what is acknowledged stays, nothing is half there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crash_writer import SCHEMA, expected

from tensorsql.errors import TransactionError
from tensorsql.storage.columns.arrow import to_arrow
from tensorsql.storage.columns.column import take
from tensorsql.storage.tables.database import Database, Transaction

KILLS = 25


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("crash_writer.py")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    yield process
    process.communicate()


def ask(server: subprocess.Popen[str], mode: str, folder: Path, said: Path) -> int:
    assert server.stdin and server.stdout
    server.stdin.write(f"{mode} {folder} {said}\n")
    return int(server.stdout.readline())


def ended(server: subprocess.Popen[str]) -> None:
    assert server.stdout and server.stdout.readline() == "ended\n"


def batches(transaction: Transaction) -> dict[int, int]:
    """Live rows per batch."""
    relation = transaction.relation("t")
    if relation is None or not relation.rows:
        return {}
    reader = relation.open()
    column = reader.read("batch", 0, relation.rows)
    live = reader.live(0, relation.rows)
    if live is not None:
        column = take(column, live.nonzero().reshape(-1))
    assert len(column) == relation.live_rows
    return dict(Counter(to_arrow(column).to_pylist()))


def check(folder: Path, acknowledged: int) -> int:
    """Reopen alone, compare with the model, and return the step that is there."""
    database = Database.open(folder)
    transaction = database.begin()
    view = transaction.view("last")
    step = int(view.sql) if view else 0
    # the last step may have become visible before it could be acknowledged
    assert step in (acknowledged, acknowledged + 1)
    assert batches(transaction) == expected(step)
    state = database.store.latest().tables.get("t")
    referred = {segment.name for segment in state.segments} if state else set()
    referred |= {deletion.name for deletion in state.deletions.values()} if state else set()
    assert {path.name for path in (folder / "segments").iterdir()} == referred
    database.close()
    return step


def test_killed_writer(server: subprocess.Popen[str], tmp_path: Path) -> None:
    folder, said = tmp_path / "db", tmp_path / "said"
    said.touch()
    chance = random.Random(7)
    step = 0
    for _ in range(KILLS):
        enough = len(said.read_text().split()) + chance.randint(0, 3)
        child = ask(server, "write", folder, said)
        wait_for(lambda enough=enough: len(said.read_text().split()) >= enough)
        time.sleep(chance.uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
        ended(server)
        lines = said.read_text().split()
        acknowledged = max(int(lines[-1]) if lines else 0, step)
        step = check(folder, acknowledged)
    assert step > KILLS // 5


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_reader_and_second_writer(server: subprocess.Popen[str], tmp_path: Path) -> None:
    folder, said = tmp_path / "db", tmp_path / "said"
    database = Database.open(folder, writer_timeout=0.1)
    transaction = database.begin()
    transaction.create_table(SCHEMA)
    transaction.commit()

    child = ask(server, "hold", folder, said)
    wait_for(lambda: said.exists() and said.read_text() == "holding")
    reader = database.begin()
    assert batches(reader) == {}
    writer = database.begin()
    with pytest.raises(TransactionError, match="another connection has been writing"):
        writer.delete("t", [0])

    os.kill(child, signal.SIGUSR1)
    ended(server)
    assert said.read_text() == "committed"
    assert batches(reader) == {}
    with pytest.raises(TransactionError, match='table "t" was changed by another transaction'):
        writer.delete("t", [0])
    writer.rollback()
    assert batches(database.begin()) == {1: 2}
    database.close()
