"""What EXPLAIN ANALYZE prints of each plan node: rows, time, and what its work counts of itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Metrics:
    """Counts per plan node (key: its number in preorder, see `walk_plan`).

    `whole` is how many seconds compiling and running took.
    """

    rows: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    notes: dict[int, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    whole: float = 0.0

    def add_rows(self, node: int, rows: int) -> None:
        """Count rows a node put out."""
        with self.lock:
            self.rows[node] = self.rows.get(node, 0) + rows

    def note(self, node: int, **values: Any) -> None:
        """Add numbers to (or set words of) a node's notes, e.g. verified=12, index='masks_chi'."""
        with self.lock:
            notes = self.notes.setdefault(node, {})
            for name, value in values.items():
                number = isinstance(value, int | float) and not isinstance(value, bool)
                notes[name] = notes.get(name, 0) + value if number else value

    @contextmanager
    def working(self, node: int) -> Iterator[None]:
        """What is done inside is done for the node: its time counts, and what `count` is told."""
        outside, began = _WORKING.set((self, node)), time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            _WORKING.reset(outside)
            with self.lock:
                self.seconds[node] = self.seconds.get(node, 0.0) + seconds


# Copied to helpers with the rest of a thread's context: what they count is counted there, too.
_WORKING: ContextVar[tuple[Metrics, int] | None] = ContextVar("working", default=None)


def count(**values: int) -> None:
    """Add to the notes of the node that is worked for; nothing where no program runs."""
    current = _WORKING.get()
    if current is not None:
        metrics, node = current
        metrics.note(node, **values)
