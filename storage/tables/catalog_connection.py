"""The SQLite connection of a catalog: one process's, and not always to the file itself. Torch-free.

A connection must not live through a fork: it is closed before one and opened again when needed. And
SQLite makes files beside a database in WAL mode even to read it: in a folder that one may not write
a copy of the catalog in memory is read instead.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path

from tensorsql.storage.files.forks import watch
from tensorsql.storage.tables.catalog_format import FORMAT, format_of
from tensorsql.storage.tables.catalog_upgrade import upgrade
from tensorsql.storage.tables.locks import Wait

LOCK_SECONDS = 10.0  # for SQLite's own locks, which nobody holds for longer than a commit
SETTLE_SECONDS = 1.0  # readers hold a snapshot for milliseconds
TRIES = 20


class CatalogConnection:
    """Opens the catalog at `path`, making it if it is not there; `read_only` writes nothing.

    `lock` is held by whoever uses `sqlite`.
    """

    def __init__(self, path: Path, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self.lock = threading.RLock()
        self.is_closed = False
        self._sqlite: sqlite3.Connection | None = None
        self._copied: object = None  # the signature of the files that were copied
        self._openings = 0
        self._sqlite = self._open("rwc")
        self._place = os.stat(path)
        watch(self)

    @property
    def sqlite(self) -> sqlite3.Connection:
        """The connection, opened again if it was closed for a fork."""
        if self._sqlite is None:
            self._sqlite = self._open("rw")
        return self._sqlite

    def changes(self) -> object:
        """What is another when somebody else has committed since."""
        if self._copied is not None and self._copied != _signature(self.path):
            self._disconnect()
        (version,) = self.sqlite.execute("PRAGMA data_version").fetchone()
        return self._openings, version

    def settle(self) -> None:
        """Bring what was committed into the catalog's own file, out of the log beside it.

        A log that a crash leaves behind is believed up to its first damaged byte, and what comes
        after that is missed by nobody: so nothing that was acknowledged may stay in it alone.
        """
        for _ in Wait(SETTLE_SECONDS).tries():  # somebody may be reading what was before
            busy, logged, copied = self.sqlite.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if not busy and logged == copied:
                return

    def is_in_place(self) -> bool:
        """Whether the catalog is still the file that was opened."""
        try:
            return os.path.samestat(os.stat(self.path), self._place)
        except OSError:
            return False

    def close(self) -> None:
        """Close for good."""
        with self.lock:
            self.is_closed = True
            self._disconnect()

    def before_fork(self) -> None:
        """Finish what is being read or written, and leave no SQLite to the child."""
        self.lock.acquire()
        self._disconnect()

    def after_fork(self) -> None:
        """Go on."""
        self.lock.release()

    def give_up(self) -> None:
        """The child finds it closed. One that was inherited open must not even be closed there."""
        self.is_closed = True
        self.lock = threading.RLock()
        if self._sqlite is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._sqlite))
            self._sqlite = None

    def _disconnect(self) -> None:
        opened, self._sqlite = self._sqlite, None
        if opened is not None:
            opened.close()

    def _open(self, mode: str) -> sqlite3.Connection:
        self._openings += 1
        if self.read_only:
            return self._open_to_read()
        opened = _connect(self.path, mode)
        opened.execute("PRAGMA synchronous = FULL")
        return opened

    def _open_to_read(self) -> sqlite3.Connection:
        opened = _connect(self.path, "ro")
        self._copied = None
        try:
            if format_of(opened, self.path.parent) == FORMAT:
                return opened
        except sqlite3.OperationalError:
            pass  # SQLite cannot make its files here
        except BaseException:
            opened.close()
            raise
        opened.close()
        self._copied, copy = _copied(self.path)
        if format_of(copy, self.path.parent) < FORMAT:
            upgrade(copy, self.path.parent)
        return copy


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=LOCK_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _files(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal")]


def _signature(path: Path) -> object:
    """What changes when a commit or a checkpoint writes the catalog."""
    return [_stamp(file) for file in _files(path)]


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _copied(path: Path) -> tuple[object, sqlite3.Connection]:
    """The catalog's signature and, in memory, its content."""
    for _ in range(TRIES):
        before = _signature(path)
        with tempfile.TemporaryDirectory() as folder:
            _copy(path, Path(folder))
            if _signature(path) == before:
                return before, _in_memory(Path(folder) / path.name)
    raise sqlite3.OperationalError("it changes faster than it can be read")


def _copy(path: Path, folder: Path) -> None:
    try:
        for file in _files(path):
            if file.exists():
                shutil.copyfile(file, folder / file.name)
    except OSError as error:
        raise sqlite3.OperationalError(error.strerror) from None


def _in_memory(path: Path) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    disk = sqlite3.connect(path)
    try:
        disk.backup(memory)
    finally:
        disk.close()
    return memory
