"""Forks, lost connections and dead threads: nobody's commits are lost and nobody waits for ever."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tensorsql
from tensorsql import errors
from tensorsql.dbapi import Connection
from tensorsql.storage.tables.database import Database

Action = Callable[[Connection], object]
OF_A_FORK = "of which this one is a fork"


def in_child(action: Callable[[], Any]) -> Any:
    """What `action` gives in a fork of this process; "raised …" with the traceback if it raises."""
    gc.collect()  # what other tests left: torch's threads, which it may want, are not in a child
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = action()
        except BaseException:
            answer = "raised " + traceback.format_exc()
        os.write(writing, pickle.dumps(answer))
        os.close(writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return pickle.loads(answer)


def message_of(action: Callable[[], object]) -> str:
    """The message of the InterfaceError that the action raises; empty if it raises none."""
    try:
        action()
    except errors.InterfaceError as error:
        return str(error)
    return ""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "db"
    with tensorsql.connect(path) as connection:
        connection.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (0)")
    yield path
    # whatever happened: nothing is lost or half there, and nobody has to wait
    with tensorsql.connect(path) as connection:
        connection.execute("INSERT INTO t VALUES (1000)")
        found = connection.execute("SELECT count(*), max(i) FROM t").fetchone()
        assert found is not None and found[0] >= 2 and found[1] == 1000


def numbers(connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT i FROM t ORDER BY i").fetchall()]


USES: dict[str, Action] = {
    "read": lambda connection: connection.execute("SELECT 1"),
    "read a table": lambda connection: connection.execute("SELECT * FROM t"),
    "write": lambda connection: connection.execute("INSERT INTO t VALUES (5)"),
    "write many": lambda connection: connection.executemany("INSERT INTO t VALUES (?)", [[5]]),
    "begin": lambda connection: connection.begin(),
    "commit": lambda connection: connection.commit(),
    "roll back": lambda connection: connection.rollback(),
    "checkpoint": lambda connection: connection.execute("CHECKPOINT"),
    "cursor": lambda connection: connection.cursor(),
    "interrupt": lambda connection: connection.interrupt(),
    "register": lambda connection: connection.register("x", {"a": [1]}),
    "enter": lambda connection: connection.__enter__(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("open_transaction", [False, True])
def test_a_child_is_told(folder: Path, use: str, open_transaction: bool) -> None:
    connection = tensorsql.connect(folder)
    if open_transaction:
        connection.execute("BEGIN; INSERT INTO t VALUES (1)")
    assert OF_A_FORK in in_child(lambda: message_of(lambda: USES[use](connection)))
    connection.execute("INSERT INTO t VALUES (2)")
    connection.commit()
    assert numbers(connection) == ([0, 1, 2] if open_transaction else [0, 2])
    connection.close()


def leave_with_block(connection: Connection) -> None:
    with connection:
        pass


def end_of_python(connection: Connection) -> None:
    """What happens when the child ends by itself: exit handlers and the last collection."""
    import atexit

    atexit._run_exitfuncs()
    gc.collect()


def forget(connection: Connection) -> None:
    connection._finalizer()
    gc.collect()


ENDS: dict[str, Action] = {
    "close": lambda connection: connection.close(),
    "leave a with block": lambda connection: connection.__exit__(None, None, None),
    "leave it by an error": lambda connection: connection.__exit__(ValueError, None, None),
    "end of python": end_of_python,
    "collected": forget,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("open_transaction", [False, True])
def test_a_child_leaves_files_and_locks_alone(
    folder: Path, end: str, open_transaction: bool
) -> None:
    connection = tensorsql.connect(folder)
    if open_transaction:
        connection.execute("BEGIN; INSERT INTO t VALUES (1)")
    before = {path for path in folder.rglob("*") if path.is_file()}
    assert in_child(lambda: ENDS[end](connection)) is None
    after = {path for path in folder.rglob("*") if path.is_file()}
    assert {p for p in before ^ after if "sqlite" not in p.name} == set()
    with pytest.raises(errors.TransactionError, match="another connection has been writing"):
        if not open_transaction:
            connection.execute("BEGIN; INSERT INTO t VALUES (1)")
        other = Database.open(folder, writer_timeout=0.05)
        try:
            other.begin(write=True)
        finally:
            other.close()
    connection.commit()
    assert numbers(connection) == [0, 1]
    connection.close()


def test_transactions_of_a_database_in_a_child(folder: Path) -> None:
    database = Database.open(folder)
    transaction = database.begin(write=True)
    transaction.delete("t", [0])
    uses: list[Callable[[], object]] = [
        transaction.commit,
        database.begin,
        database.checkpoint,
        lambda: transaction.delete("t", [0]),
    ]
    for use in uses:
        assert OF_A_FORK in in_child(lambda use=use: message_of(use))
    assert in_child(transaction.rollback) is None and in_child(database.close) is None
    transaction.rollback()
    database.close()


def test_a_database_in_memory_belongs_to_its_process_too() -> None:
    connection = tensorsql.connect()
    connection.execute("CREATE TABLE t (i INTEGER); BEGIN; INSERT INTO t VALUES (0)")
    assert OF_A_FORK in in_child(lambda: message_of(lambda: numbers(connection)))
    assert in_child(connection.close) is None
    connection.commit()
    assert numbers(connection) == [0]


def test_a_child_can_connect_again(folder: Path) -> None:
    """Its writes outlive the parent's connection, which must not take it for alone."""
    connection = tensorsql.connect(folder)
    connection.execute("INSERT INTO t VALUES (1)")
    to_child, to_parent = multiprocessing.Pipe(), multiprocessing.Pipe()
    child = os.fork()
    if not child:
        try:
            own = Database.open(folder)
            to_parent[1].send("open")
            to_child[0].recv()
            transaction = own.begin(write=True)
            transaction.delete("t", [0])
            transaction.commit()
            own.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert to_parent[0].recv() == "open"
    connection.close()
    to_child[1].send("closed")
    assert os.waitpid(child, 0)[1] == 0
    with tensorsql.connect(folder) as again:
        assert numbers(again) == [1]
        again.execute("INSERT INTO t VALUES (2)")


def test_a_child_that_stays_does_not_keep_locks(folder: Path) -> None:
    connection = tensorsql.connect(folder)
    connection.execute("BEGIN; INSERT INTO t VALUES (1)")
    gc.collect()  # what other tests left: torch's threads, which it may want, are not in a child
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    connection.commit()
    connection.close()
    with tensorsql.connect(folder) as other:
        other.execute("INSERT INTO t VALUES (2)")
        assert numbers(other) == [0, 1, 2]
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0


def test_a_killed_parent_with_a_child(folder: Path) -> None:
    """The child of a writer that was killed lives on; the writer's lock does not."""
    script = f"""
import os, time
from tensorsql.storage.tables.database import Database
transaction = Database.open({str(folder)!r}).begin(write=True)
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    try:
        with tensorsql.connect(folder) as connection:
            connection.execute("INSERT INTO t VALUES (1)")
            assert numbers(connection) == [0, 1]
    finally:
        os.kill(child, 9)
        parent.stdout.close()


@pytest.mark.parametrize("told", [False, True])
def test_a_fork_that_python_did_not_make(folder: Path, told: bool) -> None:
    """As servers written in C fork: Python is told of it as its manual asks, or not at all."""
    import ctypes

    connection = tensorsql.connect(folder)
    connection.execute("BEGIN; INSERT INTO t VALUES (1)")
    if told:
        ctypes.pythonapi.PyOS_BeforeFork()
    child = ctypes.PyDLL(None).fork()
    if told and child:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    if not child:
        try:
            if told:
                ctypes.pythonapi.PyOS_AfterFork_Child()
            assert OF_A_FORK in message_of(lambda: connection.execute("SELECT 1"))
            connection.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    connection.commit()
    connection.close()
    with tensorsql.connect(folder) as again:
        assert numbers(again) == [0, 1]


def worker(connection: Connection) -> None:
    assert OF_A_FORK in message_of(lambda: connection.execute("SELECT 1"))


def test_multiprocessing(folder: Path) -> None:
    connection = tensorsql.connect(folder)
    connection.execute("BEGIN; INSERT INTO t VALUES (1)")
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=worker, args=(connection,)) for _ in range(3)]
    for process in workers:
        process.start()
    for process in workers:
        process.join()
        assert process.exitcode == 0
    connection.commit()
    assert numbers(connection) == [0, 1]
    connection.close()


def test_forks_while_another_thread_writes(folder: Path) -> None:
    database = Database.open(folder, writer_timeout=60)
    ended = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(15):
                transaction = database.begin(write=True)
                transaction.append("t", {"i": _array([number + 1])})
                transaction.commit()
        except BaseException as error:
            failures.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not ended.wait(0.01):
        assert OF_A_FORK in in_child(lambda: message_of(database.begin))
    thread.join()
    assert not failures
    database.close()
    with tensorsql.connect(folder) as connection:
        assert numbers(connection) == list(range(16))


def _array(values: list[int]) -> Any:
    import pyarrow as pa

    return pa.array(values)


def test_a_collected_connection_rolls_back(folder: Path) -> None:
    connection = tensorsql.connect(folder)
    connection.execute("BEGIN; INSERT INTO t VALUES (1)")
    cursor = connection.execute("INSERT INTO t VALUES (2)")
    del connection
    other = tensorsql.connect(folder)
    assert cursor.rowcount == 1  # a cursor keeps its connection
    del cursor
    other.execute("INSERT INTO t VALUES (1)")
    assert numbers(other) == [0, 1]
    other.close()


def test_a_collected_database_lets_go(folder: Path) -> None:
    database = Database.open(folder)
    transaction = database.begin(write=True)
    del database, transaction
    gc.collect()
    with tensorsql.connect(folder) as connection:
        connection.execute("INSERT INTO t VALUES (1)")


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_the_end_of_a_thread_rolls_back(folder: Path, place: str) -> None:
    connection = tensorsql.connect(folder if place == "folder" else ":memory:")
    if place == "memory":
        connection.execute("CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (0)")
    thread = threading.Thread(target=lambda: connection.execute("BEGIN; INSERT INTO t VALUES (1)"))
    thread.start()
    thread.join()
    if place == "folder":
        with tensorsql.connect(folder) as other:
            other.execute("INSERT INTO t VALUES (3)")
            other.execute("DELETE FROM t WHERE i = 3")
    with pytest.raises(errors.TransactionError, match="the thread that wrote in it has ended"):
        connection.execute("SELECT 1")
    connection.execute("INSERT INTO t VALUES (2)")
    assert numbers(connection) == [0, 2]
    connection.close()


def test_a_transaction_can_move_to_another_thread(folder: Path) -> None:
    connection = tensorsql.connect(folder)
    moved = threading.Event()

    def begin() -> None:
        connection.execute("BEGIN; INSERT INTO t VALUES (1)")
        moved.wait()

    thread = threading.Thread(target=begin)
    thread.start()
    while connection.session.transaction is None or not connection.session.transaction.changed:
        threading.Event().wait(0.005)
    connection.execute("INSERT INTO t VALUES (2)")
    moved.set()
    thread.join()
    connection.commit()
    assert numbers(connection) == [0, 1, 2]
    connection.close()


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def rename(folder: Path) -> None:
    folder.rename(folder.with_name("other"))


def exchange(folder: Path) -> None:
    folder.rename(folder.with_name("other"))
    tensorsql.connect(folder).close()


@pytest.mark.parametrize("loss", [remove, empty, rename, exchange], ids=lambda f: f.__name__)
@pytest.mark.parametrize("sql", ["SELECT * FROM t", "INSERT INTO t VALUES (1)", "CHECKPOINT"])
@pytest.mark.parametrize("open_transaction", [False, True])
def test_a_lost_folder(
    tmp_path: Path, loss: Callable[[Path], object], sql: str, open_transaction: bool
) -> None:
    folder = tmp_path / "db"
    connection = tensorsql.connect(folder)
    connection.execute("CREATE TABLE t (i INTEGER)")
    if open_transaction:
        connection.execute("BEGIN; INSERT INTO t VALUES (1)")
    loss(folder)
    if open_transaction and not sql.startswith("INSERT"):
        sql = "COMMIT"
    with pytest.raises(errors.IOError, match=f'"{folder}.*was removed, renamed or emptied'):
        connection.execute(sql)
    connection.close()
    with tensorsql.connect(folder) as again:
        assert again.execute("SELECT 1").fetchall() == [(1,)]


def test_a_fork_can_query_after_torch_has_worked_with_threads(tmp_path: Path) -> None:
    """Torch's threads are not in the child, which must not wait for them."""
    query = "SELECT count(*), max(s) FROM (SELECT 'x' || range AS s FROM range(50000))"

    def ask() -> Any:
        signal.alarm(60)
        with tensorsql.connect() as connection:
            answer = connection.execute(query).fetchall()
        signal.alarm(0)
        return answer

    assert ask() == in_child(ask) == [(50000, "x9999")]
