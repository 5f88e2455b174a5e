"""TopN: the first rows in the order of the keys, holding only candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from tensorsql.operators.columns.building import concat_batches, take_batch
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.keys.ordering import Direction, directions, first_rows, order_codes
from tensorsql.operators.runtime.program import Merging, Run, Scope
from tensorsql.operators.runtime.result import Columns, Rows
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import SortKey
from tensorsql.planner.plans.logical import TopN
from tensorsql.storage.columns.column import Batch, Column, Flat, take
from tensorsql.storage.columns.concat import concat
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


@dataclass(frozen=True)
class Candidates:
    """Rows in input order with their key columns; the last two keys are morsel and place in it."""

    batch: Batch
    keys: tuple[Column, ...]


@dataclass
class TopNState:
    """One worker's candidates, and where it stands in the input."""

    pieces: list[Candidates] = field(default_factory=list)
    rows: int = 0
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
        return TopNState()

    def accumulate(self, state: TopNState, batch: Batch) -> None:
        """Add the best rows of a batch."""
        if state.morsel != batch.morsel:
            state.morsel, state.place = batch.morsel, 0
        keys = (*self.keys(batch), *_place(batch, state.place))
        state.place += batch.rows
        best = self._best(Candidates(batch.compact(id for id, _ in self.columns), keys))
        state.pieces.append(best)
        state.rows += best.batch.rows
        if state.rows > 4 * (self.offset + self.count) + SLACK_ROWS:
            state.pieces = [self._best(self._join(state.pieces))]
            state.rows = state.pieces[0].batch.rows

    def merge(self, states: Sequence[TopNState]) -> Rows:
        """The rows asked for, in order."""
        pieces = [piece for state in states for piece in state.pieces]
        if not pieces or self.count == 0:
            return Rows([], self.columns)
        best = self._best(self._join(pieces)).batch
        kept = torch.arange(min(self.offset, best.count), best.count)
        return Rows([replace(take_batch(best, kept), morsel=0)], self.columns)

    def _best(self, piece: Candidates) -> Candidates:
        order = (*self.order, Direction(), Direction())
        codes = order_codes(piece.keys, order)
        rows = first_rows(codes, piece.batch.count, self.offset + self.count)
        keys = tuple(take(key, rows) for key in piece.keys)
        return Candidates(take_batch(piece.batch, rows), keys)

    def _join(self, pieces: Sequence[Candidates]) -> Candidates:
        keys = tuple(concat(part) for part in zip(*(piece.keys for piece in pieces), strict=True))
        return Candidates(concat_batches([piece.batch for piece in pieces], self.columns), keys)


def _place(batch: Batch, start: int) -> tuple[Column, Column]:
    morsel = Flat(BIGINT, torch.full((batch.rows,), batch.morsel))
    return morsel, Flat(BIGINT, torch.arange(start, start + batch.rows))
