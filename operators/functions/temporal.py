"""Operators on dates, times, timestamps and intervals.

Adding an interval adds its months (cutting the day to the month's end), then its days, then its
microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators.columns import wide
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.functions.calendar import (
    DAY,
    FIRST_DAY,
    LAST_DAY,
    add_months,
    floor_div,
    midnights,
    split,
    trunc_div,
)
from tensorsql.operators.functions.registry import Extent
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import Column, Flat, TimeSpan, bare
from tensorsql.storage.columns.rounding import multiply_add
from tensorsql.storage.columns.types import INTERVAL, Kind

Span = tuple[Tensor, Tensor, Tensor]
MONTH_DAYS = 30
DAY_SECONDS = 86_400
LAST_FACTOR = (1 << 31) - 1


def parts_of(column: Column) -> Span:
    """(months, days, microseconds) as int64; one row of a Constant."""
    column = bare(column)
    assert isinstance(column, TimeSpan)
    return column.months.to(torch.int64), column.days.to(torch.int64), column.microseconds


def time_span(months: Tensor, days: Tensor, microseconds: Tensor, extent: Extent) -> TimeSpan:
    """An INTERVAL column; raises where months or days leave 32 bits."""
    months, days, microseconds = (
        part.expand(extent.count) for part in (months, days, microseconds)
    )
    bad = _past_32_bits(months) | _past_32_bits(days)
    if extent.failing(bad) is not None:
        raise OutOfRangeError("the interval is out of range")
    return TimeSpan(INTERVAL, months.to(torch.int32), days.to(torch.int32), microseconds)


def _past_32_bits(part: Tensor) -> Tensor:
    return (part >= 1 << 31) | (part < -(1 << 31))


def microseconds_of(column: Column) -> Tensor:
    """A DATE or TIMESTAMP as microseconds since 1970."""
    values = values_of(column).to(torch.int64)
    return midnights(values) if column.type.kind is Kind.DATE else values


def plus_time_span(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """A date, timestamp or time + interval; a time stays within its day."""
    return _shift(arguments[0], parts_of(arguments[1]), call, extent)


def time_span_plus(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Interval + date, timestamp or time."""
    return _shift(arguments[1], parts_of(arguments[0]), call, extent)


def minus_time_span(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """A date, timestamp or time - interval."""
    months, days, micros = parts_of(arguments[1])
    return _shift(arguments[0], (-months, -days, -micros), call, extent)


def _shift(column: Column, span: Span, call: Call, extent: Extent) -> Column:
    months, days, micros = span
    whole = floor_div(micros, DAY)
    rest = micros - whole * DAY
    if column.type.kind is Kind.TIME:
        return Flat(call.type, torch.remainder(values_of(column) + rest, DAY))
    date, clock = split(microseconds_of(column))
    if bool((months != 0).any()):
        date = add_months(date, months)
    carried, clock = split(clock + rest)
    return Flat(call.type, dated(date + days + whole + carried, extent) * DAY + clock)


def dated(days: Tensor, extent: Extent) -> Tensor:
    """Days of the calendar; raises outside of the years 1 to 9999."""
    bad = (days < FIRST_DAY) | (days > LAST_DAY)
    if extent.failing(bad.expand(extent.count)) is not None:
        raise OutOfRangeError("the date is out of range: dates are of the years 1 to 9999")
    return days.masked_fill(bad, 0)


def add_days(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Date + number of days."""
    return _days(values_of(arguments[0]), values_of(arguments[1]), call, extent)


def days_add(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Number of days + date."""
    return _days(values_of(arguments[1]), values_of(arguments[0]), call, extent)


def subtract_days(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Date - number of days."""
    return _days(values_of(arguments[0]), -values_of(arguments[1]).to(torch.int64), call, extent)


def _days(date: Tensor, days: Tensor, call: Call, extent: Extent) -> Column:
    return Flat(call.type, dated(date.to(torch.int64) + days, extent).to(torch.int32))


def days_between(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Date - date, in days."""
    a, b = (values_of(argument).to(torch.int64) for argument in arguments)
    return Flat(call.type, a - b)


def time_between(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Timestamp - timestamp, in days and microseconds."""
    a, b = (values_of(argument) for argument in arguments)
    elapsed = a - b
    days = trunc_div(elapsed, DAY)
    return time_span(torch.zeros_like(days), days, elapsed - days * DAY, extent)


def date_and_time(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Date + time of day."""
    date, clock = arguments
    return Flat(call.type, microseconds_of(date) + values_of(clock))


def time_and_date(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Time of day + date."""
    return date_and_time(arguments[::-1], call, extent)


def plus_time_spans(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Interval + interval, part by part."""
    left, right = map(parts_of, arguments)
    return _part_by_part(torch.add, left, right, extent)


def between_time_spans(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Interval - interval, part by part."""
    left, right = map(parts_of, arguments)
    return _part_by_part(torch.sub, left, right, extent)


def _part_by_part(
    operation: Callable[[Tensor, Tensor], Tensor], left: Span, right: Span, extent: Extent
) -> Column:
    months, days, micros = map(operation, left, right)
    # A wrapped sum of 64 bits is far from the one in floats.
    near = operation(left[2].double(), right[2].double())
    if extent.failing(((micros.double() - near).abs() > 2.0**62).expand(extent.count)) is not None:
        raise OutOfRangeError("the interval is out of range")
    return time_span(months, days, micros, extent)


def negate(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """-interval, part by part."""
    months, days, micros = parts_of(arguments[0])
    return time_span(-months, -days, -micros, extent)


def scale(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Interval * number; what is left of a month spills into days of 30, of a day into time."""
    return _scaled(parts_of(arguments[0]), values_of(arguments[1]), extent)


def scaled(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Number * interval."""
    return scale(arguments[::-1], call, extent)


def repeat(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Interval * whole number, part by part."""
    factor = values_of(arguments[1]).to(torch.int64)
    parts, bad = [], (factor > LAST_FACTOR) | (factor < ~LAST_FACTOR)
    for part, bits in zip(parts_of(arguments[0]), (31, 31, 63), strict=True):
        product, lost = wide.multiply(_widened(part), _widened(factor))
        bad = bad | lost | wide.outside(product, -(1 << bits), (1 << bits) - 1)
        parts.append(product[1])
    if extent.failing(bad.expand(extent.count)) is not None:
        raise OutOfRangeError("the interval is out of range")
    months, days, micros = (part.masked_fill(bad, 0) for part in parts)
    return time_span(months, days, micros, extent)


def _widened(values: Tensor) -> wide.Words:
    return values >> 63, values


def repeated(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Whole number * interval."""
    return repeat(arguments[::-1], call, extent)


def shrink(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Interval / number; raises by zero."""
    divisor = values_of(arguments[1])
    zero = divisor == 0
    if extent.failing(zero.expand(extent.count)) is not None:
        raise OutOfRangeError("division by zero; use NULLIF(divisor, 0) to get NULL instead")
    return _scaled(parts_of(arguments[0]), 1.0 / divisor.masked_fill(zero, 1.0), extent)


def _scaled(span: Span, factor: Tensor, extent: Extent) -> Column:
    """As Postgres and DuckDB do: what is left of months and days is rounded to their millionth."""
    months, days, micros = (part.to(torch.float64) for part in span)
    whole_months, whole_days = torch.trunc(months * factor), torch.trunc(days * factor)
    spilled = _millionths(multiply_add(months, factor, -whole_months) * MONTH_DAYS)
    left = multiply_add(days, factor, -whole_days) + spilled - torch.trunc(spilled)
    seconds = _millionths(left * DAY_SECONDS)
    carried = torch.trunc(seconds / DAY_SECONDS)
    whole_days = whole_days + carried + torch.trunc(spilled)
    seconds = seconds - carried * DAY_SECONDS
    micros = torch.round(multiply_add(micros, factor, seconds * 1e6))
    bad = ~(torch.stack([whole_months, whole_days, micros / 2.0**32]).abs() < 1 << 31).all(0)
    if extent.failing(bad.expand(extent.count)) is not None:
        raise OutOfRangeError("the interval is out of range")
    whole = [
        part.masked_fill(bad, 0).to(torch.int64) for part in (whole_months, whole_days, micros)
    ]
    return time_span(whole[0], whole[1], whole[2], extent)


def _millionths(values: Tensor) -> Tensor:
    return torch.round(values * 1e6) / 1e6
