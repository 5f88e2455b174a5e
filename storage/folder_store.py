"""A database on disk: a folder of immutable files and a SQLite catalog that says which count.

| in the folder | what |
|---|---|
| catalog.sqlite | schemas, segments, entries, at one version |
| segments/ | column segments (Arrow IPC), mask blocks (.npy), deletion bitmaps (.npy, bits) |
| blocks/, indexes/, models/ | files of other owners, kept while an entry refers to their folder |
| swept/ | what no commit refers to any more, kept aside for one opening |
| writer.lock | held exclusively by the one transaction that writes |
| lease.lock | held shared by every open database, exclusively to sweep |

Files are never rewritten. A commit makes its files durable first and then visible by one SQLite
transaction; what a crash leaves behind is swept by the next to open the folder alone (sweep.py).
The catalog has a checksum of every file (catalog_format.py).
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tensorsql.errors import CorruptError, IOError
from tensorsql.storage.array_file import load_array
from tensorsql.storage.catalog_format import PARTS
from tensorsql.storage.catalog_store import CatalogStore
from tensorsql.storage.checksums import Checksum, file_checksum, folder_checksums
from tensorsql.storage.segment import FileSource, MemorySource, Segment, mask_stem
from tensorsql.storage.snapshot import Deletion, Snapshot
from tensorsql.storage.sweep import SWEPT, remove, sweep, tidy

POLL = 0.005  # seconds between two tries for a lock


class FolderStore:
    """The store of a database in a folder; creates the folder if it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: int | None = None
        self._fresh: dict[Path, Checksum] = {}  # of files that are not committed yet
        try:
            _make(folder)
            self._lease = os.open(folder / "lease.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise IOError(f'database "{folder}" cannot be opened: {error.strerror}') from None
        alone = _lock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            self._catalog = CatalogStore(folder, self._load_deletion)
            if alone:
                tidy(folder, self._catalog)
            fcntl.flock(self._lease, fcntl.LOCK_SH)
        except BaseException:
            os.close(self._lease)
            raise

    def keep(self, segment: Segment) -> Segment:
        """The segment as a memory-mapped file."""
        assert isinstance(segment.source, MemorySource)
        path = self.folder / "segments" / f"{uuid.uuid4().hex}.arrow"
        arrays = segment.source.arrays
        batch = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
        try:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
                writer.write_batch(batch)
            sync(path)
            self._fresh[path] = file_checksum(path)
            for column, block in segment.source.blocks.items():
                self._keep_masks(path, batch.schema.get_field_index(column), block)
        except OSError as error:
            raise IOError(f'segment "{path}" cannot be written: {error}') from None
        return Segment(
            segment.rows,
            FileSource(path),
            segment.statistics,
            segment.first_row_id,
            segment.last_row_id,
            path.name,
        )

    def keep_deletion(self, flags: NDArray[np.bool_]) -> Deletion:
        """A bitmap file of one bit a row."""
        path = self.folder / "segments" / f"{uuid.uuid4().hex}.npy"
        try:
            np.save(path, np.packbits(flags, bitorder="little"))
            sync(path)
            self._fresh[path] = file_checksum(path)
        except OSError as error:
            raise IOError(f'deletion bitmap "{path}" cannot be written: {error}') from None
        return Deletion(int(flags.sum()), partial(_load_flags, path), path.name)

    def latest(self) -> Snapshot:
        """The last committed snapshot of any process."""
        return self._catalog.latest()

    def publish(self, base: Snapshot, changed: Snapshot, written: Iterable[Path]) -> None:
        """Make what was written durable, then commit the catalog."""
        paths = list(written)
        for path in paths:
            if path.is_dir():
                for part in [path, *path.rglob("*")]:
                    sync(part)
                self._fresh.update(folder_checksums(path))
        for parent in {path.parent for path in paths}:
            sync(parent)
        self._catalog.save(base, changed, self._fresh)
        self._fresh = {}

    def discard(self, written: Iterable[Path]) -> None:
        """Remove files and folders of a transaction that was rolled back."""
        self._fresh = {}
        for path in written:
            remove(path)

    def lock_writer(self, timeout: float) -> bool:
        """Take the writer's lock, which excludes other connections of this process as well."""
        handle = os.open(self.folder / "writer.lock", os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + timeout
        while not _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if time.monotonic() >= deadline:
                os.close(handle)
                return False
            time.sleep(POLL)
        self._writer = handle
        return True

    def unlock_writer(self) -> None:
        """Let the next writer in."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def close(self) -> None:
        """Sweep if nobody else has the database open, and let go of it."""
        self.unlock_writer()
        if self._lease < 0:
            return
        if _lock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB):
            sweep(self.folder, self._catalog)
        self._catalog.close()
        os.close(self._lease)
        self._lease = -1

    def _keep_masks(self, path: Path, column_number: int, block: Any) -> None:
        from tensorsql.storage.masks import save_block

        for written in save_block(block, path.parent, mask_stem(path, column_number)):
            sync(written)
            self._fresh[written] = file_checksum(written)

    def _load_deletion(self, name: str, count: int) -> Deletion:
        path = self.folder / "segments" / name
        return Deletion(count, partial(_load_flags, path), name)


def sync(path: Path) -> None:
    """Have the file's or folder's content reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _load_flags(path: Path) -> NDArray[np.bool_]:
    try:
        packed = load_array(path)
    except FileNotFoundError:
        raise IOError(f'deletion bitmap "{path}" is missing') from None
    except (OSError, ValueError) as error:
        raise CorruptError(f'deletion bitmap "{path}" cannot be read: {error}') from None
    return np.unpackbits(packed, bitorder="little").view(np.bool_)


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise IOError(f'"{folder}" is a file; a database is a folder')
    known = {*PARTS, SWEPT, "lease.lock", "writer.lock"}
    if folder.exists() and not (folder / "catalog.sqlite").exists():
        strange = {path.name for path in folder.iterdir()} - known
        if any(not name.startswith("catalog.sqlite") for name in strange):
            raise IOError(f'"{folder}" is a folder but not a database; choose another name')
    if folder.exists() and all((folder / name).exists() for name in PARTS):
        return
    for name in PARTS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    sync(folder)
    sync(folder.parent)


def _lock(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    return True
