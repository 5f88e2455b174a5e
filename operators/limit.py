"""Limit: a range of the input's rows, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tensorsql.operators.runtime.program import Run, Scope
from tensorsql.operators.runtime.result import Columns, Rows
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.logical import Limit
from tensorsql.storage.columns.column import Batch, slice_column


def compile_limit(plan: Limit, node: int, compiler: Compiler) -> Stream:
    """A stream over the rows kept."""
    (stream,) = compiler.inputs(plan, node)
    sink = LimitRecipe(node, columns_of(plan.fields), plan.count, plan.offset)
    return compiler.reopen(compiler.close(stream, sink), node)


@dataclass(frozen=True)
class LimitRecipe:
    """How many rows after how many; count None = all."""

    node: int
    columns: Columns
    count: int | None
    offset: int

    def start(self, run: Run) -> LimitSink:
        """The sink."""
        stop = None if self.count is None else self.offset + self.count
        return LimitSink(self.columns, self.offset, stop)


@dataclass
class LimitSink:
    """Keeps at most `stop` rows a morsel and ends the pipeline once the first morsels hold them."""

    columns: Columns
    start: int
    stop: int | None
    seen: int = 0
    scope: Scope = "ordered"

    def new_state(self) -> Kept:
        """The rows of one morsel."""
        return Kept()

    def accumulate(self, state: Kept, batch: Batch) -> None:
        """Keep the batch's rows as far as they can count."""
        room = batch.rows if self.stop is None else self.stop - state.rows
        if room > 0:
            batch = slice_batch(batch.compact(id for id, _ in self.columns), 0, room)
            state.batches.append(batch)
            state.rows += batch.rows

    def enough(self, state: Kept) -> bool:
        """Whether the morsels up to this one hold `stop` rows."""
        self.seen += state.rows
        return self.stop is not None and self.seen >= self.stop

    def merge(self, states: Sequence[Kept]) -> Rows:
        """Rows start … stop - 1 of all."""
        batches, position = [], 0
        for batch in (batch for state in states for batch in state.batches):
            first = max(self.start - position, 0)
            last = batch.rows if self.stop is None else min(self.stop - position, batch.rows)
            if first < last:
                batches.append(slice_batch(batch, first, last))
            position += batch.rows
        return Rows(batches, self.columns)


@dataclass
class Kept:
    """Batches and how many rows they have."""

    batches: list[Batch] = field(default_factory=list)
    rows: int = 0


def slice_batch(batch: Batch, start: int, stop: int) -> Batch:
    """Rows start … stop - 1 (or the end) of a batch without selection."""
    stop = min(stop, batch.count)
    if start == 0 and stop == batch.count:
        return batch
    columns = {id: slice_column(column, start, stop) for id, column in batch.columns.items()}
    return replace(batch, columns=columns, count=stop - start)
