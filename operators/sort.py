"""Sort: all rows in the order of the keys, stable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tensorsql.operators.columns.layouts import take_batch
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.keys.ordering import Direction, directions, order_codes, sort_rows
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows
from tensorsql.operators.runtime.program import Run
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import SortKey
from tensorsql.planner.plans.logical import Sort


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
        return SortSink(self.columns, keys, order=directions(self.keys))


@dataclass(frozen=True, kw_only=True)
class SortSink(Keeping):
    """Keeps rows and keys in order; merging sorts them once, whole."""

    order: tuple[Direction, ...]

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """The sorted rows."""
        kept = super().merge(states)
        if not kept.rows:
            return kept
        rows = kept.joined()
        order = sort_rows(order_codes(rows.keys, self.order))
        return KeptRows.of(self.columns, take_batch(rows.batch, order))
