"""Where a database keeps things; the store of `:memory:`."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tensorsql.storage.segment import Segment
from tensorsql.storage.snapshot import Deletion, Snapshot


class Store(Protocol):
    """Keeps segments and bitmaps, and makes a snapshot the one that all see."""

    @property
    def folder(self) -> Path | None:
        """Where files are; None in memory."""

    def keep(self, segment: Segment) -> Segment:
        """The segment where it will stay; nobody sees it before `publish`."""

    def keep_deletion(self, flags: NDArray[np.bool_]) -> Deletion:
        """A new version of a deletion bitmap, likewise."""

    def latest(self) -> Snapshot:
        """The last published snapshot."""

    def publish(self, base: Snapshot, changed: Snapshot, written: Iterable[Path]) -> None:
        """Make `changed`, made from the latest snapshot `base`, durable and then visible."""

    def discard(self, written: Iterable[Path]) -> None:
        """Remove files that no snapshot will refer to."""

    def lock_writer(self, timeout: float) -> bool:
        """Become the only writer within so many seconds, or return False."""

    def unlock_writer(self) -> None:
        """Let the next writer in."""

    def close(self) -> None:
        """Give up files and locks."""


class MemoryStore:
    """The store of a database that ends with the process."""

    folder: Path | None = None

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._writer = threading.Lock()

    def keep(self, segment: Segment) -> Segment:
        return segment

    def keep_deletion(self, flags: NDArray[np.bool_]) -> Deletion:
        return Deletion(int(flags.sum()), partial(_given, flags))

    def latest(self) -> Snapshot:
        return self._snapshot

    def publish(self, base: Snapshot, changed: Snapshot, written: Iterable[Path]) -> None:
        self._snapshot = changed

    def discard(self, written: Iterable[Path]) -> None:
        pass

    def lock_writer(self, timeout: float) -> bool:
        return self._writer.acquire(timeout=timeout)

    def unlock_writer(self) -> None:
        self._writer.release()

    def close(self) -> None:
        pass


def _given(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return flags
