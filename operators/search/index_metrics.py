"""What EXPLAIN ANALYZE says of an index node: rows accepted, rejected, verified, and the cost."""

from __future__ import annotations

from collections.abc import Iterable

from tensorsql.operators.runtime.program import Context
from tensorsql.planner.plans.expressions import Call, Expression, walk


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
