"""Filter: rows for which a predicate is TRUE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import true_rows
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.functions.ranges import Range, proven_ranges
from tensorsql.operators.runtime.program import Run
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.planner.plans.expressions import Expression
from tensorsql.planner.plans.logical import Filter
from tensorsql.storage.columns.column import Batch


def compile_filter(plan: Filter, node: int, compiler: Compiler) -> Stream:
    """The input's stream with the filter."""
    (stream,) = compiler.inputs(plan, node)
    ranges = proven_ranges(plan.input, [plan.predicate])
    return stream.then(FilterRecipe(node, plan.predicate, ranges))


@dataclass(frozen=True)
class FilterRecipe:
    """The predicate, and proven ranges of stored values by column id."""

    node: int
    predicate: Expression
    ranges: Mapping[int, Range] = field(default_factory=dict)

    def start(self, run: Run) -> FilterOperator:
        """Compile the predicate."""
        return FilterOperator(compile_expressions([self.predicate], run.context, self.ranges))


@dataclass(frozen=True)
class FilterOperator:
    """Narrows the batch's selection."""

    predicate: Evaluator

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The batch with a smaller selection, or itself where every row passes."""
        (column,) = self.predicate(batch)
        kept = kernels.nonzero(true_rows(column))
        yield batch if int(kept.shape[0]) == batch.rows else batch.select(kept)
