"""Bounds of aggregates per group from bounds per member.

Members are tensors of n doubles (flags: bool tensors), with the number of each one's group. A group
without members has no bounds to speak of: the engine never asks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tensorsql.planner.analysis.interval_rules import is_whole, typed
from tensorsql.planner.analysis.intervals import (
    EXACT,
    INFINITY,
    Interval,
    choose,
    operations,
    unknown,
    widened,
)
from tensorsql.planner.plans.expressions import AggregateCall


@dataclass(frozen=True)
class MemberGroups:
    """Group number per member (int64 tensor [n]) and how many groups there are."""

    codes: Any
    count: int

    def total(self, values: Any) -> Any:
        """Sum per group."""
        return values.new_zeros(self.count).scatter_add_(0, self.codes, values)

    def extreme(self, values: Any, largest: bool) -> Any:
        """Largest or smallest per group."""
        start = values.new_full((self.count,), -INFINITY if largest else INFINITY)
        how = "amax" if largest else "amin"
        return start.scatter_reduce_(0, self.codes, values, how)

    def any(self, flags: Any) -> Any:
        """Whether any member has the flag (bool tensor)."""
        return self.total(flags.double()) > 0

    def all(self, flags: Any) -> Any:
        """Whether every member has it."""
        return self.total((~flags).double()) == 0


def aggregate(call: AggregateCall, value: Interval, members: MemberGroups) -> Interval:
    """Bounds of SUM, AVG, MIN, MAX or COUNT of the value; unbounded for other aggregates."""
    name = call.function.name
    repeatable = not call.distinct or name in ("min", "max")
    if call.filter is not None or not repeatable or name not in RULES:
        return unknown(call.type)
    bounds: Interval = RULES[name](value, members)
    return typed(call.type, bounds)


def _sum(value: Interval, members: MemberGroups) -> Interval:
    """NULL members add nothing."""
    low, high = value.lower.clone(), value.upper.clone()
    low[value.may_be_null] = low[value.may_be_null].clamp(max=0)
    high[value.may_be_null] = high[value.may_be_null].clamp(min=0)
    nothing = value.lower > value.upper
    low[nothing], high[nothing] = 0, 0
    size = members.total(low.abs().maximum(high.abs()))
    whole = members.all(is_whole(operations(value), low, high)) & (size <= EXACT)
    slack = size * (members.total(low.new_ones(low.shape)) + 1) * 2.0**-51
    slack = slack.masked_fill(whole, 0).nan_to_num(nan=INFINITY, posinf=INFINITY)
    lower, upper = members.total(low) - slack, members.total(high) + slack
    nan = members.any(value.may_be_nan | (low.isinf() | high.isinf()))
    return Interval(lower, upper, members.all(value.may_be_null), nan)


def _average(value: Interval, members: MemberGroups) -> Interval:
    total = _sum(value, members)
    count = members.total(value.lower.new_ones(value.lower.shape))
    mean = widened(replace(total, lower=total.lower / count, upper=total.upper / count), 2.0**-51)
    # With NULLs the divisor is not known: the mean lies between the extremes.
    sure = ~members.any(value.may_be_null)
    least, most = members.extreme(value.lower, False), members.extreme(value.upper, True)
    between = widened(replace(total, lower=least, upper=most), 2.0**-40)
    return choose(sure, mean, between)


def _minimum(value: Interval, members: MemberGroups) -> Interval:
    sure = ~(value.may_be_null | value.may_be_nan)
    least = members.extreme(value.upper.masked_fill(~sure, INFINITY), False)
    upper = least.where(members.any(sure), members.extreme(value.upper, True))
    return _flagged(members.extreme(value.lower, False), upper, value, members)


def _maximum(value: Interval, members: MemberGroups) -> Interval:
    sure = ~(value.may_be_null | value.may_be_nan)
    most = members.extreme(value.lower.masked_fill(~sure, -INFINITY), True)
    lower = most.where(members.any(sure), members.extreme(value.lower, False))
    return _flagged(lower, members.extreme(value.upper, True), value, members)


def _flagged(lower: Any, upper: Any, value: Interval, members: MemberGroups) -> Interval:
    null, nan = members.all(value.may_be_null), members.any(value.may_be_nan)
    return Interval(lower, upper, null, nan)


def _count(value: Interval, members: MemberGroups) -> Interval:
    never = value.may_be_null & (value.lower > value.upper) & ~value.may_be_nan
    lower, upper = members.total((~value.may_be_null).double()), members.total((~never).double())
    return Interval(lower, upper, lower < 0, lower < 0)


RULES = {
    "sum": _sum,
    "avg": _average,
    "min": _minimum,
    "max": _maximum,
    "count": _count,
}
