"""A database on disk: a folder of immutable files and a SQLite catalog that says which count.

| in the folder | what |
|---|---|
| catalog.sqlite | schemas, segments, entries, at one version |
| segments/ | column segments (Arrow IPC), mask blocks (.npy), deletion bitmaps (.npy, bits) |
| blocks/, indexes/, models/ | files of other owners, kept while an entry refers to their folder |
| swept/ | what no commit refers to any more, kept aside for a while |
| writer.lock | held exclusively by the one transaction that writes |
| turns/ | one locked file for each that waits to write, in order |
| readers/ | files held by all that read, which say how old their snapshots are |
| lease.lock | held shared by every open database, exclusively to sweep |

Files are never rewritten. A commit makes its files durable first and then visible by one SQLite
transaction. What it replaced is removed by later commits (replaced.py), when nobody reads it any
more (readers.py); what a crash leaves behind is swept by the next to open the folder alone
(sweep.py). The catalog has a checksum of every file (catalog_format.py).
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tensorsql.cancellation import apart, in_helper
from tensorsql.errors import Error, InterfaceError, IOError, reason
from tensorsql.storage.files.forks import Owner
from tensorsql.storage.files.plain_files import LargeFile
from tensorsql.storage.tables.catalog_format import PARTS
from tensorsql.storage.tables.catalog_store import CatalogStore
from tensorsql.storage.tables.database_files import (
    DatabaseFiles,
    remove,
    save_bitmap,
    stored_deletion,
)
from tensorsql.storage.tables.integrity import Finding, catalog_finding, check_database
from tensorsql.storage.tables.locks import FileLock, FolderTurns, Held, Wait
from tensorsql.storage.tables.readers import FOLDER as READERS
from tensorsql.storage.tables.readers import Readers
from tensorsql.storage.tables.replaced import SWEPT, put_aside
from tensorsql.storage.tables.segment import FileSource, MemorySource, Segment, mask_stem
from tensorsql.storage.tables.snapshot import Deletion, Snapshot
from tensorsql.storage.tables.sweep import sweep, tidy

LEASE_WAIT = Wait(30.0)  # for another that sweeps


class FolderStore:
    """The store of a database in a folder; creates the folder if it is not there.

    With `read_only` nothing is written, so that a folder one may only read will do. The store
    belongs to the process that opened it: a child of fork can only close it, which touches nothing.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.folder = folder
        self.owner = Owner(f'database "{folder}"')
        self._turns = FolderTurns(folder)
        self._readers = Readers(folder, read_only)
        self._aside: set[str] = set()
        self._sweeps = not read_only
        self._lease: FileLock | None = None
        try:
            _find(folder) if read_only else _make(folder)
            self._lease = _lease(folder, read_only)
        except OSError as error:
            raise IOError(f'database "{folder}" cannot be opened: {reason(error)}') from None
        try:
            alone = self._sweeps and self._lease is not None and self._lease.own()
            if alone and self._lease is not None:
                self._lease.sign()
            self._catalog = CatalogStore(folder, read_only)
            if alone:
                self._readers.clear()
                tidy(folder, self._catalog)
            self._share_lease()
        except BaseException:
            self._end_lease()
            raise

    @property
    def files(self) -> DatabaseFiles:
        """What opens files and knows their checksums."""
        return self._catalog.files

    def keep(self, segment: Segment) -> Segment:
        """The segment as a memory-mapped file."""
        assert isinstance(segment.source, MemorySource)
        self._require_open()
        path = self.folder / "segments" / f"{uuid.uuid4().hex}.arrow"
        arrays = segment.source.arrays
        batch = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
        with self._whole("segment", path):
            with LargeFile(path) as sink, pa.ipc.new_file(sink, batch.schema) as writer:
                writer.write_batch(batch)
            apart(lambda: sync(path), segment.rows)
            self.files.seal(path)
            for column, block in segment.source.blocks.items():
                self._keep_masks(path, batch.schema.get_field_index(column), block)
        return Segment(
            segment.rows,
            FileSource(path, self.files, segment.rows),
            segment.statistics,
            segment.first_row_id,
            segment.last_row_id,
            path.name,
        )

    def keep_deletion(self, flags: NDArray[np.bool_]) -> Deletion:
        """A bitmap file of one bit a row."""
        self._require_open()
        path = self.folder / "segments" / f"{uuid.uuid4().hex}.npy"
        with self._whole("deletion bitmap", path):
            save_bitmap(path, flags)
            sync(path)
            self.files.seal(path)
        return stored_deletion(self.files, path.name, int(flags.sum()), len(flags))

    def read(self) -> tuple[Snapshot, Held]:
        """The latest snapshot, and what keeps all its files until it is closed."""
        self._require_open()
        return self._readers.hold(self._catalog.latest)

    def latest(self) -> Snapshot:
        """The last committed snapshot of any process."""
        self._require_open()
        return self._catalog.latest()

    def check(self, check: Callable[[], None]) -> list[Finding]:
        """What is found when every byte is read; `check` may raise to end that early."""
        self._require_open()
        try:
            snapshot, held = self._readers.hold(self._catalog.reread)
        except Error as error:
            return [catalog_finding(self._catalog, error.message)]
        try:
            return check_database(self._catalog, snapshot, check)
        finally:
            held.close()

    def publish(self, base: Snapshot, changed: Snapshot, written: Iterable[Path]) -> None:
        """Make what was written durable, then commit the catalog."""
        self._require_open()
        paths = list(written)
        for path in paths:
            if path.is_dir():
                for part in [path, *path.rglob("*")]:
                    in_helper(partial(sync, part))
                self.files.seal(path)
        for parent in {path.parent for path in paths}:
            sync(parent)
        replaced = self._catalog.replaced()
        removed = put_aside(self.folder, replaced, self._readers, base.version, self._aside)
        self._catalog.save(base, changed, [file.name for file in removed])
        self.files.fresh.clear()

    def discard(self, written: Iterable[Path]) -> None:
        """Remove files and folders of a transaction that was rolled back."""
        if not self.owner.is_here:
            return
        for path in written:
            self.files.discard(path)

    def lock_writer(self, wait: Wait) -> bool:
        """Take the writer's lock, which excludes other connections of this process as well."""
        self._require_open()
        try:
            return self._turns.take(wait)
        except OSError as error:
            raise IOError(f'database "{self.folder}" cannot be written: {reason(error)}') from None

    def writer(self) -> str:
        """Who holds the writer's lock, in words."""
        return self._turns.holder()

    def unlock_writer(self) -> None:
        """Let the next writer in."""
        if self.owner.is_here:
            self._turns.end()

    def close(self) -> None:
        """Sweep if nobody else has the database open, and let go of it."""
        if (self._lease is None and self._catalog.connection.is_closed) or not self.owner.is_here:
            return
        self.unlock_writer()
        try:
            if (
                self._sweeps
                and self._lease
                and self._lease.own()
                and self._catalog.connection.is_in_place()
            ):
                sweep(self.folder, self._catalog)
        finally:
            self._catalog.close()
            self._end_lease()

    def _require_open(self) -> None:
        self.owner.require()
        if self._catalog.connection.is_closed:
            raise InterfaceError(f'database "{self.folder}" is closed')
        if not self._catalog.connection.is_in_place():
            raise IOError(
                f'database "{self.folder}" was removed, renamed or emptied while it was open;'
                " connect again to what is there now"
            )

    def _share_lease(self) -> None:
        lease = self._lease
        if lease is not None and not any(lease.share() for _ in LEASE_WAIT.tries()):
            raise IOError(
                f'database "{self.folder}" cannot be opened: {lease.holder()} keeps it for itself,'
                f" waited {LEASE_WAIT.seconds:g} s; try again when that has ended"
            )

    def _end_lease(self) -> None:
        if self._lease is not None:
            self._lease.close()
            self._lease = None

    @contextmanager
    def _whole(self, what: str, path: Path) -> Iterator[None]:
        """Write a file, and those of its stem, whole or not at all."""
        try:
            yield
        except BaseException as error:
            self.files.discard(path)
            for part in path.parent.glob(f"{path.stem}.*"):
                remove(part)
            if isinstance(error, OSError):
                raise IOError(f'{what} "{path}" cannot be written: {reason(error)}') from None
            raise

    def _keep_masks(self, path: Path, column_number: int, block: Any) -> None:
        from tensorsql.storage.columns.masks import save_block

        for written in save_block(block, path.parent, mask_stem(path, column_number)):
            in_helper(partial(sync, written))
            self.files.seal(written)


def sync(path: Path) -> None:
    """Have the file's or folder's content reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _find(folder: Path) -> None:
    try:
        mode = os.stat(folder).st_mode
    except FileNotFoundError:
        raise IOError(
            f'database "{folder}" does not exist; it cannot be opened read-only'
        ) from None
    if not stat.S_ISDIR(mode):
        raise IOError(f'"{folder}" is a file; a database is a folder')
    if not os.path.exists(folder / "catalog.sqlite"):
        raise IOError(f'"{folder}" is not a database; it cannot be opened read-only')


def _lease(folder: Path, read_only: bool) -> FileLock | None:
    """The lock of all that have the folder open; None where it is not there and cannot be made."""
    path = folder / "lease.lock"
    try:
        return FileLock(path)
    except OSError:
        if not read_only:
            raise
        return FileLock(path, readable=True) if path.exists() else None


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise IOError(f'"{folder}" is a file; a database is a folder')
    own = {*PARTS, SWEPT, READERS, "lease.lock", "writer.lock", "turns"}
    if folder.exists() and not (folder / "catalog.sqlite").exists():
        strange = {path.name for path in folder.iterdir()} - own
        if any(not name.startswith("catalog.sqlite") for name in strange):
            raise IOError(f'"{folder}" is a folder but not a database; choose another name')
    if folder.exists() and all((folder / name).exists() for name in (*PARTS, READERS)):
        return
    for name in (*PARTS, READERS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sync(folder)
    sync(folder.parent)
