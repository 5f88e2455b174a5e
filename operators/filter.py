"""Filter: rows for which a predicate is TRUE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import true_rows
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.functions.ranges import StoredColumns, counted_columns
from tensorsql.operators.runtime.program import Run
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.planner.plans.expressions import Expression
from tensorsql.planner.plans.logical import Filter
from tensorsql.storage.columns.column import Batch


def compile_filter(plan: Filter, node: int, compiler: Compiler) -> Stream:
    """The input's stream with the filter."""
    (stream,) = compiler.inputs(plan, node)
    counted = counted_columns(plan.input, [plan.predicate])
    return stream.then(FilterRecipe(node, plan.predicate, counted))


@dataclass(frozen=True)
class FilterRecipe:
    """The predicate, and the stored columns that it computes with by id."""

    node: int
    predicate: Expression
    counted: StoredColumns = field(default_factory=dict)

    def start(self, run: Run) -> FilterOperator:
        """Compile the predicate."""
        return FilterOperator(compile_expressions([self.predicate], run.context, self.counted))


@dataclass(frozen=True)
class FilterOperator:
    """Narrows the batch's selection."""

    predicate: Evaluator

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The batch with a smaller selection, or itself where every row passes."""
        (column,) = self.predicate(batch)
        passing = kernels.nonzero(true_rows(column))
        yield batch if int(passing.shape[0]) == batch.rows else batch.select(passing)
