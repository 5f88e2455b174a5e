"""Run a program: pipelines in order, each one's morsels on a crew of threads.

A pipeline over few rows runs inline, on the caller's thread. Else the caller waits for the crew's
leader, and when the query is cancelled not for long: threads in the middle of a long operation are
left behind, to end after it with nobody to take what they made. They run without autograd and with
one torch thread each: operations that torch would spread over its own threads stall on a busy
machine, and morsels use the cores better. The process's thread count and the caller's stay.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import torch

from tensorsql.cancellation import MESSAGE, PATIENCE, helper_context, leave_behind
from tensorsql.errors import InterruptedError
from tensorsql.operators.runtime.program import (
    Context,
    Operator,
    Pipeline,
    Program,
    Run,
    Sink,
    Source,
)
from tensorsql.storage.columns.column import Batch

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


DEFAULT_MORSEL_SIZE = 262144
INLINE_ROWS = 32768  # torch itself spreads operations on more rows over threads


def run(program: Program, context: Context) -> Source:
    """The result of the program's output pipeline; raises the first error by morsel order."""
    program = program.bound(context)
    results: dict[int, Source] = {}
    last_reader = _last_readers(program)
    crew = Crew(_threads(context), context)
    try:
        for pipeline in program.pipelines:
            context.check()
            results[pipeline.number] = _run_pipeline(pipeline, Run(context, results), crew)
            for number in [key for key, last in last_reader.items() if last == pipeline.number]:
                results.pop(number, None)
    finally:
        crew.close()
    return results[program.output]


def _last_readers(program: Program) -> Mapping[int, int]:
    """The last pipeline that reads each result, after which it can go."""
    last: dict[int, int] = {}
    for pipeline in program.pipelines:
        for recipe in (pipeline.source, *pipeline.operators, pipeline.sink):
            for number in getattr(recipe, "reads", ()):
                last[number] = pipeline.number
    return {number: reader for number, reader in last.items() if number != program.output}


@dataclass
class _Stages:
    """A started pipeline: its parts, each with the plan node it counts for."""

    context: Context
    source: Source
    operators: Sequence[Operator]
    sink: Sink
    nodes: Sequence[int]  # of the source, of each operator, of the sink
    size: int


def _run_pipeline(pipeline: Pipeline, run: Run, crew: Crew) -> Source:
    with torch.no_grad():
        source = _started(pipeline.source, run)
    size = int(run.context.settings.get("morsel_size", DEFAULT_MORSEL_SIZE))
    if not _is_large(source, size, pipeline, run):
        with torch.no_grad():
            return _run_stages(source, size, pipeline, run)
    run.context.crew = crew
    try:
        return crew.lead(lambda: _run_stages(source, size, pipeline, run))
    finally:
        run.context.crew = None


def _is_large(source: Source, size: int, pipeline: Pipeline, run: Run) -> bool:
    """Whether there are several morsels, or results read are too many rows for the caller."""
    if source.morsels(size) > 1 or source.morsels(INLINE_ROWS) > 1:
        return True
    read = [number for recipe in pipeline.operators for number in getattr(recipe, "reads", ())]
    return any(run.results[number].morsels(INLINE_ROWS) > 1 for number in read)


def _run_stages(source: Source, size: int, pipeline: Pipeline, run: Run) -> Source:
    recipes = (pipeline.source, *pipeline.operators, pipeline.sink)
    stages = _Stages(
        run.context,
        source,
        [_started(recipe, run) for recipe in pipeline.operators],
        _started(pipeline.sink, run),
        [recipe.node for recipe in recipes],
        size,
    )
    states = _Queue(stages, source.morsels(size)).run(run.context.crew)
    with run.context.metrics.working(pipeline.sink.node):
        return stages.sink.merge(states)


def _started(recipe: Any, run: Run) -> Any:
    """The recipe's source, operator or sink."""
    with run.context.metrics.working(recipe.node):
        return recipe.start(run)


def _threads(context: Context) -> int:
    return int(context.settings.get("threads") or os.cpu_count() or 1)


@dataclass
class _Queue:
    """Hands out morsels in order and keeps the states they leave."""

    stages: _Stages
    count: int
    next: int = 0
    seen: int = 0  # states before it were shown to the sink
    stopped: bool = False
    ordered: dict[int, Any] = field(default_factory=dict)
    workers: list[Any] = field(default_factory=list)
    errors: dict[int, BaseException] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, crew: Crew | None) -> list[Any]:
        """Run all morsels; the states in the order `Sink.merge` wants them."""
        if crew is None or self.count <= 1:
            self.work(0)
        else:
            crew.share(self.work, self.count)
        if self.errors:
            raise self.errors[min(self.errors)]
        if self.stages.sink.scope == "worker":
            return self.workers
        return [self.ordered[morsel] for morsel in sorted(self.ordered)]

    def work(self, _: int) -> None:
        """Run morsels until there are no more; errors are kept for the caller."""
        sink = self.stages.sink
        own = sink.new_state() if sink.scope == "worker" else None
        while (morsel := self._take()) is not None:
            state = sink.new_state() if own is None else own
            try:
                _Morsel(self.stages, state).run(morsel)
                self._keep(morsel, None if own is not None else state)
            except BaseException as error:
                with self.lock:
                    self.errors[morsel], self.stopped = error, True
        if own is not None:
            with self.lock:
                self.workers.append(own)

    def _take(self) -> int | None:
        with self.lock:
            if self.stopped or self.next >= self.count:
                return None
            self.next += 1
            return self.next - 1

    def _keep(self, morsel: int, state: Any) -> None:
        if self.stages.sink.scope == "worker":
            return
        with self.lock:
            self.ordered[morsel] = state
            while self.seen in self.ordered:
                self.stopped |= self.stages.sink.enough(self.ordered[self.seen])
                self.seen += 1


class _Morsel:
    """Pushes one morsel through the operators into a state, counting rows and time per stage."""

    def __init__(self, stages: _Stages, state: Any) -> None:
        self.stages = stages
        self.state = state
        self.working = stages.context.metrics.working
        self.rows = [0] * (len(stages.operators) + 1)

    def run(self, morsel: int) -> None:
        """Read the morsel and push it to the end."""
        with self.working(self.stages.nodes[0]):
            batch = self.stages.source.read(morsel, self.stages.size)
        self._push(batch, 0)
        self._report()

    def _push(self, batch: Batch, index: int) -> None:
        """Give a batch that stage `index` (0 = source) put out to the next stage."""
        self.stages.context.check()
        self.rows[index] += batch.rows
        if batch.rows == 0:
            return
        if index == len(self.stages.operators):
            with self.working(self.stages.nodes[-1]):
                self.stages.sink.accumulate(self.state, batch)
            return
        made = self.stages.operators[index].process(batch)
        for output in self._timed(made, index + 1):
            self._push(output, index + 1)

    def _timed(self, batches: Iterable[Batch], index: int) -> Iterator[Batch]:
        iterator = iter(batches)
        while True:
            with self.working(self.stages.nodes[index]):
                batch = next(iterator, None)
            if batch is None:
                return
            yield batch

    def _report(self) -> None:
        for node, rows in zip(self.stages.nodes, self.rows, strict=False):
            if node >= 0:
                self.stages.context.metrics.add_rows(node, rows)
