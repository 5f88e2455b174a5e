"""A database: a store, its transactions, and keeping it tidy. Torch-free."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tensorsql.errors import InterruptedError
from tensorsql.storage.files.forks import Owner
from tensorsql.storage.files.plain_files import check_path
from tensorsql.storage.tables.folder_store import FolderStore
from tensorsql.storage.tables.integrity import Finding, require_sound
from tensorsql.storage.tables.locks import Wait, never
from tensorsql.storage.tables.memory_store import MEMORY, MemoryStore, Store
from tensorsql.storage.tables.rewrite import merge_segments
from tensorsql.storage.tables.segment import Segment
from tensorsql.storage.tables.snapshot import TableState
from tensorsql.storage.tables.transaction import Transaction

__all__ = ["MEMORY", "Database", "Transaction"]

SMALL_SEGMENT = 1 << 20  # rows; CHECKPOINT joins neighbours while both are smaller
WRITER_TIMEOUT = 5.0  # seconds


class Database:
    """An open database; any number of transactions may read while one writes."""

    def __init__(
        self, store: Store, writer_timeout: float = WRITER_TIMEOUT, read_only: bool = False
    ) -> None:
        self.store = store
        self.read_only = read_only
        self.writer_timeout = writer_timeout
        self.uncommitted = itertools.count(1)  # numbers for states nobody else sees

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] = MEMORY,
        writer_timeout: float = WRITER_TIMEOUT,
        read_only: bool = False,
    ) -> Database:
        """Open a folder, creating it if need be, or `:memory:`.

        `read_only` refuses every change and a folder that is not there. IOError if the folder
        cannot be a database, CorruptError if its catalog cannot be read.
        """
        if str(path) == MEMORY:
            return cls(MemoryStore(), writer_timeout, read_only)

        check_path(path)
        return cls(FolderStore(Path(path).absolute(), read_only), writer_timeout, read_only)

    @property
    def folder(self) -> Path | None:
        """Where the database is; None in memory."""
        return self.store.folder

    def begin(self, write: bool = False, interrupted: Callable[[], bool] = never) -> Transaction:
        """A transaction on the latest snapshot.

        With `write` it waits for its turn to write first, so that it cannot conflict. A wait ends
        early, with InterruptedError, if `interrupted` says so.
        """
        wait = Wait(self.writer_timeout, interrupted)
        return Transaction(self.store, wait, self.uncommitted, write, self.read_only)

    @property
    def owner(self) -> Owner:
        """The process that opened the database; a fork of it can only close it."""
        return self.store.owner

    def check(self, check: Callable[[], None] = lambda: None) -> list[Finding]:
        """Read every byte of every file; `check` is called now and then and may raise."""
        return self.store.check(check)

    def checkpoint(self, interrupted: Callable[[], bool] = never) -> None:
        """Join small segments and drop deleted rows for good; row ids stay.

        CorruptError, before anything changes, if a file is not as it was written.
        """
        transaction = self.begin(write=True, interrupted=interrupted)
        try:
            require_sound(self.check(partial(_stop, interrupted)))
            transaction.compact(_compacted)
            transaction.commit()
        finally:
            transaction.rollback()

    def close(self) -> None:
        """Let go of files and locks; open transactions lose their changes."""
        self.store.close()


def _stop(interrupted: Callable[[], bool]) -> None:
    if interrupted():
        raise InterruptedError("the statement was cancelled")


def _compacted(state: TableState) -> list[Segment]:
    """Segments of a table after a checkpoint; those that stay are the same objects."""
    result: list[Segment] = []
    for run in _runs(state):
        if len(run) == 1 and run[0].first_row_id not in state.deletions:
            result.append(run[0])
        else:
            merged = merge_segments(state, run)
            result.extend([merged] if merged else [])
    return result


def _runs(state: TableState) -> list[list[Segment]]:
    runs: list[list[Segment]] = []
    for segment in state.segments:
        small = runs and sum(s.rows for s in runs[-1]) + segment.rows <= SMALL_SEGMENT
        if small:
            runs[-1].append(segment)
        else:
            runs.append([segment])
    return runs
