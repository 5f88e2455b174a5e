"""Programs: a DAG of pipelines, source → operators → sink, and the protocols of each.

A pipeline's source is read morsel by morsel on a pool of workers; each morsel run owns one local
object per operator and, by the sink's scope, each worker or each morsel one sink state. A sink's
merged result is a `Source` that later pipelines (or several, or a loop) read.

A program holds recipes: picklable parameters. `Recipe.start` makes the thing itself when its
pipeline starts, so physical algorithms are chosen from the actual inputs.

Results never depend on the scheduler or the morsel size: every sink either merges states in
morsel order, or carries the place of each row with it; floats are added in row order.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from tensorsql.cancellation import MESSAGE
from tensorsql.errors import InterruptedError
from tensorsql.storage.columns.column import Batch

Scope = Literal["worker", "ordered"]


@dataclass
class Metrics:
    """What EXPLAIN ANALYZE prints, per plan node (key: its number in preorder, see `walk_plan`).

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

    def add_seconds(self, node: int, seconds: float) -> None:
        """Count time a node took, over all workers."""
        with self.lock:
            self.seconds[node] = self.seconds.get(node, 0.0) + seconds

    def note(self, node: int, **values: Any) -> None:
        """Add numbers to (or set words of) a node's notes, e.g. verified=12, index='masks_chi'."""
        with self.lock:
            notes = self.notes.setdefault(node, {})
            for name, value in values.items():
                number = isinstance(value, int | float) and not isinstance(value, bool)
                notes[name] = notes.get(name, 0) + value if number else value


@dataclass
class Context:
    """What a running query may use: settings, cancellation, metrics, the models it needs."""

    settings: Mapping[str, Any]
    cancelled: threading.Event = field(default_factory=threading.Event)
    metrics: Metrics = field(default_factory=Metrics)
    services: Any = None  # the session's storage services: open models, activation cache
    crew: Any = None  # the Crew that runs the current pipeline, if one does

    def check(self) -> None:
        """Raise InterruptedError once the query was cancelled; called between morsels."""
        if self.cancelled.is_set():
            raise InterruptedError(MESSAGE)

    @property
    def inputs_run(self) -> int:
        """Inputs this thread has run through models so far."""
        started = getattr(self.services, "started_inference", None)
        return 0 if started is None else int(started.inputs_run)


class Source(Protocol):
    """Rows by morsel."""

    def morsels(self, size: int) -> int:
        """How many morsels of `size` rows (0 = all rows in one) there are."""

    def read(self, morsel: int, size: int) -> Batch:
        """The rows of one morsel; called by any worker, in any order."""


class Operator(Protocol):
    """A step of a pipeline; one instance serves all workers, `local` belongs to one morsel."""

    def open(self, worker: int) -> Any:
        """Local state of one morsel run."""

    def process(self, batch: Batch, local: Any) -> Iterable[Batch]:
        """Zero or more batches for one; fan-out, UNNEST and rebatching fit."""

    def finish(self, local: Any) -> Iterable[Batch]:
        """What is left when the morsel has no more batches."""


class Stateless:
    """Base of operators that keep nothing between batches."""

    def open(self, worker: int) -> None:
        """No local state."""

    def finish(self, local: None) -> Iterable[Batch]:
        """Nothing is left."""
        return ()


class Sink(Protocol):
    """The end of a pipeline."""

    @property
    def scope(self) -> Scope:
        """Whether there is a state per worker or per morsel."""

    def new_state(self) -> Any:
        """A fresh state: one per worker, or per morsel in ordered scope."""

    def accumulate(self, state: Any, batch: Batch) -> None:
        """Take a batch into a state."""

    def merge(self, states: Sequence[Any]) -> Source:
        """All states as one source; in ordered scope they come in morsel order."""

    def enough(self, state: Any) -> bool:
        """Told each state of ordered scope in morsel order; True = no later morsel is needed."""


class Merging:
    """Base of sinks that need every morsel."""

    def enough(self, state: Any) -> bool:
        """Never before the end."""
        return False


@dataclass(frozen=True)
class Run:
    """What a recipe starts from: the context and the results of earlier pipelines by number."""

    context: Context
    results: Mapping[int, Source]


Made = TypeVar("Made", covariant=True)


class Recipe(Protocol[Made]):
    """Picklable parameters of a source, operator or sink that works for plan node `node`.

    One that reads results of earlier pipelines lists their numbers in a property `reads`, so that
    they are kept for as long. A negative node's rows are not counted.
    """

    @property
    def node(self) -> int:
        """The number of the plan node whose rows and time this counts as."""

    def start(self, run: Run) -> Made:
        """The thing itself; called once, when its pipeline starts."""


@dataclass(frozen=True)
class Pipeline:
    """One pipeline; it starts when those with smaller numbers are done."""

    number: int
    source: Recipe[Source]
    operators: tuple[Recipe[Operator], ...]
    sink: Recipe[Sink]


@dataclass(frozen=True)
class Program:
    """Pipelines in an order in which they can run; `output` is the result's number."""

    pipelines: tuple[Pipeline, ...]
    output: int
