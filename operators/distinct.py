"""Distinct: the first row of each key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tensorsql.operators.columns.building import concat_batches, take_batch
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.keys.key_codes import group_rows
from tensorsql.operators.runtime.program import Merging, Run, Scope
from tensorsql.operators.runtime.result import Columns, Keyed, Rows
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import Expression
from tensorsql.planner.plans.logical import Distinct
from tensorsql.storage.columns.column import Batch, Column, take
from tensorsql.storage.columns.concat import concat


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
class DistinctSink(Merging):
    """Keeps the first row per key of each batch, then of all."""

    columns: Columns
    on: Evaluator
    scope: Scope = "ordered"

    def new_state(self) -> Keyed:
        """The rows of one morsel."""
        return Keyed()

    def accumulate(self, state: Keyed, batch: Batch) -> None:
        """Keep the first rows of the batch."""
        keys, first = _first(list(self.on(batch)), batch.rows)
        state.keys.append(keys)
        state.batches.append(take_batch(batch.compact(id for id, _ in self.columns), first))

    def merge(self, states: Sequence[Keyed]) -> Rows:
        """The first rows of all batches, in order."""
        batches = [batch for state in states for batch in state.batches]
        if not batches:
            return Rows([], self.columns)
        table = concat_batches(batches, self.columns)
        parts = [keys for state in states for keys in state.keys]
        keys = [concat(column) for column in zip(*parts, strict=True)]
        return Rows([take_batch(table, _first(keys, table.count)[1])], self.columns)


def _first(keys: list[Column], rows: int) -> tuple[list[Column], Tensor]:
    first = group_rows(keys, rows).first
    return [take(key, first) for key in keys], first
