"""Bounds of arithmetic and of casts between numbers; every rule rounds outward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tensorsql.planner.analysis.intervals import (
    EXACT,
    INFINITY,
    Interval,
    choose,
    differences,
    fits,
    is_bounded,
    negatives,
    operations,
    opposite,
    products,
    sums,
    unknown,
)
from tensorsql.planner.plans.expressions import Call, Expression
from tensorsql.storage.columns.numerics import namespace
from tensorsql.storage.columns.types import Kind, Type


def typed(type: Type, value: Interval) -> Interval:
    """Rounding to REAL, and no statement where an overflow might be raised instead of a value."""
    name = operations(value)
    lower = name.where(name.isnan(value.lower), -INFINITY, value.lower)
    upper = name.where(name.isnan(value.upper), INFINITY, value.upper)
    value = replace(value, lower=lower, upper=upper)
    if type.kind is Kind.REAL:
        inside = (lower >= -3e38) & (upper <= 3e38)
        low = name.down(lower - abs(lower) * 2.0**-23 - 1e-44)
        high = name.up(upper + abs(upper) * 2.0**-23 + 1e-44)
        return choose(inside, replace(value, lower=low, upper=high), unknown(type))
    if type.is_float:
        return value
    return choose(fits(type, value), replace(value, may_be_nan=False), unknown(type))


def _flags(type: Type, arguments: Sequence[Interval]) -> tuple[Any, Any]:
    """NULL if an argument may be; NaN also where two infinities might meet."""
    null: Any = False
    nan: Any = False
    for each in arguments:
        null = null | each.may_be_null
        nan = nan | each.may_be_nan
        if type.is_float:
            infinite = (each.lower == -INFINITY) | (each.upper == INFINITY)
            nan = nan | (infinite & opposite(each.lower > each.upper))
    return null, nan


def _whole(name: Any, *values: Any) -> Any:
    result: Any = True
    for value in values:
        result = (name.floor(value) == value) & (abs(value) <= EXACT) & result
    return result


def _outward(name: Any, low: Any, high: Any, operands: Sequence[Any]) -> tuple[Any, Any]:
    """Bounds after one rounding; whole operands and whole results were not rounded."""
    whole = _whole(name, *operands)
    lower = name.where(whole & _whole(name, low), low, name.down(low))
    return lower, name.where(whole & _whole(name, high), high, name.up(high))


def _linear(call: Call, arguments: Sequence[Interval], low: Any, high: Any) -> Interval:
    a, b = arguments
    name = namespace(low, high)
    lower, upper = _outward(name, low, high, (a.lower, a.upper, b.lower, b.upper))
    return typed(call.type, Interval(lower, upper, *_flags(call.type, arguments)))


def add(call: Call, arguments: Sequence[Interval]) -> Interval:
    """a + b."""
    return _linear(call, arguments, *sums(*arguments))


def subtract(call: Call, arguments: Sequence[Interval]) -> Interval:
    """a - b."""
    return _linear(call, arguments, *differences(*arguments))


def multiply(call: Call, arguments: Sequence[Interval]) -> Interval:
    """a * b."""
    return _linear(call, arguments, *products(*arguments))


def divide(call: Call, arguments: Sequence[Interval]) -> Interval:
    """a / b in floats: x / 0 is an infinity, 0 / 0 NaN.

    A denominator whose range contains 0 leaves the quotient unbounded, but for counts and their
    like: a >= 0 over an integral b >= 0 is at least a.lower / b.upper.
    """
    a, b = arguments
    zero = (b.lower <= 0) & (b.upper >= 0)
    counts = zero & (a.lower >= 0) & (b.lower >= 0) & _is_integral(call.args[1])
    name = operations(a, b)
    low, high, exact = _quotients(name, a, b)
    lower, upper = name.where(exact, low, name.down(low)), name.where(exact, high, name.up(high))
    null, nan = _flags(call.type, arguments)
    bounded = Interval(lower, upper, null, nan)
    least = name.where(b.upper > 0, name.down(name.divide(a.lower, b.upper)), INFINITY)
    least = name.where(a.lower == 0, 0.0, least)
    above = Interval(least, INFINITY, null, nan | (a.lower <= 0))
    open_ = Interval(-INFINITY, INFINITY, null, True)
    return typed(call.type, choose(zero, choose(counts, above, open_), bounded))


def _quotients(name: Any, a: Interval, b: Interval) -> tuple[Any, Any, Any]:
    low = high = None
    exact: Any = _whole(name, a.lower, a.upper, b.lower, b.upper)
    for left in (a.lower, a.upper):
        for right in (b.lower, b.upper):
            found = name.divide(left, right)
            exact = exact & _whole(name, found, found * right)
            low = found if low is None else name.minimum(low, found)
            high = found if high is None else name.maximum(high, found)
    return low, high, exact


def _is_integral(expression: Expression) -> bool:
    """Whether the value is a whole number or DECIMAL, perhaps as a float: it is never -0.0."""
    if isinstance(expression, Call) and expression.function.name == "cast":
        return _is_integral(expression.args[0])
    return expression.type.is_numeric and not expression.type.is_float


def divide_whole(call: Call, arguments: Sequence[Interval]) -> Interval:
    """a // b, however it rounds; division by zero raises, so nothing is stated there."""
    a, b = arguments
    name = operations(a, b)
    zero = (b.lower <= 0) & (b.upper >= 0)
    low, high, _ = _quotients(name, a, b)
    null, nan = _flags(call.type, arguments)
    value = Interval(name.floor(name.down(low)), name.ceil(name.up(high)), null, nan)
    return choose(zero, unknown(call.type), typed(call.type, value))


def negate(call: Call, arguments: Sequence[Interval]) -> Interval:
    """-a."""
    (a,) = arguments
    return typed(call.type, Interval(*negatives(a), a.may_be_null, a.may_be_nan))


def cast(call: Call, arguments: Sequence[Interval]) -> Interval:
    """CAST between numbers: rounds to the target's digits; anything else is unbounded."""
    (a,) = arguments
    source, target = call.args[0].type, call.type
    if not (is_bounded(source) and target.is_numeric):
        return unknown(target)
    if target.is_float or _digits(source) <= _digits(target):
        return typed(target, a)
    name = operations(a)
    unit = float(10 ** _digits(target))
    lower = name.down(name.floor(name.down(a.lower * unit)) / unit)
    upper = name.up(name.ceil(name.up(a.upper * unit)) / unit)
    rounded = typed(target, Interval(lower, upper, a.may_be_null))
    return choose(a.may_be_nan, unknown(target), rounded)  # NaN is no integer: that raises


def _digits(type: Type) -> float:
    """Digits after the point that a value of the type may have."""
    return INFINITY if type.is_float else type.scale if type.kind is Kind.DECIMAL else 0
