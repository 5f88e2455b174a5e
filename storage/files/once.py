"""Values made once each, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Once(Generic[Value]):
    """Values by name; each is made by the first thread that asks, the others wait for that one."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, name: str, make: Callable[[], Value]) -> Value:
        """The value of a name."""
        if name in self._values:
            return self._values[name]
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._values:
                self._values[name] = make()
            return self._values[name]
