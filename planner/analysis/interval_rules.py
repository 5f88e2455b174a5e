"""The rule that gives bounds of a call from bounds of its arguments, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tensorsql.planner.analysis.interval_arithmetic import (
    add,
    cast,
    divide,
    divide_whole,
    multiply,
    negate,
    subtract,
)
from tensorsql.planner.analysis.interval_logic import (
    case,
    coalesce,
    compare,
    conjunction,
    disjunction,
    is_null,
    negation,
)
from tensorsql.planner.analysis.intervals import INFINITY, Interval, unknown
from tensorsql.planner.plans.expressions import Call

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
