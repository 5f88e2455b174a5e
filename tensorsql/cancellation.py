"""Cancelling what runs: whoever works for long asks `check_cancelled` now and then."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from tensorsql.errors import InterruptedError

Answer = TypeVar("Answer")
MESSAGE = "the query was cancelled"
MANY = 1 << 18  # rows
PATIENCE = 0.05  # seconds between two looks at whether the wait is cancelled

_current: ContextVar[threading.Event | None] = ContextVar("cancelled", default=None)


@contextmanager
def cancelled_by(event: threading.Event) -> Iterator[None]:
    """What this thread does inside ends soon after the event is set."""
    token = _current.set(event)
    try:
        yield
    finally:
        _current.reset(token)


def check_cancelled() -> None:
    """InterruptedError once the statement that this thread works for was cancelled."""
    event = _current.get()
    if event is not None and event.is_set():
        raise InterruptedError(MESSAGE)


def in_helper(work: Callable[[], Answer]) -> Answer:
    """The result of work that changes nothing here and asks seldom or never.

    A thread of its own does it, and goes on where the wait ends before.
    """
    done = threading.Event()
    own = copy_context()
    result: list[Any] = []

    def run() -> None:
        try:
            result.extend((own.run(work), None))
        except BaseException as error:
            result.extend((None, error))
        done.set()

    threading.Thread(target=run, name="tensorsql helper", daemon=True).start()
    while not done.wait(PATIENCE):
        check_cancelled()
    answer, error = result
    if error is not None:
        raise error
    found: Answer = answer
    return found


def apart(work: Callable[[], Answer], rows: int) -> Answer:
    """As `in_helper`, for so many rows that it pays."""
    check_cancelled()
    return in_helper(work) if rows > MANY else work()


def import_whole(name: str) -> None:
    """Import a module that imports torch, which cannot be tried again once Ctrl-C cut it."""
    if name not in _imported:
        in_helper(lambda: importlib.import_module(name))
        _imported.add(name)


_imported: set[str] = set()
