"""The end of a thread: what it has begun to write is rolled back then. Torch-free."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


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
