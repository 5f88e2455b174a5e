"""Bounds of calls from bounds of their arguments, a rule for each name; every rule rounds outward.

Arithmetic, casts between numbers, comparisons, logic and choices; truth values are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tensorsql.planner.analysis.intervals import (
    EXACT,
    INFINITY,
    Interval,
    choose,
    differences,
    fits,
    hull,
    negatives,
    operations,
    opposite,
    products,
    sums,
    unknown,
    widened,
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
        wider = widened(value, 2.0**-23)
        low, high = name.down(wider.lower - 1e-44), name.up(wider.upper + 1e-44)
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


def is_whole(name: Any, *values: Any) -> Any:
    """Where all are whole numbers that doubles count exactly."""
    result: Any = True
    for value in values:
        result = (name.floor(value) == value) & (abs(value) <= EXACT) & result
    return result


def _outward(name: Any, low: Any, high: Any, operands: Sequence[Any]) -> tuple[Any, Any]:
    """Bounds after one rounding; whole operands and whole results were not rounded."""
    whole = is_whole(name, *operands)
    lower = name.where(whole & is_whole(name, low), low, name.down(low))
    return lower, name.where(whole & is_whole(name, high), high, name.up(high))


def _linear(call: Call, arguments: Sequence[Interval], ends: Interval) -> Interval:
    a, b = arguments
    name = operations(ends)
    operands = (a.lower, a.upper, b.lower, b.upper)
    lower, upper = _outward(name, ends.lower, ends.upper, operands)
    return typed(call.type, Interval(lower, upper, *_flags(call.type, arguments)))


def add(call: Call, arguments: Sequence[Interval]) -> Interval:
    """a + b."""
    return _linear(call, arguments, sums(*arguments))


def subtract(call: Call, arguments: Sequence[Interval]) -> Interval:
    """a - b."""
    return _linear(call, arguments, differences(*arguments))


def multiply(call: Call, arguments: Sequence[Interval]) -> Interval:
    """a * b."""
    return _linear(call, arguments, products(*arguments))


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
    exact: Any = is_whole(name, a.lower, a.upper, b.lower, b.upper)
    for left in (a.lower, a.upper):
        for right in (b.lower, b.upper):
            quotient = name.divide(left, right)
            exact = exact & is_whole(name, quotient, quotient * right)
            low = quotient if low is None else name.minimum(low, quotient)
            high = quotient if high is None else name.maximum(high, quotient)
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
    ends = negatives(a)
    return typed(call.type, replace(a, lower=ends.lower, upper=ends.upper))


def cast(call: Call, arguments: Sequence[Interval]) -> Interval:
    """CAST between numbers: rounds to the target's digits; anything else is unbounded."""
    (a,) = arguments
    source, target = call.args[0].type, call.type
    if not (source.is_bounded and target.is_numeric):
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


def _truth(yes: Any, no: Any, null: Any) -> Interval:
    """From "TRUE for certain" and "FALSE for certain"."""
    name = namespace(yes, no)
    return Interval(name.where(yes, 1.0, 0.0), name.where(no, 0.0, 1.0), null)


def compare(call: Call, arguments: Sequence[Interval]) -> Interval:
    """=, <>, <, <=, >, >=; NaN is equal to NaN and greater than every number."""
    if not all(each.type.is_bounded for each in call.args):
        return unknown(call.type)
    a, b = arguments
    null = a.may_be_null | b.may_be_null
    match call.function.name:
        case "=":
            return _equal(a, b, null)
        case "<>":
            same = _equal(a, b, null)
            return Interval(1 - same.upper, 1 - same.lower, null)
        case ">":
            return _truth(*_greater(a, b), null)
        case "<":
            return _truth(*_greater(b, a), null)
        case ">=":
            no, yes = _greater(b, a)
            return _truth(yes, no, null)
        case "<=":
            no, yes = _greater(a, b)
            return _truth(yes, no, null)
    return unknown(call.type)


def _greater(a: Interval, b: Interval) -> tuple[Any, Any]:
    yes = (a.lower > b.upper) & opposite(b.may_be_nan)
    return yes, (a.upper <= b.lower) & opposite(a.may_be_nan)


def _equal(a: Interval, b: Interval, null: Any) -> Interval:
    number = opposite(a.may_be_nan | b.may_be_nan)
    yes = (a.lower == b.upper) & (a.upper == b.lower) & number
    # An empty range (only NaN or NULL) lies both above and below everything.
    apart = (a.lower > b.upper) | (b.lower > a.upper)
    return _truth(yes, apart & opposite(a.may_be_nan & b.may_be_nan), null)


def conjunction(call: Call, arguments: Sequence[Interval]) -> Interval:
    """AND: FALSE beats NULL."""
    name = operations(*arguments)
    lower: Any = 1.0
    upper: Any = 1.0
    null: Any = False
    false: Any = False
    for each in arguments:
        lower, upper = name.minimum(lower, each.lower), name.minimum(upper, each.upper)
        null = null | each.may_be_null
        false = false | ((each.upper < 1) & opposite(each.may_be_null))
    # What is NULL for certain has an empty range, FALSE beside it has not.
    return Interval(lower, name.maximum(upper, 0.0), null & opposite(false))


def disjunction(call: Call, arguments: Sequence[Interval]) -> Interval:
    """OR: TRUE beats NULL."""
    name = operations(*arguments)
    lower: Any = 0.0
    upper: Any = 0.0
    null: Any = False
    true: Any = False
    for each in arguments:
        lower, upper = name.maximum(lower, each.lower), name.maximum(upper, each.upper)
        null = null | each.may_be_null
        true = true | ((each.lower >= 1) & opposite(each.may_be_null))
    return Interval(name.minimum(lower, 1.0), upper, null & opposite(true))


def negation(call: Call, arguments: Sequence[Interval]) -> Interval:
    """NOT."""
    (a,) = arguments
    return Interval(1 - a.upper, 1 - a.lower, a.may_be_null)


def is_null(call: Call, arguments: Sequence[Interval]) -> Interval:
    """IS NULL: FALSE where the value cannot be NULL."""
    (a,) = arguments
    return _truth(False, opposite(a.may_be_null), False)


def case(call: Call, arguments: Sequence[Interval]) -> Interval:
    """CASE c1 v1 c2 v2 … ELSE e: the branches that can be reached."""
    result = arguments[-1]
    for place in range(len(arguments) - 3, -1, -2):
        condition, value = arguments[place], arguments[place + 1]
        taken, skipped = condition.accepts, condition.rejects
        result = choose(taken, value, choose(skipped, result, hull(value, result)))
    return result


def coalesce(call: Call, arguments: Sequence[Interval]) -> Interval:
    """The first argument that is not NULL."""
    result = arguments[-1]
    for value in reversed(arguments[:-1]):
        either = replace(hull(value, result), may_be_null=result.may_be_null)
        result = choose(value.may_be_null, either, value)
    return result


Rule = Callable[[Call, Sequence[Interval]], Interval]


def compose(call: Call, arguments: Sequence[Interval]) -> Interval:
    """Bounds of the call from bounds of its arguments; unbounded where it has no rule."""
    rule = RULES.get(call.function.interval or call.function.name)
    return unknown(call.type) if rule is None else rule(call, arguments)


def count(call: Call, arguments: Sequence[Interval]) -> Interval:
    """A number of things: not negative."""
    return Interval(0.0, INFINITY, True)


RULES: dict[str, Rule] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": divide_whole,
    "negate": negate,
    "count": count,
    "comparison": compare,
    "and": conjunction,
    "or": disjunction,
    "not": negation,
    "is_null": is_null,
    "case": case,
    "coalesce": coalesce,
    "cast": cast,
}
