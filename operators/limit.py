"""Limit: a range of the input's rows, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tensorsql.operators.runtime.kept_rows import Columns, KeptRows, in_order, slice_batch
from tensorsql.operators.runtime.program import Run, Scope
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.logical import Limit
from tensorsql.storage.columns.column import Batch


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

    def new_state(self) -> KeptRows:
        """The rows of one morsel."""
        return KeptRows(self.columns)

    def accumulate(self, state: KeptRows, batch: Batch) -> None:
        """Keep the batch's rows as far as they can count."""
        room = batch.rows if self.stop is None else self.stop - state.rows
        if room > 0:
            batch = batch.compact(id for id, _ in self.columns)
            state.add(slice_batch(batch, 0, room))

    def enough(self, state: KeptRows) -> bool:
        """Whether the morsels up to this one hold `stop` rows."""
        self.seen += state.rows
        return self.stop is not None and self.seen >= self.stop

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """Rows start … stop - 1 of all."""
        batches, position = [], 0
        for batch in in_order(self.columns, states).batches:
            first = max(self.start - position, 0)
            last = batch.rows if self.stop is None else min(self.stop - position, batch.rows)
            if first < last:
                batches.append(slice_batch(batch, first, last))
            position += batch.rows
        return KeptRows.of(self.columns, *batches)
