"""Programs: a DAG of pipelines, source → operators → sink, and the protocols of each.

A pipeline's source is read morsel by morsel on a pool of workers; by the sink's scope each worker
or each morsel has one sink state. A sink's merged result is a `Source` that later pipelines (or
several, or a loop) read.

A program holds recipes: picklable parameters. `Recipe.start` makes the thing itself when its
pipeline starts, so physical algorithms are chosen from the actual inputs.

Results never depend on the scheduler or the morsel size: every sink either merges states in
morsel order, or carries the place of each row with it; floats are added in row order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar

import torch

from tensorsql.cancellation import MESSAGE
from tensorsql.errors import CatalogError, InterruptedError, nearest
from tensorsql.operators.runtime.metrics import Metrics
from tensorsql.planner.analysis.basis import Basis, with_values
from tensorsql.planner.plans.expressions import ParameterValues
from tensorsql.storage.columns.column import CPU, Batch
from tensorsql.storage.tables.catalog import Catalog, IndexEntry, ModelEntry, Relation, TableName

AGAIN = "plan the statement again"
Shared = TypeVar("Shared")
Scope = Literal["worker", "ordered"]


class Services(Protocol):
    """What a program may ask of whoever runs it; it outlives the program."""

    @property
    def kernels(self) -> Mapping[str, Any]:
        """The kernels of functions that only this session has, by the path in their signature."""

    def trusts_models(self) -> bool:
        """Whether models that came with a database may run code when they are opened."""

    def shared(self, make: Callable[[Services], Shared]) -> Shared:
        """What `make` makes: once, for all programs."""


@dataclass
class Context:
    """What a running query may use: settings, cancellation, metrics, services, its snapshot,
    parameters; and where its rows lie."""

    settings: Mapping[str, Any]
    cancelled: threading.Event = field(default_factory=threading.Event)
    metrics: Metrics = field(default_factory=Metrics)
    services: Services | None = None
    catalog: Catalog | None = None
    parameters: ParameterValues = field(default_factory=ParameterValues)
    crew: Any = None  # the Crew that runs the current pipeline, if one does
    device: torch.device = CPU

    def check(self) -> None:
        """Raise InterruptedError once the query was cancelled; called between morsels."""
        if self.cancelled.is_set():
            raise InterruptedError(MESSAGE)

    def relation(self, reference: TableName | Relation) -> Relation:
        """The relation that a program reads."""
        if isinstance(reference, Relation):
            return reference
        assert self.catalog is not None
        named = self.catalog.relation(reference.name)
        if named is None or named.identity != reference.identity:
            raise CatalogError(f'table "{reference.name}" is another one now; {AGAIN}')
        return named

    def index(self, record: IndexEntry) -> IndexEntry | None:
        """The index with its blocks; None, which leaves rows unbounded, where the table lost it."""
        if self.catalog is None:
            return record
        named = self.catalog.index(record.name)
        return named if named and named.table.lower() == record.table.lower() else None

    def model(self, record: ModelEntry) -> ModelEntry:
        """The model with what was loaded of it."""
        named = self.named_model(record.name)
        if named.weights_hash != record.weights_hash:
            raise CatalogError(f'model "{record.name}" is another one now; {AGAIN}')
        return named

    def named_model(self, name: str) -> ModelEntry:
        """The model of the name; CatalogError if there is none."""
        assert self.catalog is not None
        model = self.catalog.model(name)
        if model is None:
            hint = nearest(name, self.catalog.model_names())
            raise CatalogError(f'model "{name}" not found{hint}')
        return model


class Source(Protocol):
    """Rows by morsel."""

    def morsels(self, size: int) -> int:
        """How many morsels of `size` rows (0 = all rows in one) there are."""

    def read(self, morsel: int, size: int) -> Batch:
        """The rows of one morsel; called by any worker, in any order."""


class Operator(Protocol):
    """A step of a pipeline; one instance serves all workers and keeps nothing between batches."""

    def process(self, batch: Batch) -> Iterable[Batch]:
        """Zero or more batches for one."""


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
    """Pipelines in an order in which they can run; `output` is the result's number.

    It holds no rows of tables, and runs at any snapshot for which its `basis` holds.
    """

    pipelines: tuple[Pipeline, ...]
    output: int
    basis: Basis

    def bound(self, context: Context) -> Program:
        """The program with the run's parameters; CatalogError if its basis does not hold."""
        for each in self.basis.tables:
            if not each.holds(context.relation(each.table)):
                raise CatalogError(f'table "{each.table.name}" has changed too much; {AGAIN}')
        values = context.parameters.values
        if values == self.basis.parameters:
            return self
        if not self.basis.takes(values):
            raise CatalogError(f"the plan rests on the parameters it was made with; {AGAIN}")
        return replace(self, pipelines=with_values(self.pipelines, values))
