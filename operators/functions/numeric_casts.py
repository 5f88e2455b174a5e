"""Casts among BOOLEAN, integers, decimals and floats.

Floats round half to even on their way to integers and half away from zero to decimals; decimals
round half away from zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tensorsql.operators.columns import wide
from tensorsql.operators.columns.layouts import values_of
from tensorsql.storage.columns.column import VALUE_DTYPE, Column, Flat, Wide
from tensorsql.storage.columns.types import BIGINT, INTEGER_RANGES, Kind, Type

Converted = tuple[Column, Tensor | None]


def convert_number(column: Column, target: Type) -> Converted:
    """The column as another number type or BOOLEAN, and where it does not fit (None = nowhere)."""
    if target.kind is Kind.BOOLEAN:
        return Flat(target, _not_zero(column), column.validity), None
    if target.is_float:
        return _to_float(column, target)
    if column.type.is_float:
        return _from_float(column, target)
    gained = target.scale - column.type.scale
    if isinstance(column, Wide) or target.is_wide:
        return _by_words(column, target, gained)
    return _by_values(column, target, gained)


def _not_zero(column: Column) -> Tensor:
    if isinstance(column, Wide):
        return (column.hi != 0) | (column.lo != 0)
    return values_of(column) != 0


def _to_float(column: Column, target: Type) -> Converted:
    dtype = VALUE_DTYPE[target.kind]
    if isinstance(column, Wide):
        values = wide.to_double((column.hi, column.lo))
    elif column.type.scale:
        values = values_of(column).to(torch.float64)
    else:
        stored = values_of(column)
        return _narrowed(stored, stored.to(dtype), column, target)
    if column.type.scale:
        values = values / 10.0**column.type.scale
    return Flat(target, values.to(dtype), column.validity), None


def _narrowed(values: Tensor, result: Tensor, column: Column, target: Type) -> Converted:
    """A DOUBLE beyond the largest REAL fails; infinities are values of both."""
    if not (values.is_floating_point() and target.kind is Kind.REAL):
        return Flat(target, result, column.validity), None
    bad = result.isinf() & values.isfinite()
    if not bool(bad.any()):
        return Flat(target, result, column.validity), None
    return Flat(target, result.masked_fill(bad, 0), column.validity), bad


def _from_float(column: Column, target: Type) -> Converted:
    values = values_of(column).to(torch.float64)
    if target.kind is Kind.DECIMAL:
        values = values * 10.0**target.scale
        whole = torch.floor(values.abs() + 0.5)
        whole = torch.where(values.abs() < 2.0**52, whole, values.abs())
        rounded = torch.copysign(whole, values)
        bad = ~(whole < 10.0**target.precision)
    else:
        rounded = torch.round(values)
        low, high = INTEGER_RANGES[target.kind]
        bad = ~((rounded >= float(low)) & (rounded < float(high + 1)))
    failed = bad if bool(bad.any()) else None
    if failed is not None:
        rounded = rounded.masked_fill(bad, 0.0)
    if target.is_wide:
        return Wide(target, *wide.from_double(rounded), column.validity), failed
    return Flat(target, rounded.to(VALUE_DTYPE[target.kind]), column.validity), failed


def _by_values(column: Column, target: Type, gained: int) -> Converted:
    """Rescale 64-bit values; a product that could wrap goes through 128 bits."""
    values = values_of(column)
    if gained > 0:
        limits = column.type.limits or (0, 1)
        if max(-limits[0], limits[1]) * 10**gained >= 1 << 63 and not _small(values, gained):
            return _by_words(column, target, gained)
        values = values.to(torch.int64) * 10**gained
    elif gained < 0:
        values = _round_off(values.to(torch.int64), -gained)
    dtype = VALUE_DTYPE[target.kind]
    bad = _out_of_range(values, target)
    if bad is not None:
        values = values.masked_fill(bad, 0)
    return Flat(target, values.to(dtype), column.validity), bad


def _small(values: Tensor, digits: int) -> bool:
    if not values.numel():
        return True
    low, high = torch.aminmax(values)
    limit: int = (1 << 63) // 10**digits
    return max(-int(low), int(high)) < limit


def _round_off(values: Tensor, digits: int) -> Tensor:
    """values / 10**digits, rounded half away from zero."""
    if digits > 18:
        return torch.zeros_like(values)
    unit = 10**digits
    quotient = torch.div(values, unit, rounding_mode="trunc")
    rest = values - quotient * unit
    away = (rest.abs() >= unit - unit // 2).to(torch.int64)
    return quotient + torch.where(values < 0, -away, away)


def _out_of_range(values: Tensor, target: Type) -> Tensor | None:
    """Where values do not fit, None if all do."""
    allowed = target.limits
    if allowed is None or not values.numel():
        return None
    if values.dtype == torch.bool:
        low, high = 0, 1
    else:
        least, most = torch.aminmax(values)
        low, high = int(least), int(most)
    if allowed[0] <= low and high <= allowed[1]:
        return None
    return (values < allowed[0]) | (values > allowed[1])


def _by_words(column: Column, target: Type, gained: int) -> Converted:
    words = wide.words(column)
    bad: Tensor | None = None
    if gained > 0:
        words, bad = wide.scale_up(words, gained)
    elif gained < 0:
        words = wide.scale_down(words, -gained)
    if target.kind is not Kind.HUGEINT:
        wrong = wide.outside(words, *_limits(target))
        bad = wrong if bad is None else bad | wrong
    if bad is not None and not bool(bad.any()):
        bad = None
    if target.is_wide:
        return Wide(target, *words, column.validity), bad
    lo = words[1] if bad is None else words[1].masked_fill(bad, 0)
    return Flat(target, lo.to(VALUE_DTYPE[target.kind]), column.validity), bad


def _limits(target: Type) -> tuple[int, int]:
    return target.limits or INTEGER_RANGES[BIGINT.kind]
