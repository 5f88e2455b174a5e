"""IndexFilter: bounds accept or reject most rows, the rest are evaluated exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import true_rows
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.runtime.program import Context, Run
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.operators.search.bounds import Bounds, BoundsCompiler, bytes_read, full_interval
from tensorsql.operators.search.criteria import begin, count_bytes
from tensorsql.planner.plans.expressions import Expression
from tensorsql.planner.plans.index_plans import IndexFilter, IndexUse
from tensorsql.storage.columns.column import Batch


def compile_index_filter(plan: IndexFilter, node: int, compiler: Compiler) -> Stream:
    """The input's stream with the filter."""
    (stream,) = compiler.inputs(plan, node)
    return stream.then(IndexFilterRecipe(node, plan.predicate, plan.indexes))


@dataclass(frozen=True)
class IndexFilterRecipe:
    """The predicate and the indexes that may bound its calls."""

    node: int
    predicate: Expression
    indexes: tuple[IndexUse, ...]

    def start(self, run: Run) -> IndexFilterOperator:
        """Prepare the probes and compile the predicate."""
        begin(run.context, self.node, [self.predicate])
        bounds = BoundsCompiler(self.indexes, run.context).compile(self.predicate)
        exact = compile_expressions([self.predicate], run.context)
        return IndexFilterOperator(bounds, exact, run.context, self.node)


@dataclass(frozen=True)
class IndexFilterOperator:
    """Narrows the batch's selection."""

    bounds: Bounds
    predicate: Evaluator
    context: Context
    node: int

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The rows accepted by their bounds or, where these leave it open, by their values."""
        decided = full_interval(self.bounds.interval(batch), batch.rows)
        passing = decided.accepts.clone()
        open_rows = kernels.nonzero(~(passing | decided.rejects))
        if len(open_rows):
            verified = self._verify(batch.select(open_rows.to(self.context.device)))
            passing[open_rows.long()] = verified.cpu()
        accepted = int(decided.accepts.sum())
        self.context.metrics.note(
            self.node,
            accepted=accepted,
            rejected=batch.rows - accepted - len(open_rows),
            verified=len(open_rows),
        )
        yield batch.select(kernels.nonzero(passing).to(self.context.device))

    def _verify(self, batch: Batch) -> Tensor:
        before = bytes_read(batch)
        (column,) = self.predicate(batch)
        count_bytes(self.context, self.node, bytes_read(batch) - before)
        return true_rows(column)
