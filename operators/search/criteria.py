"""What an index search asks of rows or groups, as bounds and exactly, and what it notes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import true_rows
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.keys.ordering import Direction, directions
from tensorsql.operators.runtime.kept_rows import KeyedBatch
from tensorsql.operators.runtime.program import Context
from tensorsql.operators.search.bounds import (
    Bounds,
    BoundsCompiler,
    bytes_read,
    full_interval,
    open_interval,
)
from tensorsql.planner.analysis.intervals import Interval
from tensorsql.planner.plans.expressions import Call, Expression, walk
from tensorsql.planner.plans.index_plans import IndexTopN
from tensorsql.storage.columns.column import Batch, Flat
from tensorsql.storage.columns.types import BIGINT


@dataclass(frozen=True)
class Criteria:
    """Which rows or groups count, in which order, and how many of them are wanted."""

    plan: IndexTopN
    node: int
    context: Context
    predicate: Bounds
    keys: Sequence[Bounds]
    exact: Evaluator

    @classmethod
    def of(cls, plan: IndexTopN, node: int, compiler: BoundsCompiler, context: Context) -> Criteria:
        """Compile predicate and keys."""
        keys = [key.expression for key in plan.keys]
        predicate, bounds = compiler.compile(plan.predicate), [compiler.compile(k) for k in keys]
        arguments = (argument for _, call in plan.aggregates for argument in call.args)
        begin(context, node, [plan.predicate, *keys, *arguments])
        exact = compile_expressions([plan.predicate, *keys], context)
        return cls(plan, node, context, predicate, bounds, exact)

    @property
    def order(self) -> Sequence[Direction]:
        """How each key orders."""
        return directions(self.plan.keys)

    @property
    def wanted(self) -> int:
        """How many rows have to be known exactly."""
        return self.plan.offset + self.plan.count

    def possible(self, batch: Batch) -> Tensor:
        """bool per row: whether its bounds leave open that the predicate is TRUE."""
        count_open(self.context, self.node, batch.rows)
        rejected: Tensor = full_interval(self.predicate.interval(batch), batch.rows).rejects
        return ~rejected

    def bounds(self, batch: Batch) -> list[Interval]:
        """The bounds of the keys for every row."""
        return [
            full_interval(bounds.interval(batch), batch.rows)
            if key.expression.type.is_bounded
            else open_interval(batch.rows)
            for bounds, key in zip(self.keys, self.plan.keys, strict=True)
        ]

    def verified(self, batch: Batch, places: Tensor) -> KeyedBatch:
        """The rows for which the predicate is TRUE, with exact keys and, as the last, their places.

        Places are int64; they order rows with equal keys.
        """
        before = bytes_read(batch)
        condition, *keys = self.exact(batch)
        count_verified(self.context, self.node, batch.rows)
        count_bytes(self.context, self.node, bytes_read(batch) - before)
        rows = KeyedBatch(batch, [*keys, Flat(BIGINT, places)])
        return rows.take(kernels.nonzero(true_rows(condition)))


def begin(context: Context, node: int, expressions: Iterable[Expression]) -> None:
    """Start the counts at 0: they print in any case; inferences if a model may have to run."""
    context.metrics.note(node, accepted=0, rejected=0, verified=0)
    calls = (part for each in expressions for part in walk(each) if isinstance(part, Call))
    if any(call.option("model") is not None for call in calls):
        context.metrics.note(node, inferences=0)


def count_open(context: Context, node: int, rows: int) -> None:
    """Candidates count as rejected until they are verified."""
    context.metrics.note(node, rejected=rows)


def count_verified(context: Context, node: int, rows: int) -> None:
    """Candidates whose exact values were computed."""
    context.metrics.note(node, verified=rows, rejected=-rows)


def count_bytes(context: Context, node: int, bytes: int) -> None:
    """Bytes fetched for verification."""
    if bytes:
        context.metrics.note(node, bytes=bytes)
