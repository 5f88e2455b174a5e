"""Proofs that integer arithmetic fits 64 bits, from the intervals of its operands.

torch wraps silently, so what is not proven goes through a checking kernel. The intervals are of
stored numbers, whose ends are exact: whole numbers of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tensorsql.operators.columns.literals import stored_value
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.analysis.facts import facts, stored_range
from tensorsql.planner.analysis.intervals import (
    Interval,
    common,
    differences,
    hull,
    is_within,
    magnitudes,
    negatives,
    products,
    stored_limits,
    sums,
)
from tensorsql.planner.analysis.provenance import StoredColumn, origin
from tensorsql.planner.plans.expressions import Call, ColumnRef, Expression, Literal, walk
from tensorsql.planner.plans.plan import Plan
from tensorsql.storage.columns.types import Type

StoredColumns = Mapping[int, StoredColumn]  # by id
Proofs = dict[Expression, Interval | None]
# Ends of what these compute; they raise where a result does not fit.
CHECKED: dict[str, Callable[..., Interval]] = {
    "+": sums,
    "-": differences,
    "*": products,
    "negate": negatives,
    "abs": magnitudes,
}
ZERO = Interval(0, 0)


def always_fits(name: str, type: Type, *operands: Interval) -> bool:
    """Whether no result of the operation can leave the stored numbers of the type."""
    limits = stored_limits(type)
    return limits is not None and bool(is_within(CHECKED[name](*operands), limits))


def is_proven(call: Call, ranges: Mapping[int, Interval], proofs: Proofs) -> bool:
    """Whether the stored values of + - *, negate and abs are known to fit the result's type."""
    if call.function.name not in CHECKED or call.type.is_wide:
        return False
    operands = _operands(call, ranges, proofs)
    return operands is not None and always_fits(call.function.name, call.type, *operands)


def counted_columns(plan: Plan, expressions: Iterable[Expression]) -> StoredColumns:
    """Where the columns that the expressions compute with come from, if that bounds them."""
    ids: set[int] = set()
    for expression in expressions:
        if any(isinstance(n, Call) and n.function.name in CHECKED for n in walk(expression)):
            ids |= {n.id for n in walk(expression) if isinstance(n, ColumnRef) and n.type.limits}
    if not ids:
        return {}
    origins = {id: origin(plan, id) for id in sorted(ids & facts(plan).ranges.keys())}
    return {id: source.stored for id, source in origins.items() if source}


def proven_ranges(columns: StoredColumns, context: Context) -> dict[int, Interval]:
    """Bounds of the stored values of such columns, proven for the snapshot that is read."""
    ranges = {
        id: stored_range(context.relation(relation), name)
        for id, (relation, name) in columns.items()
    }
    return {id: _whole(bounds) for id, bounds in ranges.items() if bounds is not None}


def _whole(bounds: Interval) -> Interval:
    return Interval(int(bounds.lower), int(bounds.upper))


def range_of(
    expression: Expression, ranges: Mapping[int, Interval], proofs: Proofs
) -> Interval | None:
    """Bounds of the stored values of an integer or decimal expression, None if unknown.

    `proofs` are those made before, from the same `ranges`.
    """
    if expression not in proofs:
        proofs[expression] = _range_of(expression, ranges, proofs)
    return proofs[expression]


def _range_of(
    expression: Expression, ranges: Mapping[int, Interval], proofs: Proofs
) -> Interval | None:
    limits = stored_limits(expression.type)
    if limits is None:
        return None
    if isinstance(expression, Literal):
        value = 0 if expression.value is None else stored_value(expression.value, expression.type)
        return Interval(value, value)
    bounds: Interval | None = None
    if isinstance(expression, ColumnRef):
        bounds = ranges.get(expression.id)
    elif isinstance(expression, Call):
        bounds = _computed(expression, ranges, proofs)
    # NULL rows hold zeros.
    return limits if bounds is None else common(hull(bounds, ZERO), limits)


def _computed(call: Call, ranges: Mapping[int, Interval], proofs: Proofs) -> Interval | None:
    name = call.function.name
    operands = _operands(call, ranges, proofs) if name == "cast" or name in CHECKED else None
    if operands is None:
        return None
    return CHECKED[name](*operands) if name in CHECKED else _rescaled(call, *operands)


def _operands(call: Call, ranges: Mapping[int, Interval], proofs: Proofs) -> list[Interval] | None:
    bounds = [range_of(arg, ranges, proofs) for arg in call.args]
    return None if None in bounds else [each for each in bounds if each is not None]


def _rescaled(call: Call, bounds: Interval) -> Interval | None:
    gained = call.type.scale - call.args[0].type.scale
    return None if gained < 0 else products(bounds, Interval(10**gained, 10**gained))
