"""Sort: all rows in the order of the keys, stable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tensorsql.operators.columns.building import concat_batches, take_batch
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.keys.ordering import Direction, directions, order_codes, sort_rows
from tensorsql.operators.runtime.program import Merging, Run, Scope
from tensorsql.operators.runtime.result import Columns, Keyed, Rows
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import SortKey
from tensorsql.planner.plans.logical import Sort
from tensorsql.storage.columns.column import Batch
from tensorsql.storage.columns.concat import concat


def compile_sort(plan: Sort, node: int, compiler: Compiler) -> Stream:
    """A stream over the sorted rows."""
    (stream,) = compiler.inputs(plan, node)
    number = compiler.close(stream, SortRecipe(node, columns_of(plan.fields), plan.keys))
    return compiler.reopen(number, node)


@dataclass(frozen=True)
class SortRecipe:
    """The columns to keep and the keys."""

    node: int
    columns: Columns
    keys: tuple[SortKey, ...]

    def start(self, run: Run) -> SortSink:
        """Compile the keys."""
        expressions = [key.expression for key in self.keys]
        keys = compile_expressions(expressions, run.context)
        return SortSink(self.columns, directions(self.keys), keys)


@dataclass(frozen=True)
class SortSink(Merging):
    """Keeps rows and keys in order; merging sorts them once, whole."""

    columns: Columns
    order: tuple[Direction, ...]
    keys: Evaluator
    scope: Scope = "ordered"

    def new_state(self) -> Keyed:
        """The rows of one morsel."""
        return Keyed()

    def accumulate(self, state: Keyed, batch: Batch) -> None:
        """Keep a batch and its keys."""
        state.keys.append(list(self.keys(batch)))
        state.batches.append(batch.compact(id for id, _ in self.columns))

    def merge(self, states: Sequence[Keyed]) -> Rows:
        """The sorted rows."""
        batches = [batch for state in states for batch in state.batches]
        if not batches:
            return Rows([], self.columns)
        table = concat_batches(batches, self.columns)
        parts = [keys for state in states for keys in state.keys]
        keys = [concat(column) for column in zip(*parts, strict=True)]
        order = sort_rows(order_codes(keys, self.order), table.count)
        return Rows([take_batch(table, order)], self.columns)
