"""Folding of literals in plain Python: exact decimals, calendar dates, no torch.

Nothing here raises for a value: what cannot be folded (an overflow, a division by zero, a text that
is no number) is left to run time, where it raises only if a row needs it.
"""

from __future__ import annotations

import calendar
import datetime
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tensorsql.errors import Error
from tensorsql.planner.functions.conversions import (
    EXACT,
    clock_microseconds,
    convert,
    fit_decimal,
    negated,
)
from tensorsql.planner.plans.expressions import Call, Expression, Literal
from tensorsql.storage.columns.types import DATE, INTEGER_RANGES, TIMESTAMP, Kind, Type

Span = tuple[int, int, int]
UNFOLDED = (Error, ArithmeticError, ValueError, TypeError, LookupError)


def fold(call: Expression) -> Literal | None:
    """The literal a call of literals equals, or None to leave it for run time; never raises."""
    if not isinstance(call, Call) or call.function.volatile:
        return None
    if call.function.name in _LOGIC:
        return _LOGIC[call.function.name](call)
    if not all(isinstance(arg, Literal) for arg in call.args):
        return None
    literals = [arg for arg in call.args if isinstance(arg, Literal)]
    if call.function.nulls == "propagate" and any(each.value is None for each in literals):
        return Literal(call.type, None)
    try:
        value = _evaluate(call, literals)
    except UNFOLDED:
        return None
    return None if value is NotImplemented else Literal(call.type, value)


def fold_cast(literal: Literal, target: Type) -> Literal | None:
    """The literal converted to another type, or None if it cannot be (or not without torch)."""
    try:
        value = convert(literal.peek, literal.type, target)
    except UNFOLDED:
        return None
    return literal.converted(value, target)


def _evaluate(call: Call, literals: list[Literal]) -> Any:
    name, values = call.function.name, [each.value for each in literals]
    kinds = {each.type.kind for each in literals}
    if name in ("cast", "try_cast"):
        return convert(values[0], literals[0].type, call.type)
    if name == "is_null":
        return values[0] is None
    if name in _COMPARISONS and not kinds & _UNORDERED:
        return _COMPARISONS[name](values[0], values[1])
    if name in _ARITHMETIC and all(each.type.is_numeric for each in literals):
        return _checked(_ARITHMETIC[name](*values), call.type)
    if name in ("+", "-") and len(values) == 2:
        return _shift(name, literals)
    return NotImplemented


def _checked(value: Any, result: Type) -> Any:
    if result.is_integer:
        low, high = INTEGER_RANGES[result.kind]
        return value if low <= value <= high else NotImplemented
    if result.kind is Kind.DECIMAL:
        fitted = fit_decimal(value, result)
        return NotImplemented if fitted is None else fitted
    return float(value) if result.kind is Kind.DOUBLE else NotImplemented


def _exact(apply: Callable[[Any, Any], Any], exact: Callable[[Any, Any], Any]) -> Any:
    def compute(a: Any, b: Any) -> Any:
        return exact(a, b) if isinstance(a, Decimal) else apply(a, b)

    return compute


def _quotient(a: float, b: float) -> Any:
    return NotImplemented if b == 0 or not isinstance(a, float) else a / b


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "+": _exact(operator.add, EXACT.add),
    "-": _exact(operator.sub, EXACT.subtract),
    "*": _exact(operator.mul, EXACT.multiply),
    "/": _quotient,
    "negate": negated,
    "abs": lambda a: EXACT.abs(a) if isinstance(a, Decimal) else abs(a),
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Compared by another order than Python's: NaN, 30-day months, members by place, NULLs inside.
_UNORDERED = frozenset(
    {Kind.REAL, Kind.DOUBLE, Kind.INTERVAL, Kind.ENUM, Kind.LIST, Kind.STRUCT, Kind.BOX}
)


def _fold_and(call: Call) -> Literal | None:
    return _fold_connective(call, absorbing=False)


def _fold_or(call: Call) -> Literal | None:
    return _fold_connective(call, absorbing=True)


def _fold_connective(call: Call, absorbing: bool) -> Literal | None:
    """FALSE AND x = FALSE and TRUE OR x = TRUE, for operands that come later."""
    for arg in call.args:
        if isinstance(arg, Literal) and arg.value is absorbing:
            return arg
        if not isinstance(arg, Literal):
            return None
    unknown = any(isinstance(arg, Literal) and arg.value is None for arg in call.args)
    return Literal(call.type, None if unknown else not absorbing)


def _fold_not(call: Call) -> Literal | None:
    (arg,) = call.args
    if not isinstance(arg, Literal):
        return None
    return Literal(call.type, None if arg.value is None else not arg.value)


def _fold_case(call: Call) -> Literal | None:
    for condition, value in zip(call.args[:-1:2], call.args[1::2], strict=True):
        if not isinstance(condition, Literal):
            return None
        if condition.value is True:
            return value if isinstance(value, Literal) else None
    last = call.args[-1]
    return last if isinstance(last, Literal) else None


def _fold_coalesce(call: Call) -> Literal | None:
    for arg in call.args:
        if not isinstance(arg, Literal) or arg.value is not None:
            return arg if isinstance(arg, Literal) else None
    return Literal(call.type, None)


_LOGIC: dict[str, Callable[[Call], Literal | None]] = {
    "and": _fold_and,
    "or": _fold_or,
    "not": _fold_not,
    "case": _fold_case,
    "coalesce": _fold_coalesce,
}


def _shift(name: str, literals: list[Literal]) -> Any:
    """Dates and times plus and minus numbers of days and intervals."""
    left, right = literals
    if name == "+" and (left.type.kind is Kind.INTERVAL or left.type.is_integer):
        left, right = right, left
    sign = -1 if name == "-" else 1
    match left.type.kind, right.type.kind:
        case ((Kind.DATE | Kind.TIMESTAMP), Kind.INTERVAL):
            start = convert(left.value, left.type, TIMESTAMP)
            return plus_time_span(start, tuple(sign * part for part in right.value))
        case Kind.DATE, Kind.INTEGER:
            return left.value + datetime.timedelta(days=sign * right.value)
        case Kind.DATE, Kind.DATE if name == "-":
            return (left.value - right.value).days
        case Kind.INTERVAL, Kind.INTERVAL:
            pairs = zip(left.value, right.value, strict=True)
            parts = tuple(a + sign * b for a, b in pairs)
            fits = all(
                -(1 << bits) <= n < 1 << bits for n, bits in zip(parts, (31, 31, 63), strict=True)
            )
            return parts if fits else NotImplemented
        case Kind.DATE, Kind.TIME if name == "+":
            micros = clock_microseconds(right.value)
            return convert(left.value, DATE, TIMESTAMP) + datetime.timedelta(microseconds=micros)
    return NotImplemented


def plus_time_span(start: datetime.datetime, span: Span | tuple[int, ...]) -> datetime.datetime:
    """Months first (the day cut to the month's end), then days, then microseconds."""
    months, days, micros = span
    place = start.year * 12 + start.month - 1 + months
    year, month = divmod(place, 12)
    last = calendar.monthrange(year, month + 1)[1]
    moved = start.replace(year=year, month=month + 1, day=min(start.day, last))
    return moved + datetime.timedelta(days=days, microseconds=micros)
