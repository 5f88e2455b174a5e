"""Results: rows a pipeline kept, read by later pipelines or by the session."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from tensorsql.operators.columns.building import concat_batches
from tensorsql.operators.runtime.program import Merging, Run, Scope, Source
from tensorsql.storage.columns.column import Batch, Column, slice_column
from tensorsql.storage.columns.types import Type

Columns = tuple[tuple[int, Type], ...]


@dataclass
class Rows:
    """Source over batches in order, without selection; `columns` are its (id, type) pairs.

    The batches are joined into one when they are first read by morsel; a client that takes them as
    they come never pays for that.
    """

    batches: Sequence[Batch]
    columns: Columns
    joined: Batch | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __reduce__(self) -> tuple[object, ...]:
        return partial(Rows, list(self.batches), self.columns), ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(batch.rows for batch in self.batches)

    def table(self) -> Batch:
        """All rows in one batch."""
        with self.lock:
            if self.joined is None:
                self.joined = concat_batches(self.batches, self.columns)
                self.batches = [self.joined]
            return self.joined

    def morsels(self, size: int) -> int:
        """Morsels of `size` rows; none for no rows."""
        return morsel_count(self.rows, size)

    def read(self, morsel: int, size: int) -> Batch:
        """Rows morsel * size …, without copying."""
        table = self.table()
        start, stop = morsel_range(morsel, size, table.count)
        if stop - start == table.count:
            return table
        columns = {id: slice_column(column, start, stop) for id, column in table.columns.items()}
        return Batch(columns, stop - start, None, morsel)


@dataclass
class Keyed:
    """Compact batches with the key columns of each."""

    batches: list[Batch] = field(default_factory=list)
    keys: list[list[Column]] = field(default_factory=list)


def morsel_count(rows: int, size: int) -> int:
    """How many morsels of `size` rows (0 = all in one) hold `rows` rows."""
    if rows == 0:
        return 0
    return 1 if size == 0 else -(-rows // size)


def morsel_range(morsel: int, size: int, rows: int) -> tuple[int, int]:
    """First and one past the last row of a morsel."""
    if size == 0:
        return 0, rows
    return morsel * size, min((morsel + 1) * size, rows)


@dataclass(frozen=True)
class ReadResult:
    """Source recipe: the result of pipeline `number`."""

    node: int
    number: int

    @property
    def reads(self) -> tuple[int, ...]:
        """The result read."""
        return (self.number,)

    def start(self, run: Run) -> Source:
        """That result."""
        return run.results[self.number]


@dataclass(frozen=True)
class Collect:
    """Sink recipe: keep the rows, in order."""

    node: int
    columns: Columns

    def start(self, run: Run) -> CollectSink:
        """The sink."""
        return CollectSink(self.columns)


@dataclass(frozen=True)
class CollectSink(Merging):
    """Keeps compact batches per morsel; the result is all of them in morsel order."""

    columns: Columns
    scope: Scope = "ordered"

    def new_state(self) -> list[Batch]:
        """Batches of one morsel."""
        return []

    def accumulate(self, state: list[Batch], batch: Batch) -> None:
        """Keep the batch's selected rows of the columns that count."""
        state.append(batch.compact(id for id, _ in self.columns))

    def merge(self, states: Sequence[list[Batch]]) -> Rows:
        """All batches as one source."""
        return Rows([batch for state in states for batch in state], self.columns)
