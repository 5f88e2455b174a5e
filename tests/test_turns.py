"""Writers take turns in the order they came; a wait ends, and says for whom; readers need none."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch

import tensorsql
from tensorsql import errors, session
from tensorsql.storage.columns import types
from tensorsql.storage.tables import folder_store
from tensorsql.storage.tables.catalog import ColumnSchema, TableSchema
from tensorsql.storage.tables.database import Database
from tensorsql.storage.tables.locks import FileLock, FolderTurns, Wait
from tensorsql.storage.tables.transaction import Transaction

T = TableSchema("t", (ColumnSchema("i", types.INTEGER),))
HOLDER = r"process \d+ \(this one\) since \d\d:\d\d:\d\d"


@pytest.fixture(params=["folder", "memory"])
def open_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Database]:
    if request.param == "folder":
        return lambda: Database.open(tmp_path / "db", writer_timeout=60)
    database = Database.open(writer_timeout=60)
    return lambda: database


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def waiting(database: Database) -> int:
    """How many wait for their turn."""
    turns = database.store._turns  # type: ignore[attr-defined]
    if database.folder is None:
        return len(turns._queue) - 1
    tickets = database.folder / "turns"
    return len(os.listdir(tickets)) if tickets.exists() else 0


def test_in_the_order_they_came(open_database: Callable[[], Database]) -> None:
    first = open_database()
    holder = first.begin(write=True)
    order: list[int] = []

    def take_turn(number: int) -> None:
        database = open_database()
        transaction = database.begin(write=True)
        order.append(number)
        transaction.rollback()
        if database is not first:
            database.close()

    threads = []
    for number in range(6):
        threads.append(threading.Thread(target=take_turn, args=(number,)))
        threads[-1].start()
        wait_for(lambda number=number: waiting(first) == number + 1)
    holder.rollback()
    for thread in threads:
        thread.join()
    assert order == list(range(6)) and waiting(first) <= 0
    first.begin(write=True).rollback()


def test_those_who_do_not_come_back_are_passed_over(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "db", writer_timeout=60)
    holder = database.begin(write=True)
    child = os.fork()
    if not child:
        Database.open(tmp_path / "db", writer_timeout=60).begin(write=True)
        os._exit(0)
    wait_for(lambda: waiting(database) == 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = os.listdir(tmp_path / "db" / "turns")
    got: list[Transaction] = []
    thread = threading.Thread(target=lambda: got.append(database.begin(write=True)))
    thread.start()
    wait_for(lambda: bool({*os.listdir(tmp_path / "db" / "turns")} - {left}))
    holder.rollback()
    thread.join()
    assert got and waiting(database) == 0
    database.close()


def test_a_wait_ends_and_says_for_whom(open_database: Callable[[], Database]) -> None:
    database = open_database()
    holder = database.begin(write=True)
    database.writer_timeout = 0.05
    with pytest.raises(errors.TransactionError, match=f"has been writing: {HOLDER}; waited 0.05 s"):
        database.begin(write=True)
    late = database.begin()
    with pytest.raises(errors.TransactionError, match=HOLDER):
        late.create_table(T)
    holder.rollback()
    late.create_table(T)
    late.commit()


def test_another_process_is_named(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "db", writer_timeout=0.05)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        transaction = Database.open(tmp_path / "db").begin(write=True)
        transaction.enter()
        os.write(writing, b"x")
        time.sleep(60)
        os._exit(0)
    assert os.read(reading, 1) == b"x"
    with pytest.raises(errors.TransactionError, match=rf"process {child} since \d\d:"):
        database.begin(write=True)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    database.begin(write=True).rollback()


@pytest.mark.parametrize("sql", ["INSERT INTO t VALUES (1)", "CHECKPOINT"])
def test_interrupt_ends_a_wait(tmp_path: Path, sql: str) -> None:
    connection = tensorsql.connect(tmp_path / "db")
    connection.execute("CREATE TABLE t (i INTEGER)")
    connection.session.database.writer_timeout = 600
    other = Database.open(tmp_path / "db")
    holder = other.begin(write=True)

    def interrupt() -> None:
        wait_for(lambda: waiting(other) == 1)
        connection.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(errors.InterruptedError, match="while it waited for its turn"):
        connection.execute(sql)
    thread.join()
    assert waiting(other) == 0
    holder.rollback()
    connection.execute(sql)
    connection.close()
    other.close()


def test_checkpoint_does_not_wait_for_its_own_transaction(tmp_path: Path) -> None:
    connection = tensorsql.connect(tmp_path / "db")
    connection.execute("CREATE TABLE t (i INTEGER); BEGIN; INSERT INTO t VALUES (1)")
    with pytest.raises(errors.TransactionError, match="COMMIT it before CHECKPOINT"):
        connection.execute("CHECKPOINT")
    connection.execute("COMMIT; CHECKPOINT")
    assert connection.execute("SELECT * FROM t").fetchall() == [(1,)]
    connection.close()


def test_the_keyboard_ends_a_wait(open_database: Callable[[], Database]) -> None:
    database = open_database()
    holder = database.begin(write=True)
    database.writer_timeout = 600

    def press() -> None:
        wait_for(lambda: waiting(database) == 1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        database.begin(write=True)
    thread.join()
    assert waiting(database) == 0
    holder.rollback()
    database.begin(write=True).rollback()


def test_opening_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Database.open(tmp_path / "db").close()
    lease = FileLock(tmp_path / "db" / "lease.lock")
    assert lease.own()
    lease.sign()
    monkeypatch.setattr(folder_store, "LEASE_WAIT", Wait(0.05))
    with pytest.raises(errors.IOError, match=f'db" cannot be opened: {HOLDER} keeps it'):
        Database.open(tmp_path / "db")
    lease.close()
    Database.open(tmp_path / "db").close()


@pytest.fixture
def guarded_folder() -> Iterator[Path]:
    """A database that a child without rights can read but not write."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    database = Database.open(place / "db")
    transaction = database.begin(write=True)
    transaction.create_table(T)
    transaction.append("t", {"i": pa.array([1, 2])})
    transaction.commit()
    database.close()
    yield place / "db"
    for path in [place / "db", *(place / "db").rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(place)


def protect(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def rows_without_rights(folder: Path, again: Callable[[], object] | None = None) -> list[int]:
    """What a process that may write nothing finds, before and after `again`."""
    out, answer = os.pipe()
    go, said = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            database = Database.open(folder, read_only=True)
            for _ in range(2):
                relation = database.begin().relation("t")
                assert relation is not None
                os.write(answer, bytes([relation.live_rows]))
                os.read(go, 1)
            database.close()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(answer)
    first = os.read(out, 1)
    if again is not None:
        again()
    os.write(said, b"x")
    second = os.read(out, 1)
    os.write(said, b"x")
    assert os.waitpid(child, 0)[1] == 0
    return [*first, *second]


def test_reading_a_folder_one_may_not_write(guarded_folder: Path) -> None:
    protect(guarded_folder)
    before = sorted(guarded_folder.rglob("*"))
    assert rows_without_rights(guarded_folder) == [2, 2]
    assert sorted(guarded_folder.rglob("*")) == before


def test_reading_what_a_writer_that_died_left(guarded_folder: Path) -> None:
    """The last commit is in the write-ahead log, and there is no one to bring it in."""
    database = Database.open(guarded_folder)
    transaction = database.begin(write=True)
    transaction.append("t", {"i": pa.array([3])})
    transaction.commit()
    copy = guarded_folder.parent / "copy"
    shutil.copytree(guarded_folder, copy)
    database.close()
    assert (copy / "catalog.sqlite-wal").exists()
    (copy / "catalog.sqlite-shm").unlink()
    protect(copy)
    assert rows_without_rights(copy) == [3, 3]


@pytest.mark.skipif(os.getuid() != 0, reason="needs one who may write and one who may not")
def test_reading_while_another_writes(guarded_folder: Path) -> None:
    protect(guarded_folder)

    def write() -> None:
        database = Database.open(guarded_folder)
        transaction = database.begin(write=True)
        transaction.append("t", {"i": pa.array([3])})
        transaction.commit()
        database.close()

    assert rows_without_rights(guarded_folder, write) == [2, 3]


def test_read_only_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.IOError, match=r'empty" is not a database'):
        tensorsql.connect(tmp_path / "empty", read_only=True)
    assert not any((tmp_path / "empty").iterdir())
    with pytest.raises(errors.IOError, match=re.escape(f'"{tmp_path / "none"}" does not exist')):
        tensorsql.connect(tmp_path / "none", read_only=True)
    with tensorsql.connect(tmp_path / "db") as connection:
        connection.execute("CREATE TABLE t (i INTEGER)")
    junk = tmp_path / "db" / "segments" / "left_by_a_crash.arrow"
    junk.write_bytes(b"x")
    with tensorsql.connect(tmp_path / "db", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
        with pytest.raises(errors.TransactionError, match="open read-only"):
            connection.execute("INSERT INTO t VALUES (1)")
    assert junk.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET i = 1",
        "DELETE FROM t",
        "CREATE TABLE u AS SELECT 1 AS i",
        "COPY t FROM 't.csv'",
    ],
)
def test_the_engine_is_imported_before_the_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """It takes seconds, for which nobody should wait."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("1\n")
    steps: list[str] = []
    with tensorsql.connect("db") as connection:
        connection.execute("CREATE TABLE t (i INTEGER)")
        take = FolderTurns.take
        monkeypatch.setattr(session, "import_engine", lambda: steps.append("import"))
        monkeypatch.setattr(
            FolderTurns, "take", lambda turns, wait: steps.append("turn") or take(turns, wait)
        )
        connection.execute(sql)
    assert steps[:2] == ["import", "turn"]


def test_a_model_is_loaded_before_the_turn(tmp_path: Path) -> None:
    """While it is loaded and tried others write, and who names one as well is told."""
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt")
    writer = Database.open(tmp_path / "db").begin(write=True)
    with tensorsql.connect(tmp_path / "db") as connection:
        with pytest.raises(errors.Error) as raised:
            connection.execute(f"CREATE MODEL m FROM '{tmp_path / 'x.pt'}'")
        assert not isinstance(raised.value, errors.TransactionError)
    writer.rollback()
