"""Where a database keeps things; the store of `:memory:`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tensorsql.storage.files.forks import Owner
from tensorsql.storage.tables.database_files import DatabaseFiles
from tensorsql.storage.tables.locks import Held, NoLock, ProcessTurns, Wait
from tensorsql.storage.tables.segment import Segment
from tensorsql.storage.tables.snapshot import Deletion, Snapshot

if TYPE_CHECKING:
    from tensorsql.storage.tables.integrity import Finding

MEMORY = ":memory:"


class Store(Protocol):
    """Keeps segments and bitmaps, and makes a snapshot the one that all see."""

    @property
    def folder(self) -> Path | None:
        """Where files are; None in memory."""

    @property
    def files(self) -> DatabaseFiles | None:
        """What opens files; None in memory."""

    def keep(self, segment: Segment) -> Segment:
        """The segment where it will stay; nobody sees it before `publish`."""

    def keep_deletion(self, flags: NDArray[np.bool_]) -> Deletion:
        """A new version of a deletion bitmap, likewise."""

    def read(self) -> tuple[Snapshot, Held]:
        """The same, and what keeps all its files until it is closed, if it has any."""

    def latest(self) -> Snapshot:
        """The last published snapshot."""

    def check(self, check: Callable[[], None]) -> list[Finding]:
        """What is found of each thing that has files, when every byte is read."""

    def publish(self, base: Snapshot, changed: Snapshot, written: Iterable[Path]) -> None:
        """Make `changed`, made from the latest snapshot `base`, durable and then visible."""

    def discard(self, written: Iterable[Path]) -> None:
        """Remove files that no snapshot will refer to."""

    @property
    def owner(self) -> Owner:
        """The process that opened it; a fork can only close it, which touches nothing."""

    def lock_writer(self, wait: Wait) -> bool:
        """Become the only writer, in the order of asking; False if the wait was not long enough."""

    def writer(self) -> str:
        """Who is the writer, in words."""

    def unlock_writer(self) -> None:
        """Let the next writer in."""

    def close(self) -> None:
        """Give up files and locks."""


class MemoryStore:
    """The store of a database that ends with the process."""

    folder: Path | None = None
    files: DatabaseFiles | None = None

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._turns = ProcessTurns()
        self.owner = Owner(f'database "{MEMORY}"')

    def keep(self, segment: Segment) -> Segment:
        return segment

    def keep_deletion(self, flags: NDArray[np.bool_]) -> Deletion:
        return Deletion(int(flags.sum()), partial(_itself, flags))

    def read(self) -> tuple[Snapshot, Held]:
        return self.latest(), NoLock()

    def latest(self) -> Snapshot:
        self.owner.require()
        return self._snapshot

    def check(self, check: Callable[[], None]) -> list[Finding]:
        return []

    def publish(self, base: Snapshot, changed: Snapshot, written: Iterable[Path]) -> None:
        self._snapshot = changed

    def discard(self, written: Iterable[Path]) -> None:
        pass

    def lock_writer(self, wait: Wait) -> bool:
        return self._turns.take(wait)

    def writer(self) -> str:
        return self._turns.holder()

    def unlock_writer(self) -> None:
        if self.owner.is_here:
            self._turns.end()

    def close(self) -> None:
        pass


def _itself(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return flags
