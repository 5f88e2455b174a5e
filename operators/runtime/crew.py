"""The threads of one program's run: a leader that runs pipelines, helpers that share its work.

The caller waits for the leader, and when the query is cancelled not for long: threads in the middle
of a long operation are left behind, to end after it with nobody to take what they made.
They run without autograd and with one torch thread each: operations that torch would spread over
its own threads stall on a busy machine, and morsels use the cores better. The process's thread
count and the caller's stay as they were.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import torch

from tensorsql.cancellation import MESSAGE, PATIENCE, helper_context, leave_behind
from tensorsql.errors import InterruptedError
from tensorsql.operators.runtime.program import Context

Item = TypeVar("Item")
Made = TypeVar("Made")
Task = Callable[[int], Any]
GRACE = 0.25  # seconds that threads have to stop in when a query is cancelled


class Crew:
    """`threads` threads, made at the first use and ended by `close`."""

    def __init__(self, threads: int, context: Context) -> None:
        self.threads = threads
        self.context = context
        self._tasks: list[SimpleQueue[Task | None]] = []
        self._done: list[SimpleQueue[BaseException | None]] = []
        self._members: list[threading.Thread] = []
        self._left_behind = False

    def lead(self, function: Callable[[], Made]) -> Made:
        """The function's result, computed by the leader; an interrupt of the caller cancels it."""
        self._start()
        made: list[Made] = []
        own = helper_context()
        self._tasks[0].put(lambda _: made.append(own.run(function)))
        try:
            error = self._answer()
        except BaseException:
            self.context.cancelled.set()
            self._leave_behind()
            raise
        if error is not None:
            raise error
        return made[0]

    def _answer(self) -> BaseException | None:
        """What the leader ends with; InterruptedError of our own if it takes too long to stop."""
        patience = GRACE
        while patience > 0:
            try:
                return self._done[0].get(timeout=PATIENCE)
            except Empty:
                patience -= PATIENCE if self.context.cancelled.is_set() else 0.0
        self._leave_behind()
        return InterruptedError(MESSAGE)

    def _leave_behind(self) -> None:
        self._left_behind = True
        leave_behind(self._members)

    def share(self, work: Task, workers: int) -> None:
        """Called by the leader: `work(number)` on so many threads, its own with number 0."""
        helpers = range(1, min(workers, self.threads))
        for number in helpers:
            self._tasks[number].put(_in_context(work))
        errors: list[BaseException | None] = [_caught(work, 0)]
        errors += [self._done[number].get() for number in helpers]
        for error in errors:
            if error is not None:
                raise error

    def close(self) -> None:
        """End the threads."""
        for tasks in self._tasks:
            tasks.put(None)
        if not self._left_behind:  # those end by themselves
            for member in self._members:
                member.join()
            self._tasks, self._done, self._members = [], [], []

    def _start(self) -> None:
        if self._members:
            return
        user_threads = torch.get_num_threads()
        ready = threading.Barrier(self.threads + 1)
        self._tasks = [SimpleQueue() for _ in range(self.threads)]
        self._done = [SimpleQueue() for _ in range(self.threads)]
        self._members = [
            threading.Thread(target=self._serve, args=(number, ready), daemon=True)
            for number in range(self.threads)
        ]
        for member in self._members:
            member.start()
        ready.wait()
        # set_num_threads in a member also became the default of threads yet to come: put it back
        # from a thread of its own, which leaves the caller's and the members' counts alone.
        restorer = threading.Thread(target=torch.set_num_threads, args=(user_threads,))
        restorer.start()
        restorer.join()

    def _serve(self, number: int, ready: threading.Barrier) -> None:
        torch.get_num_threads()  # a thread takes the default over at its first question: ask now
        torch.set_num_threads(1)
        ready.wait()
        with torch.no_grad():
            while (task := self._tasks[number].get()) is not None:
                self._done[number].put(_caught(task, number))


def _in_context(work: Task) -> Task:
    """The work as part of the statement that this thread works for."""
    own = copy_context()
    return lambda number: own.run(work, number)


def _caught(task: Task, number: int) -> BaseException | None:
    try:
        task(number)
    except BaseException as error:
        return error
    return None


def each(context: Context, function: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
    """The function of every item, in order, shared among the crew when its leader asks."""
    crew = context.crew
    if crew is None or len(items) < 2 or crew.threads < 2:
        return [function(item) for item in items]
    made: dict[int, Made] = {}
    numbers = iter(range(len(items)))
    lock = threading.Lock()

    def work(_: int) -> None:
        while True:
            with lock:
                place = next(numbers, None)
            if place is None:
                return
            made[place] = function(items[place])

    crew.share(work, len(items))
    return [made[place] for place in range(len(items))]
