"""TopN: the first rows in the order of the keys, holding only candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.keys.ordering import Direction, directions, first_rows, order_codes
from tensorsql.operators.runtime.kept_rows import (
    Columns,
    KeptRows,
    KeyedBatch,
    in_order,
    slice_batch,
)
from tensorsql.operators.runtime.program import Merging, Run, Scope
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import SortKey
from tensorsql.planner.plans.logical import TopN
from tensorsql.storage.columns.column import Batch, Column, Flat, device_of
from tensorsql.storage.columns.types import BIGINT

SLACK_ROWS = 16384  # candidates beyond 4 * count that are worth a pruning


def compile_top_n(plan: TopN, node: int, compiler: Compiler) -> Stream:
    """A stream over the rows kept."""
    (stream,) = compiler.inputs(plan, node)
    sink = TopNRecipe(node, columns_of(plan.fields), plan.keys, plan.count, plan.offset)
    return compiler.reopen(compiler.close(stream, sink), node)


@dataclass(frozen=True)
class TopNRecipe:
    """The columns to keep, the keys, and how many rows after how many."""

    node: int
    columns: Columns
    keys: tuple[SortKey, ...]
    count: int
    offset: int

    def start(self, run: Run) -> TopNSink:
        """Compile the keys."""
        keys = compile_expressions([key.expression for key in self.keys], run.context)
        return TopNSink(self.columns, directions(self.keys), keys, self.count, self.offset)


@dataclass
class TopNState:
    """One worker's candidates, and where it stands in the input."""

    kept: KeptRows
    morsel: int = -1
    place: int = 0


@dataclass(frozen=True)
class TopNSink(Merging):
    """Keeps the best `offset + count` rows of each batch and prunes them now and then.

    Rows with equal keys come in input order: (morsel, place in it) is their last key.
    """

    columns: Columns
    order: tuple[Direction, ...]
    keys: Evaluator
    count: int
    offset: int
    scope: Scope = "worker"

    def new_state(self) -> TopNState:
        """No candidates."""
        return TopNState(KeptRows(self.columns))

    def accumulate(self, state: TopNState, batch: Batch) -> None:
        """Add the best rows of a batch."""
        if state.morsel != batch.morsel:
            state.morsel, state.place = batch.morsel, 0
        kept = state.kept
        keys = self.keys(batch)
        kept.add(batch, (*keys, *_place(batch, state.place, device_of(keys[0]))))
        state.place += batch.rows
        kept.pieces[-1] = self._best(kept.pieces[-1])
        if kept.rows > 4 * (self.offset + self.count) + SLACK_ROWS:
            kept.pieces = [self._best(kept.joined())]

    def merge(self, states: Sequence[TopNState]) -> KeptRows:
        """The rows asked for, in order."""
        kept = in_order(self.columns, [state.kept for state in states])
        if not kept.rows or self.count == 0:
            return KeptRows(self.columns)
        best = self._best(kept.joined()).batch
        return KeptRows.of(
            self.columns, slice_batch(best, min(self.offset, best.count), best.count)
        )

    def _best(self, rows: KeyedBatch) -> KeyedBatch:
        codes = order_codes(rows.keys, (*self.order, Direction(), Direction()))
        return rows.take(first_rows(codes, rows.batch.count, self.offset + self.count))


def _place(batch: Batch, start: int, device: torch.device) -> tuple[Column, Column]:
    places = torch.arange(start, start + batch.rows, device=device)
    return Flat(BIGINT, torch.full_like(places, batch.morsel)), Flat(BIGINT, places)
