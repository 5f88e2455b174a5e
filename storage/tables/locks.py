"""Locks on files, between processes as between connections of one, and whose turn it is to write.

A lock is `flock` on a file. It ends with its process, whatever becomes of that, and its file says
which process holds it since when. One writes at a time, in the order they came in. Torch-free.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tensorsql.errors import InterruptedError
from tensorsql.storage.files.forks import watch

SIGNED = 100  # characters of a signature, which covers the last one
POLL = 0.005  # seconds between two tries for a lock


def never() -> bool:
    """The answer of those who cannot be interrupted."""
    return False


@dataclass(frozen=True)
class Wait:
    """How long to wait for a lock, and who may end that."""

    seconds: float
    interrupted: Callable[[], bool] = never

    def tries(self) -> Iterator[None]:
        """Once for every try, the first at once, until time is up; InterruptedError if told."""
        deadline = time.monotonic() + self.seconds
        yield
        while time.monotonic() < deadline:
            if self.interrupted():
                raise InterruptedError("the statement was cancelled while it waited for its turn")
            time.sleep(POLL)
            yield


class FileLock:
    """A handle on a lock file, which it makes if it is not there; `readable` is all it needs to be.

    `flock` belongs to the open file, which a fork shares: so the child closes its handle at once,
    and letting go is said and not left to closing.
    """

    def __init__(self, path: Path, readable: bool = False) -> None:
        flags = os.O_RDONLY if readable else os.O_RDWR | os.O_CREAT
        self._handle = os.open(path, flags, 0o666)
        self._process = os.getpid()
        self.path = path
        watch(self)

    def share(self) -> bool:
        """Hold it beside others that share it; whether that could be had now."""
        return self._try(fcntl.LOCK_SH)

    def own(self) -> bool:
        """Hold it alone; whether that could be had now."""
        return self._try(fcntl.LOCK_EX)

    def sign(self) -> None:
        """Write into the file that this process holds it."""
        text = json.dumps({"process": os.getpid(), "since": time.time()})
        os.pwrite(self._handle, text.ljust(SIGNED).encode(), 0)

    def holder(self) -> str:
        """Who signed last, such as "process 12 since 10:31:02"; "another process" if nobody did."""
        try:
            signature = json.loads(os.pread(self._handle, 1000, 0))
            since = time.strftime("%H:%M:%S", time.localtime(signature["since"]))
            own = " (this one)" if signature["process"] == os.getpid() else ""
            return f"process {int(signature['process'])}{own} since {since}"
        except (OSError, LookupError, TypeError, ValueError, OverflowError):
            return "another process"

    def is_in_place(self) -> bool:
        """Whether the file is still the one of its name."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self.path))
        except OSError:
            return False

    def close(self) -> None:
        """Let go; closing again does nothing."""
        handle, self._handle = self._handle, -1
        if handle < 0:
            return
        if self._process == os.getpid():
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork(self) -> None:
        """Nothing to do."""

    def give_up(self) -> None:
        """Close the child's copy of the handle, which leaves the lock alone."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self.close()

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self._handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class NoLock:
    """Stands for a lock where none is needed or can be had."""

    def close(self) -> None:
        """Nothing to let go of."""


Held = FileLock | NoLock


def new_held(path: Path) -> FileLock:
    """A new file that says by its lock that whoever made it lives; see `is_held`."""
    lock = FileLock(path)
    while not (lock.own() and lock.is_in_place()):  # it was taken for a dead one's
        lock.close()
        lock = FileLock(path)
    return lock


def is_held(path: Path) -> bool:
    """Whether the file of `new_held` is held; one that is not is removed, its maker is dead."""
    try:
        lock = FileLock(path, readable=True)
    except FileNotFoundError:
        return False
    try:
        if not lock.own():
            return True
        path.unlink(missing_ok=True)
        return False
    finally:
        lock.close()


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
