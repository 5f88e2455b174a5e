"""Replaced files do not pile up, and none goes that somebody may open, whoever is killed when."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import tensorsql
from tensorsql import errors
from tensorsql.dbapi import Connection
from tensorsql.storage.columns import types
from tensorsql.storage.columns.arrow import to_arrow
from tensorsql.storage.tables import folder_store, replaced
from tensorsql.storage.tables.catalog import ColumnSchema, TableSchema, ViewEntry
from tensorsql.storage.tables.database import Database, Transaction
from tensorsql.storage.tables.replaced import Replaced

T = TableSchema("t", (ColumnSchema("i", types.BIGINT), ColumnSchema("word", types.VARCHAR)))
ROWS = 20
UPDATES = 60
FEW = 60  # files


@pytest.fixture(autouse=True)
def not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here."""
    monkeypatch.setattr(folder_store, "sync", lambda _: None)


def begin(folder: Path) -> Database:
    database = Database.open(folder, writer_timeout=60)
    transaction = database.begin(write=True)
    transaction.create_table(T)
    numbers = list(range(ROWS))
    transaction.append("t", pa.table({"i": numbers, "word": ["old"] * ROWS}))
    transaction.commit()
    return database


def update(database: Database, step: int) -> None:
    """Give the oldest row another word; the view says how often that was done."""
    transaction = database.begin(write=True)
    transaction.update("t", [step - 1], pa.table({"i": [step - 1], "word": [f"word {step}"]}))
    transaction.put_view(ViewEntry("steps", str(step)))
    transaction.commit()


def steps(transaction: Transaction) -> int:
    view = transaction.view("steps")
    return int(view.sql) if view else 0


def words(transaction: Transaction) -> list[str]:
    """The live words in row order."""
    relation = transaction.relation("t")
    assert relation is not None
    reader = relation.open()
    found = to_arrow(reader.read("word", 0, relation.rows)).to_pylist()
    live = reader.live(0, relation.rows)
    keep = [True] * len(found) if live is None else live.tolist()
    return [word for word, kept in zip(found, keep, strict=True) if kept]


def expected(step: int) -> list[str]:
    """The words after so many steps: each takes the first row and adds one."""
    return [*["old"] * ROWS, *(f"word {number + 1}" for number in range(step))][step:]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def none(_: Path) -> Iterator[None]:
    yield


def idle(folder: Path) -> Iterator[None]:
    """Somebody who has read once."""
    database = Database.open(folder)
    database.begin().rollback()
    while True:
        yield


def busy(folder: Path) -> Iterator[None]:
    """Somebody who reads all the time, one transaction beginning before the last has ended."""
    database = Database.open(folder)
    reading = database.begin()
    while True:
        begun = database.begin()
        assert words(reading) == expected(steps(reading))
        reading.rollback()
        reading = begun
        yield


def old(folder: Path) -> Iterator[None]:
    """Somebody who never ends his transaction, and opens no file before the last step."""
    reading = Database.open(folder).begin()
    for _ in range(UPDATES + 1):
        yield
    assert words(reading) == expected(0)


@pytest.mark.parametrize("other", [none, idle, busy, old])
def test_files_stay_few(tmp_path: Path, other: Callable[[Path], Iterator[None]]) -> None:
    database = begin(tmp_path)
    beside = other(tmp_path)
    next(beside)
    for step in range(1, UPDATES + 1):
        update(database, step)
        next(beside, None)
        if step % 10 == 0:
            found = files(tmp_path)
            assert len(found) < FEW and sum(path.stat().st_size for path in found) < 2 << 20
    next(beside, None)
    assert words(database.begin()) == expected(UPDATES)
    database.close()


def test_another_process_goes_on_where_one_was_closed(tmp_path: Path) -> None:
    """Each writes once and ends, while somebody keeps the database open."""
    reader = begin(tmp_path)
    for step in range(1, 40):
        database = Database.open(tmp_path)
        update(database, step)
        database.close()
        assert len(files(tmp_path)) < FEW
    assert words(reader.begin()) == expected(39)


WORLD = """
CREATE TABLE plain AS SELECT range AS i, 'text ' || range AS s FROM range(5000);
DELETE FROM plain WHERE i % 7 = 0;
CREATE TABLE masks AS SELECT range AS id, mask FROM numbers JOIN pixels ON range = index;
CREATE INDEX bounds ON masks USING CHI (mask);
"""
QUESTIONS = (
    "SELECT sum(i), count(s), max(s) FROM plain",
    "SELECT id, CP(mask, -, (0.5, 1.0)) FROM masks",
    "SELECT id FROM masks WHERE CP(mask, -, (0.5, 1.0)) > 5",
    "PRAGMA integrity_check",
)


def ask(connection: Connection) -> list[object]:
    return [connection.execute(question).fetchall() for question in QUESTIONS[:-1]]


def test_an_old_snapshot_keeps_all_its_files(tmp_path: Path) -> None:
    """Tables, bitmaps, masks and an index that were dropped or written anew many commits ago."""
    writer, reader = tensorsql.connect(tmp_path / "db"), tensorsql.connect(tmp_path / "db")
    import numpy as np

    writer.register_masks("pixels", np.random.default_rng(1).integers(0, 255, (9, 4, 4), np.uint8))
    writer.register("numbers", {"range": list(range(9))})
    writer.execute(WORLD)
    right = ask(writer)
    reader.execute("BEGIN")
    reader.execute("SELECT 1")
    writer.execute("DELETE FROM plain WHERE i < 10; CHECKPOINT")
    writer.execute("DROP INDEX bounds; DROP TABLE masks; UPDATE plain SET s = 'new'")
    for number in range(12):
        writer.execute("INSERT INTO plain VALUES (?, 'x')", [number])
    assert not list((tmp_path / "db" / "indexes").glob("*/*.npy")) or ask(reader) == right
    assert ask(reader) == right
    reader.execute("COMMIT")
    for _ in range(10):
        writer.execute("UPDATE plain SET i = 0 WHERE i = 11")
    assert not list((tmp_path / "db" / "indexes").iterdir())
    assert len(files(tmp_path / "db" / "segments")) < FEW
    assert all(row[-1] == "ok" for row in writer.execute("PRAGMA integrity_check").fetchall())


def test_a_result_opens_no_file(tmp_path: Path) -> None:
    """Its transaction has ended, so that the files may be gone when it is fetched."""
    with tensorsql.connect(tmp_path / "db") as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS i, range || 'x' AS s FROM range(999)")
        connection.execute("DELETE FROM t WHERE i < 9")
        cursor = connection.execute("SELECT * FROM t")
        for path in (tmp_path / "db" / "segments").iterdir():
            path.unlink()
        assert cursor.fetchall() == [(i, f"{i}x") for i in range(9, 999)]


class Killed:
    """Ends the process before its n-th step on files, as SIGKILL would."""

    EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.listdir", "fcntl.flock")

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, event: str, _: object) -> None:
        if event in self.EVENTS:
            self.left -= 1
            if self.left < 0:
                os._exit(9)


def killed_at(step: int, folder: Path, done: int) -> bool:
    """Whether a process that makes two updates is killed before so many steps are taken."""
    child = os.fork()
    if not child:
        sys.addaudithook(Killed(step))
        database = Database.open(folder, writer_timeout=60)
        update(database, done + 1)
        update(database, done + 2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("open_beside", [True, False])
def test_killed_between_any_two_steps(tmp_path: Path, open_beside: bool) -> None:
    beside = begin(tmp_path / "db")
    if not open_beside:
        beside.close()
    done, step, killed = 0, 0, True
    while killed:
        killed = killed_at(step, tmp_path / "db", done)
        step += 3
        database = Database.open(tmp_path / "db")
        transaction = database.begin()
        assert done <= steps(transaction) <= done + 2
        done = steps(transaction)
        assert words(transaction) == expected(done)
        transaction.rollback()
        known = database.store._catalog.known_files()  # type: ignore[attr-defined]
        assert len(known) < FEW  # what was never committed waits for the next to open it alone
        database.close()
    assert step > 40
    if open_beside:
        update(beside, done + 1)
        beside.close()
    for _ in range(2):
        Database.open(tmp_path / "db").close()
    names = {path.name for path in (tmp_path / "db" / "segments").iterdir()}
    state = Database.open(tmp_path / "db").store.latest().tables["t"]
    assert names == {s.name for s in state.segments} | {d.name for d in state.deletions.values()}


def test_a_damaged_record_of_what_was_replaced_costs_no_file(tmp_path: Path) -> None:
    import sqlite3

    database = begin(tmp_path / "db")
    for step in range(1, 5):
        update(database, step)
    database.close()
    database = Database.open(tmp_path / "db")
    update(database, 5)
    with sqlite3.connect(tmp_path / "db" / "catalog.sqlite") as catalog:
        (name,) = catalog.execute("SELECT min(path) FROM files WHERE path LIKE '%arrow'").fetchone()
        catalog.execute("UPDATE replaced SET path = ? WHERE path LIKE '%arrow'", (name,))
    for step in range(6, 30):
        update(database, step)
    assert words(database.begin()) == expected(29)


def test_kept_aside() -> None:
    """What the last commit replaced always, what few did before if it is little."""
    small = [Replaced(version, f"segments/{version}", 1, 10) for version in range(1, 20)]
    removed = replaced._not_kept(small)
    assert [file.version for file in removed] == list(range(1, 12))
    large = [Replaced(20, "segments/20", 1, 1 << 30), Replaced(21, "segments/21", 1, 1 << 30)]
    assert [file.version for file in replaced._not_kept([*small[-2:], *large])] == [18, 19, 20]


@pytest.mark.parametrize(
    ("spans", "free"),
    [((), True), (((0, 4),), True), (((0, 5),), False), (((7, 9),), False), (((8, 9),), True)],
)
def test_free(spans: tuple[tuple[int, int], ...], free: bool) -> None:
    """A file of the versions 5 to 7."""
    assert Replaced(8, "segments/x", 5, 1).is_free(spans) is free


def test_an_older_catalog_that_misses_files_says_so(tmp_path: Path) -> None:
    """Files that were removed for good do not come back, and nothing else is swept then."""
    with tensorsql.connect(tmp_path / "db") as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS i FROM range(9)")
        connection.execute("CREATE TABLE u AS SELECT range AS i FROM range(9)")
    shutil.copy(tmp_path / "db" / "catalog.sqlite", tmp_path / "copy")
    with tensorsql.connect(tmp_path / "db") as connection:
        for number in range(20):
            connection.execute("UPDATE t SET i = ?", [number])
    shutil.copy(tmp_path / "copy", tmp_path / "db" / "catalog.sqlite")
    with tensorsql.connect(tmp_path / "db") as connection:
        with pytest.raises(errors.IOError, match=r'of table "t" is missing'):
            connection.execute("SELECT i FROM t")
        assert connection.execute("SELECT sum(i) FROM u").fetchall() == [(36,)]


def test_without_the_folder_of_readers(tmp_path: Path) -> None:
    """It comes again where one may write, and one who only reads does without."""
    with tensorsql.connect(tmp_path / "db") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS i")
        shutil.rmtree(tmp_path / "db" / "readers")
        connection.execute("UPDATE t SET i = 2")
    shutil.rmtree(tmp_path / "db" / "readers")
    with tensorsql.connect(tmp_path / "db", read_only=True) as connection:
        assert connection.execute("SELECT i FROM t").fetchall() == [(2,)]
