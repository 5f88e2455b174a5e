"""Room for statements that nest deeply, while any thread runs one; python's limit otherwise."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from tensorsql.cancellation import PATIENCE, check_cancelled, in_helper, is_anyone_left_behind

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")


class Nesting:
    """Room for statements that nest deeply, while any thread runs one; python's limit otherwise.

    The parser takes some thirty python frames for a pair of parentheses. What has no room on its
    own thread's stack is planned again on a larger one, while nobody else plans: the limit is one
    for all threads, and theirs are small.
    """

    FRAMES = 5000
    DEEP = 40_000
    STACK = 1 << 29  # bytes, of which only those are taken that are used

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._planning = 0
        self._before = 0

    def __enter__(self) -> None:
        with self._changed:
            if not self._before:
                self._before = sys.getrecursionlimit()
                sys.setrecursionlimit(max(self._before, self.FRAMES))
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._users -= 1
            # Python ends the process if the limit falls below what another thread needs.
            if self._users == 0 and not is_anyone_left_behind():
                sys.setrecursionlimit(self._before)
                self._before = 0

    def plan(self, work: Callable[[], Answer]) -> Answer:
        """The result of work that changes nothing and may nest deeply."""
        if _plans.get():
            return work()  # a part of something larger, which comes here itself
        token = _plans.set(True)
        try:
            with self._turn(alone=False):
                try:
                    return work()
                except RecursionError:
                    pass
            return in_helper(lambda: self._with_room(work), self.STACK)
        finally:
            _plans.reset(token)

    def _with_room(self, work: Callable[[], Answer]) -> Answer:
        """On its own thread, which may be left behind: what it needs stays until it ends."""
        with self, self._turn(alone=True):
            usual = sys.getrecursionlimit()
            sys.setrecursionlimit(self.DEEP)
            try:
                return work()
            finally:
                sys.setrecursionlimit(usual)

    @contextmanager
    def _turn(self, alone: bool) -> Iterator[None]:
        """Plan beside others, or alone."""
        with self._changed:
            while self._planning < 0 or (alone and self._planning):
                self._changed.wait(PATIENCE)
                check_cancelled()
            self._planning += -1 if alone else 1
        try:
            yield
        finally:
            with self._changed:
                self._planning -= -1 if alone else 1
                self._changed.notify_all()


_plans: ContextVar[bool] = ContextVar("plans", default=False)
NESTING = Nesting()  # the limit is the process's, so is this


def nesting(work: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """A function that changes nothing and may nest deeply, with as much room as it takes."""

    @wraps(work)
    def with_room(*arguments: Arguments.args, **options: Arguments.kwargs) -> Answer:
        return NESTING.plan(lambda: work(*arguments, **options))

    return with_room
