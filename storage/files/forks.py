"""What a fork may not share, being one process's own, and what ends with a thread. Torch-free."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

from tensorsql.errors import InterfaceError


class Forking(Protocol):
    """Something that a child of the process must not have."""

    def before_fork(self) -> None:
        """Come to rest: called in the parent before it forks."""

    def after_fork(self) -> None:
        """Go on, in the parent."""

    def give_up(self) -> None:
        """Let go of it, in the child; a library that forks may have left out `before_fork`."""


class Owner:
    """The process that opened something, which nobody else may use."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._process = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is that process, and not a fork of it."""
        return self._process == os.getpid()

    def require(self) -> None:
        """InterfaceError in a fork."""
        if not self.is_here:
            raise InterfaceError(
                f"{self._what} was opened by process {self._process}, of which this one is a fork;"
                " it is closed here, connect again"
            )


_WATCHED: weakref.WeakSet[Forking] = weakref.WeakSet()
_LOCK = threading.RLock()
_resting: list[Forking] = []


def watch(item: Forking) -> None:
    """Have the item told of forks for as long as it lives."""
    with _LOCK:
        _WATCHED.add(item)


def _before() -> None:
    _LOCK.acquire()
    for item in list(_WATCHED):
        item.before_fork()
        _resting.append(item)


def _in_parent() -> None:
    while _resting:
        _resting.pop().after_fork()
    _LOCK.release()


def _in_child() -> None:
    global _LOCK
    _LOCK = threading.RLock()  # another thread of the parent may have had the old one
    _resting.clear()
    for item in list(_WATCHED):
        item.give_up()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


class Following(Protocol):
    """Something that ends with a thread."""

    def thread_ended(self, thread: object) -> None:
        """A thread has ended; `thread` is what `follow` gave for it."""


class _Token:
    """Lives in the locals of a thread, and is deleted with them when the thread ends."""

    def __init__(self) -> None:
        self.thread = object()
        self.followers: weakref.WeakSet[Following] = weakref.WeakSet()

    def __del__(self) -> None:
        for follower in list(self.followers):
            follower.thread_ended(self.thread)


class _Locals(threading.local):
    def __init__(self) -> None:
        self.token = _Token()


_LOCALS = _Locals()


def follow(follower: Following) -> object:
    """Tell `follower` when the current thread ends; returns what names the thread then."""
    _LOCALS.token.followers.add(follower)
    return _LOCALS.token.thread
