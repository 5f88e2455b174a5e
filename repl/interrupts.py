"""Ctrl-C while a statement runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tensorsql.dbapi import Connection


@contextmanager
def cancelled_by_interrupt(connection: Connection) -> Iterator[None]:
    """The first Ctrl-C cancels the statement, a second one raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    presses = 0

    def cancel(number: int, frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            raise KeyboardInterrupt
        connection.interrupt()

    before = signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
