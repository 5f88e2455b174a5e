"""Cancelling what runs: whoever works for long asks `check_cancelled` now and then."""

from __future__ import annotations

import atexit
import importlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from functools import cache
from importlib.util import find_spec
from types import FrameType
from typing import Any, TypeVar

from tensorsql.errors import InterruptedError

Answer = TypeVar("Answer")
MESSAGE = "the query was cancelled"
MANY = 1 << 12  # rows
PATIENCE = 0.05  # seconds between two looks at whether the wait is cancelled
STUBBORN = 2.0  # seconds after a first Ctrl-C in which another one changes nothing

_current: ContextVar[threading.Event | None] = ContextVar("cancelled", default=None)
_is_helper: ContextVar[bool] = ContextVar("is helper", default=False)


@contextmanager
def cancelled_by(event: threading.Event) -> Iterator[None]:
    """What this thread does inside ends soon after the event is set, as Ctrl-C does.

    If it ends by an exception, what it started elsewhere ends as well. An error after the event is
    set is one of being cancelled: somebody in between took the end for a fault of his own.
    """
    token = _current.set(event)
    try:
        with _keyboard_sets(event):
            yield
    except BaseException as error:
        cancelled = event.is_set()
        event.set()
        if cancelled and isinstance(error, Exception) and not isinstance(error, InterruptedError):
            raise InterruptedError(MESSAGE) from error
        raise
    finally:
        _current.reset(token)


@contextmanager
def _keyboard_sets(event: threading.Event) -> Iterator[None]:
    """Ctrl-C sets the event, and is a KeyboardInterrupt only at the end, where it cuts nothing.

    So it is where Ctrl-C would raise KeyboardInterrupt: elsewhere somebody else deals with it.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    presses: list[float] = []

    def press(number: int, frame: FrameType | None) -> None:
        presses.append(time.monotonic())
        event.set()
        if presses[-1] - presses[0] > STUBBORN:  # it does not look
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if presses:
            raise KeyboardInterrupt from None


def is_cancelled_by(event: threading.Event) -> bool:
    """Whether the event cancels what this thread does now."""
    return _current.get() is event


def check_cancelled() -> None:
    """InterruptedError once the statement that this thread works for was cancelled."""
    event = _current.get()
    if event is not None and event.is_set():
        raise InterruptedError(MESSAGE)


_starting = threading.Lock()


def in_helper(work: Callable[[], Answer], stack: int = 0) -> Answer:
    """The result of work that changes nothing here and asks seldom or never.

    A thread of its own does it, with a stack of so many bytes if that is said, and goes on where
    the wait ends before; one that is such a helper does it itself if its stack will do.
    """
    if _is_helper.get() and not stack:
        return work()
    done = threading.Event()
    own = helper_context()
    result: list[Any] = []

    def run() -> None:
        try:
            result.extend((own.run(work), None))
        except BaseException as error:
            result.extend((None, error))
        done.set()

    helper = threading.Thread(target=run, name="tensorsql helper", daemon=True)
    with _starting:
        usual = threading.stack_size(stack)
        try:
            helper.start()
        finally:
            threading.stack_size(usual)
    try:
        while not done.wait(PATIENCE):
            check_cancelled()
    except BaseException:
        leave_behind([helper])
        raise
    answer, error = result
    if error is not None:
        raise error
    finished: Answer = answer
    return finished


def helper_context() -> Context:
    """What a thread works in whose work is waited for by one that looks."""
    own = copy_context()
    own.run(_is_helper.set, True)
    return own


def apart(work: Callable[[], Answer], rows: int) -> Answer:
    """As `in_helper`, for so many rows that it pays."""
    check_cancelled()
    return in_helper(work) if rows > MANY else work()


_left_behind: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def leave_behind(threads: Iterable[threading.Thread]) -> None:
    """Wait for these threads no more, but at the process's end: C++ aborts it if cut there."""
    _left_behind.update(threads)


def is_anyone_left_behind() -> bool:
    """Whether a cancelled statement has not come to its end yet."""
    return any(thread.is_alive() for thread in list(_left_behind))


@atexit.register
def _wait_for_those_left_behind() -> None:
    for thread in list(_left_behind):
        thread.join()


def import_whole(name: str) -> None:
    """Import a module that imports torch, which cannot be tried again once Ctrl-C cut it."""
    if name not in _imported:
        in_helper(lambda: importlib.import_module(name))
        _imported.add(name)


@cache
def import_engine() -> None:
    """Import what runs programs: torch, and pandas, which Arrow looks for with its first array."""
    import_whole("tensorsql.operators.compiler")
    if find_spec("pandas"):
        import_whole("pandas")
    if _forked:
        sys.modules["torch"].set_num_threads(1)


def _in_child() -> None:
    """A fork has none of the threads with which torch may have worked, and would wait for them."""
    if "torch" in sys.modules:
        _forked.append(True)
        import_engine.cache_clear()


_forked: list[bool] = []
os.register_at_fork(after_in_child=_in_child)
_imported: set[str] = set()
