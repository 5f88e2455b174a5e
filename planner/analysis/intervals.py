"""Intervals: what is known of a value before it is computed.

Masks, neurons, zone maps and overflow proofs all bound values by an `Interval` per row and compose
the bounds through expressions. The rules in `interval_rules` round outward, so that
`lower <= exact value <= upper` holds for what the engine really computes; proofs that integers fit
use the ends of whole Python numbers, which are exact. Bounds are Python numbers or float64 tensors
alike; torch is touched only where an operand is a tensor.

Truth values are 0 and 1: `lower >= 1` = not FALSE, `upper < 1` = not TRUE. A value that is NULL or
NaN for certain has the empty range (inf, -inf). DECIMALs are bounded by their value, not as scaled
integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from tensorsql.storage.columns.numerics import Numbers, namespace
from tensorsql.storage.columns.types import Kind, Type

INFINITY = math.inf
EXACT = 2.0**53  # whole numbers up to here are doubles


@dataclass(frozen=True)
class Interval:
    """lower <= value <= upper per row, outward-rounded; Python numbers or tensors alike.

    `may_be_null` and `may_be_nan` are booleans or boolean tensors. NaN is outside the bounds.
    """

    lower: Any
    upper: Any
    may_be_null: Any = False
    may_be_nan: Any = False

    @property
    def accepts(self) -> Any:
        """Where a truth value is TRUE for certain."""
        return (self.lower >= 1) & opposite(self.may_be_null)

    @property
    def rejects(self) -> Any:
        """Where a truth value cannot be TRUE."""
        return self.upper < 1


def unknown(type: Type) -> Interval:
    """The interval of a value of which nothing is known."""
    if type.kind is Kind.BOOLEAN:
        return Interval(0.0, 1.0, True)
    return Interval(-INFINITY, INFINITY, True, type.is_float)


def constant(value: Any) -> Interval:
    """The interval of a Python value: None, bool or a number; anything else is unbounded."""
    if value is None:
        return Interval(INFINITY, -INFINITY, True)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return Interval(-INFINITY, INFINITY)
    if math.isnan(number):
        return Interval(INFINITY, -INFINITY, False, True)
    if number == value:
        return Interval(number, number)
    return Interval(math.nextafter(number, -INFINITY), math.nextafter(number, INFINITY))


def stored_limits(type: Type) -> Interval | None:
    """The numbers that an integer or DECIMAL may be stored as, by exact ends."""
    return None if type.limits is None else Interval(*type.limits)


def is_within(inner: Interval, outer: Interval) -> Any:
    """Where all of the first bounds lies within the second."""
    return (outer.lower <= inner.lower) & (inner.upper <= outer.upper)


def fits(type: Type, value: Interval) -> Any:
    """Where every value within the bounds is one of the type's, so no overflow is raised."""
    ends = (-INFINITY, INFINITY)
    if type.limits is not None:
        # Ends that are no doubles move inward, by more than any rounding moves them.
        inward = 1 - 2.0**-50 if type.scale or type.limits[1] > EXACT else 1
        ends = tuple(end / 10**type.scale * inward for end in type.limits)
    return is_within(value, Interval(*ends))


def hull(one: Interval, other: Interval) -> Interval:
    """Bounds of a value that is one of the two."""
    name = operations(one, other)
    return Interval(
        name.minimum(one.lower, other.lower),
        name.maximum(one.upper, other.upper),
        one.may_be_null | other.may_be_null,
        one.may_be_nan | other.may_be_nan,
    )


def common(one: Interval, other: Interval) -> Interval:
    """Bounds of a value that lies within both."""
    name = operations(one, other)
    return Interval(
        name.maximum(one.lower, other.lower),
        name.minimum(one.upper, other.upper),
        one.may_be_null & other.may_be_null,
        one.may_be_nan & other.may_be_nan,
    )


def choose(condition: Any, one: Interval, other: Interval) -> Interval:
    """`one` where the condition holds, else `other`."""
    name = namespace(condition)
    if name is Numbers:
        return one if condition else other
    return Interval(
        name.where(condition, one.lower, other.lower),
        name.where(condition, one.upper, other.upper),
        name.where(condition, one.may_be_null, other.may_be_null),
        name.where(condition, one.may_be_nan, other.may_be_nan),
    )


def operations(*intervals: Interval) -> Any:
    """The operations for bounds of which any part may be a tensor."""
    parts = (
        part
        for each in intervals
        for part in (each.lower, each.upper, each.may_be_null, each.may_be_nan)
    )
    return namespace(*parts)


def opposite(flag: Any) -> Any:
    """NOT of a flag or flags."""
    return not flag if isinstance(flag, bool) else ~flag


def sums(a: Interval, b: Interval) -> Interval:
    """Ends of a + b, exact where those of a and b are whole numbers of Python."""
    return Interval(a.lower + b.lower, a.upper + b.upper)


def differences(a: Interval, b: Interval) -> Interval:
    """Ends of a - b, as exact."""
    return Interval(a.lower - b.upper, a.upper - b.lower)


def products(a: Interval, b: Interval) -> Interval:
    """Ends of a * b, as exact: the extremes are among the products of the ends."""
    name = operations(a, b)
    low = high = None
    for left in (a.lower, a.upper):
        for right in (b.lower, b.upper):
            product = left * right
            product = name.where(name.isnan(product), 0.0, product)  # an end 0 beside an open end
            low = product if low is None else name.minimum(low, product)
            high = product if high is None else name.maximum(high, product)
    return Interval(low, high)


def negatives(a: Interval) -> Interval:
    """Ends of -a, as exact."""
    return Interval(-a.upper, -a.lower)


def magnitudes(a: Interval) -> Interval:
    """Ends of |a|, as exact; 0 is one where a may be of either sign."""
    name = operations(a)
    nearest = name.maximum(name.maximum(a.lower, -a.upper), 0)
    return Interval(nearest, name.maximum(-a.lower, a.upper))


def widened(a: Interval, share: float) -> Interval:
    """The bounds moved outward by a share of themselves, for what rounding may have done."""
    lower, upper = a.lower - abs(a.lower) * share, a.upper + abs(a.upper) * share
    return replace(a, lower=lower, upper=upper)
