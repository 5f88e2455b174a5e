"""Proofs that integer arithmetic fits 64 bits, from the ranges of its operands.

torch wraps silently, so what is not proven goes through a checking kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tensorsql.operators.columns.literals import stored_value
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.analysis.facts import facts
from tensorsql.planner.analysis.intervals import Interval, differences, negatives, products, sums
from tensorsql.planner.analysis.provenance import StoredColumn, origin
from tensorsql.planner.plans.expressions import Call, ColumnRef, Expression, Literal, walk
from tensorsql.planner.plans.plan import Plan
from tensorsql.storage.columns.types import INTEGER_BITS, Kind, Type

Range = tuple[int, int]
StoredColumns = Mapping[int, StoredColumn]  # by id
Known = dict[Expression, Range | None]
ENDS: dict[str, Callable[..., Range]] = {
    "+": sums,
    "-": differences,
    "*": products,
    "negate": negatives,
}
CHECKED = frozenset({"+", "-", "*", "negate", "abs"})  # they raise where a result does not fit


def is_proven(call: Call, ranges: Mapping[int, Range], known: Known) -> bool:
    """Whether the stored values of + - * and negate are known to fit the result's type."""
    if call.function.name not in CHECKED:
        return False
    if call.type.is_wide or not (call.type.is_integer or call.type.kind is Kind.DECIMAL):
        return False
    computed, allowed = _computed(call, ranges, known), type_range(call.type)
    if computed is None or allowed is None:
        return False
    return allowed[0] <= computed[0] and computed[1] <= allowed[1]


def counted_columns(plan: Plan, expressions: Iterable[Expression]) -> StoredColumns:
    """Where the columns that the expressions compute with come from, if that bounds them."""
    ids: set[int] = set()
    for expression in expressions:
        if any(isinstance(n, Call) and n.function.name in CHECKED for n in walk(expression)):
            ids |= {n.id for n in walk(expression) if isinstance(n, ColumnRef) and _counts(n.type)}
    if not ids:
        return {}
    origins = {id: origin(plan, id) for id in sorted(ids & facts(plan).ranges.keys())}
    return {id: found.stored for id, found in origins.items() if found}


def proven_ranges(columns: StoredColumns, context: Context) -> dict[int, Range]:
    """Bounds of the values of such columns, proven for the snapshot that is read."""
    ranges = {}
    for id, (relation, name) in columns.items():
        known = context.relation(relation).statistics.get(name)
        if known is not None and known.minimum is not None:
            ranges[id] = (int(known.minimum), int(known.maximum))
    return ranges


def _counts(type: Type) -> bool:
    return type_range(type) is not None


def type_range(type: Type) -> Range | None:
    """The stored values a 64-bit integer or decimal type may hold."""
    if type.kind in INTEGER_BITS:
        limit = 1 << INTEGER_BITS[type.kind] - 1
        return -limit, limit - 1
    if type.kind is Kind.DECIMAL:
        limit = 10**type.precision - 1
        return -limit, limit
    return None


def range_of(expression: Expression, ranges: Mapping[int, Range], known: Known) -> Range | None:
    """Bounds of the stored values of an integer or decimal expression, None if unknown.

    `known` are those found before, with the same `ranges`.
    """
    if expression not in known:
        known[expression] = _range_of(expression, ranges, known)
    return known[expression]


def _range_of(expression: Expression, ranges: Mapping[int, Range], known: Known) -> Range | None:
    allowed = type_range(expression.type)
    if allowed is None:
        return None
    found: Range | None = None
    if isinstance(expression, Literal):
        value = 0 if expression.value is None else stored_value(expression.value, expression.type)
        return value, value
    if isinstance(expression, ColumnRef):
        found = ranges.get(expression.id)
    elif isinstance(expression, Call):
        found = _computed(expression, ranges, known)
    if found is None:
        return allowed
    # NULL rows hold zeros.
    return max(min(found[0], 0), allowed[0]), min(max(found[1], 0), allowed[1])


def _computed(call: Call, ranges: Mapping[int, Range], known: Known) -> Range | None:
    found = [range_of(arg, ranges, known) for arg in call.args]
    operands = [each for each in found if each is not None]
    if not operands or len(operands) < len(found):
        return None
    low, high = operands[0]
    name = call.function.name
    if name in ENDS:
        return ENDS[name](*(Interval(*ends) for ends in operands))
    if name == "abs":
        return 0, max(abs(low), abs(high))
    return _rescaled(call, (low, high)) if name == "cast" else None


def _rescaled(call: Call, known: Range) -> Range | None:
    source = call.args[0].type
    gained = call.type.scale - source.scale
    if gained < 0 or not (source.is_integer or source.kind is Kind.DECIMAL):
        return None
    return known[0] * 10**gained, known[1] * 10**gained
