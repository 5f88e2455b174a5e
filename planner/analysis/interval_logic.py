"""Bounds of comparisons, logic and choices: truth values are 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tensorsql.planner.analysis.intervals import (
    Interval,
    choose,
    hull,
    is_bounded,
    operations,
    opposite,
    unknown,
)
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.numerics import namespace


def _truth(yes: Any, no: Any, null: Any) -> Interval:
    """From "TRUE for certain" and "FALSE for certain"."""
    name = namespace(yes, no)
    return Interval(name.where(yes, 1.0, 0.0), name.where(no, 0.0, 1.0), null)


def compare(call: Call, arguments: Sequence[Interval]) -> Interval:
    """=, <>, <, <=, >, >=; NaN is equal to NaN and greater than every number."""
    if not all(is_bounded(each.type) for each in call.args):
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
