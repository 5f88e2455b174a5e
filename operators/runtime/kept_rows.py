"""Kept rows: the one place where a query holds on to rows, in a sink or as a result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tensorsql.operators.columns.layouts import concat_batches, take_batch
from tensorsql.operators.runtime.program import Merging, Run, Scope, Source
from tensorsql.storage.columns.column import CPU, Batch, Column, slice_column, take
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import Type

Columns = tuple[tuple[int, Type], ...]


@dataclass(frozen=True)
class KeyedBatch:
    """Rows without selection, and columns they are sorted, grouped or found by."""

    batch: Batch
    keys: Sequence[Column] = ()

    def take(self, rows: Tensor) -> KeyedBatch:
        """Some of the rows, in the order given."""
        return KeyedBatch(take_batch(self.batch, rows), [take(key, rows) for key in self.keys])


@dataclass
class KeptRows:
    """Batches in order and their keys; a source over the rows of all.

    `columns` are the (id, type) pairs of what `add` keeps, and of the table if nothing was kept.
    They are joined into one when all are first needed together; a client that takes them as they
    come never pays for that.
    """

    columns: Columns
    pieces: list[KeyedBatch] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, columns: Columns, *batches: Batch) -> KeptRows:
        """Batches that have these columns only and no selection."""
        return cls(columns, [KeyedBatch(batch) for batch in batches])

    def __getstate__(self) -> dict[str, object]:
        return {name: part for name, part in self.__dict__.items() if name != "lock"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, lock=threading.Lock())

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(piece.batch.count for piece in self.pieces)

    @property
    def batches(self) -> list[Batch]:
        """The rows without the keys."""
        return [piece.batch for piece in self.pieces]

    def add(self, batch: Batch, keys: Sequence[Column] = ()) -> None:
        """Keep the batch's selected rows of the columns, behind the others."""
        self.pieces.append(KeyedBatch(batch.compact(id for id, _ in self.columns), keys))

    def joined(self, device: torch.device = CPU) -> KeyedBatch:
        """All rows in one batch; if there never was one, no key columns, and others on a device."""
        with self.lock:
            if len(self.pieces) != 1:
                self.pieces = [_joined(self.pieces, self.columns, device)]
            return self.pieces[0]

    def table(self) -> Batch:
        """All rows in one batch, without the keys."""
        return self.joined().batch

    def morsels(self, size: int) -> int:
        """Morsels of `size` rows; none for no rows."""
        return morsel_count(self.rows, size)

    def read(self, morsel: int, size: int) -> Batch:
        """Rows morsel * size …, without copying."""
        table = self.table()
        start, stop = morsel_range(morsel, size, table.count)
        return Batch(slice_batch(table, start, stop).columns, stop - start, None, morsel)


def _joined(pieces: Sequence[KeyedBatch], columns: Columns, device: torch.device) -> KeyedBatch:
    batches = [piece.batch for piece in pieces]
    if batches:
        columns = tuple((id, column.type) for id, column in batches[0].columns.items())
    keys = zip(*(piece.keys for piece in pieces), strict=True)
    return KeyedBatch(concat_batches(batches, columns, device), [concat(parts) for parts in keys])


def in_order(columns: Columns, states: Iterable[KeptRows]) -> KeptRows:
    """The rows of all states, one after the other."""
    return KeptRows(columns, [piece for state in states for piece in state.pieces])


@dataclass(frozen=True)
class Keeping(Merging):
    """Sink that keeps rows and what `keys` makes of them, in morsel order.

    Those that need all rows before they put out the first are made from it.
    """

    columns: Columns
    keys: Callable[[Batch], Sequence[Column]] | None = None
    scope: Scope = "ordered"

    def new_state(self) -> KeptRows:
        """The rows of one morsel."""
        return KeptRows(self.columns)

    def accumulate(self, state: KeptRows, batch: Batch) -> None:
        """Keep a batch and its keys."""
        state.add(batch, () if self.keys is None else self.keys(batch))

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """All rows as one source."""
        return in_order(self.columns, states)


@dataclass(frozen=True)
class ReadPipeline:
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

    def start(self, run: Run) -> Keeping:
        """The sink."""
        return Keeping(self.columns)


def slice_batch(batch: Batch, start: int, stop: int) -> Batch:
    """Rows start … stop - 1 (or the end) of a batch without selection."""
    stop = min(stop, batch.count)
    if start == 0 and stop == batch.count:
        return batch
    columns = {id: slice_column(column, start, stop) for id, column in batch.columns.items()}
    return replace(batch, columns=columns, count=stop - start)


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
