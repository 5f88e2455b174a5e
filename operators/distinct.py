"""Distinct: the first row of each key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tensorsql.operators.columns.layouts import take_batch
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.keys.key_codes import group_rows
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows, KeyedBatch
from tensorsql.operators.runtime.program import Run
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import Expression
from tensorsql.planner.plans.logical import Distinct
from tensorsql.storage.columns.column import Batch


def compile_distinct(plan: Distinct, node: int, compiler: Compiler) -> Stream:
    """A stream over the first rows."""
    (stream,) = compiler.inputs(plan, node)
    on = plan.on if plan.on is not None else tuple(field.ref() for field in plan.fields)
    return compiler.reopen(
        compiler.close(stream, DistinctRecipe(node, columns_of(plan.fields), on)), node
    )


@dataclass(frozen=True)
class DistinctRecipe:
    """The columns to keep and the key."""

    node: int
    columns: Columns
    on: tuple[Expression, ...]

    def start(self, run: Run) -> DistinctSink:
        """Compile the key."""
        return DistinctSink(self.columns, compile_expressions(self.on, run.context))


@dataclass(frozen=True)
class DistinctSink(Keeping):
    """Keeps the first row per key of each batch, then of all."""

    def accumulate(self, state: KeptRows, batch: Batch) -> None:
        """Keep the first rows of the batch."""
        super().accumulate(state, batch)
        rows = state.pieces[-1]
        state.pieces[-1] = rows.take(_first(rows))

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """The first rows of all batches, in order."""
        kept = super().merge(states)
        if not kept.rows:
            return kept
        rows = kept.joined()
        return KeptRows.of(self.columns, take_batch(rows.batch, _first(rows)))


def _first(rows: KeyedBatch) -> Tensor:
    return group_rows(rows.keys).first
