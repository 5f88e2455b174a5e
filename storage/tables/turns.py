"""Whose turn it is to write: one at a time, in the order in which they came. Torch-free."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tensorsql.storage.tables.locks import FileLock, Wait, is_held, new_held


class FolderTurns:
    """Turns between all that have a folder open, in this process or another.

    Who writes holds `writer.lock`. Who has to wait holds a ticket, a locked file in `turns/` with a
    name that sorts by when it came; a ticket that nobody holds was left by a process that died.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "writer.lock"
        self._tickets = folder / "turns"
        self._lock: FileLock | None = None

    def take(self, wait: Wait) -> bool:
        """Wait for our turn; whether it came in time."""
        lock = FileLock(self._path)
        try:
            if self._wait(lock, wait):
                lock.sign()
                self._lock = lock
                return True
            return False
        finally:
            if self._lock is not lock:
                lock.close()

    def holder(self) -> str:
        """Who is writing, in words."""
        lock = FileLock(self._path)
        try:
            return lock.holder()
        finally:
            lock.close()

    def end(self) -> None:
        """Let the next one in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _wait(self, lock: FileLock, wait: Wait) -> bool:
        if not self._earlier("~") and lock.own():
            return True
        with self._ticket() as name:
            return any(not self._earlier(name) and lock.own() for _ in wait.tries())

    @contextmanager
    def _ticket(self) -> Iterator[str]:
        self._tickets.mkdir(exist_ok=True)
        name = f"{time.monotonic_ns():020d}-{uuid.uuid4().hex[:8]}"
        ticket = new_held(self._tickets / name)
        try:
            yield name
        finally:
            ticket.path.unlink(missing_ok=True)
            ticket.close()

    def _earlier(self, name: str) -> bool:
        """Whether somebody waits with an earlier ticket; those of the dead are removed."""
        try:
            names = sorted(other for other in os.listdir(self._tickets) if other < name)
        except FileNotFoundError:
            return False
        return any(is_held(self._tickets / other) for other in names)


class ProcessTurns:
    """Turns between the transactions of a database in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[object] = deque()  # who writes, then who waits
        self._since = 0.0

    def take(self, wait: Wait) -> bool:
        """Wait for our turn; whether it came in time."""
        ticket = object()
        with self._lock:
            self._queue.append(ticket)
        try:
            for _ in wait.tries():
                if self._queue[0] is ticket:
                    self._since = time.time()
                    return True
        except BaseException:
            self._leave(ticket)
            raise
        self._leave(ticket)
        return False

    def holder(self) -> str:
        """Who is writing, in words."""
        since = time.strftime("%H:%M:%S", time.localtime(self._since))
        return f"process {os.getpid()} (this one) since {since}"

    def end(self) -> None:
        """Let the next one in."""
        with self._lock:
            self._queue.popleft()

    def _leave(self, ticket: object) -> None:
        with self._lock:
            self._queue.remove(ticket)
