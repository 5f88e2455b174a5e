"""Functions of dates, timestamps, times and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import ConversionError, OutOfRangeError
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.columns.text import bytes_of_arrow, flat_of_arrow, named
from tensorsql.operators.functions.calendar import (
    DAY,
    add_months,
    civil,
    day_of_year,
    days_of,
    floor_div,
    iso_week,
    month_length,
    split,
    trunc_div,
    weekday,
)
from tensorsql.operators.functions.registry import Extent, Kernel
from tensorsql.operators.functions.strings import run_text
from tensorsql.operators.functions.temporal import dated, microseconds_of, parts_of, time_span
from tensorsql.operators.functions.time_format import format_times
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import Column, Flat
from tensorsql.storage.columns.types import BIGINT, VARCHAR, Kind

SECOND = 1_000_000
MONTH_NAMES = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DAY_NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
Part = Callable[[Tensor], Tensor]


def _year_week(days: Tensor) -> Tensor:
    year, week = iso_week(days)
    return year * 100 + week


CALENDAR: dict[str, Part] = {
    "year": lambda days: civil(days)[0],
    "month": lambda days: civil(days)[1],
    "day": lambda days: civil(days)[2],
    "quarter": lambda days: floor_div(civil(days)[1] - 1, 3) + 1,
    "week": lambda days: iso_week(days)[1],
    "dayofweek": lambda days: torch.remainder(weekday(days) + 1, 7),
    "isodow": lambda days: weekday(days) + 1,
    "dayofyear": day_of_year,
    "decade": lambda days: trunc_div(civil(days)[0], 10),
    "century": lambda days: trunc_div(civil(days)[0] - 1, 100) + 1,
    "isoyear": lambda days: iso_week(days)[0],
    "yearweek": _year_week,
}
# Of microseconds, towards zero: intervals may be negative.
CLOCK: dict[str, Part] = {
    "hour": lambda micros: trunc_div(micros, 3600 * SECOND),
    "minute": lambda micros: torch.fmod(trunc_div(micros, 60 * SECOND), 60),
    "second": lambda micros: torch.fmod(trunc_div(micros, SECOND), 60),
    "millisecond": lambda micros: trunc_div(torch.fmod(micros, 60 * SECOND), 1000),
    "microsecond": lambda micros: torch.fmod(micros, 60 * SECOND),
}
OF_INTERVAL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "year": lambda months, days: trunc_div(months, 12),
    "month": lambda months, days: torch.fmod(months, 12),
    "day": lambda months, days: days,
    "quarter": lambda months, days: trunc_div(torch.fmod(months, 12), 3) + 1,
    "decade": lambda months, days: trunc_div(months, 120),
    "century": lambda months, days: trunc_div(months, 1200),
}


def _part(name: str) -> Kernel:
    """The kernel of one part of a date, timestamp, time or interval."""

    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
        (column,) = arguments
        if column.type.kind is Kind.INTERVAL:
            months, days, micros = parts_of(column)
            numbers = CLOCK[name](micros) if name in CLOCK else OF_INTERVAL[name](months, days)
            return Flat(call.type, numbers)
        if column.type.kind is Kind.TIME:
            return Flat(call.type, CLOCK[name](values_of(column)))
        if name in CALENDAR:
            return Flat(call.type, CALENDAR[name](_days(column)))
        return Flat(call.type, CLOCK[name](split(microseconds_of(column))[1]))

    return run


def _days(column: Column) -> Tensor:
    values = values_of(column).to(torch.int64)
    return values if column.type.kind is Kind.DATE else floor_div(values, DAY)


year = _part("year")
month = _part("month")
day = _part("day")
quarter = _part("quarter")
week = _part("week")
dayofweek = _part("dayofweek")
isodow = _part("isodow")
dayofyear = _part("dayofyear")
decade = _part("decade")
century = _part("century")
isoyear = _part("isoyear")
yearweek = _part("yearweek")
hour = _part("hour")
minute = _part("minute")
second = _part("second")
millisecond = _part("millisecond")
microsecond = _part("microsecond")


def epoch(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Seconds since 1970, since midnight, or of an interval (30-day months)."""
    (column,) = arguments
    if column.type.kind is Kind.INTERVAL:
        months, days, micros = parts_of(column)
        years = trunc_div(months, 12)
        hours = years * 8766 + (months - years * 12) * 720 + days * 24
        return Flat(call.type, hours.to(torch.float64) * 3600.0 + micros.to(torch.float64) / 1e6)
    if column.type.kind is Kind.TIME:
        return Flat(call.type, values_of(column).to(torch.float64) / 1e6)
    return Flat(call.type, microseconds_of(column).to(torch.float64) / 1e6)


def epoch_ms(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Milliseconds since 1970, the nearest; halves go away from 0."""
    micros = microseconds_of(arguments[0])
    return Flat(call.type, trunc_div(micros + torch.where(micros < 0, -500, 500), 1000))


_MONTHS = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200}
LONGEST = (1 << 63) - 1  # microseconds of an interval
_UNITS = {
    "microsecond": 1,
    "millisecond": 1000,
    "second": SECOND,
    "minute": 60 * SECOND,
    "hour": 3600 * SECOND,
    "day": DAY,
    "dayofyear": DAY,
    "dayofweek": DAY,
    "isodow": DAY,
    "epoch": SECOND,
}


def date_trunc(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """The start of the year, month, week, hour, … as a TIMESTAMP."""
    part, micros = call.option("part"), microseconds_of(arguments[0])
    if part in _UNITS:
        return Flat(call.type, floor_div(micros, _UNITS[part]) * _UNITS[part])
    days = floor_div(micros, DAY)
    if part in _MONTHS:
        size = _MONTHS[part]
        in_era, in_year, _ = civil(days)
        months = floor_div(in_era * 12 + in_year - 1, size) * size
        one = torch.ones_like(months)
        start = days_of(floor_div(months, 12), torch.remainder(months, 12) + 1, one)
    else:
        start = days - weekday(days)
        if part == "isoyear":
            start = start - (iso_week(days)[1] - 1) * 7
    return Flat(call.type, dated(start, extent) * DAY)


def date_diff(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """How many starts of the part lie between two times; weeks are counted in whole ones."""
    part = call.option("part")
    start, stop = (microseconds_of(argument) for argument in arguments)
    if part in _MONTHS:
        first, last = (_months(micros, _MONTHS[part]) for micros in (start, stop))
        return Flat(call.type, last - first)
    if part in _UNITS:
        unit = _UNITS[part]
        return Flat(call.type, floor_div(stop, unit) - floor_div(start, unit))
    first, last = floor_div(start, DAY), floor_div(stop, DAY)
    if part == "isoyear":
        return Flat(call.type, iso_week(last)[0] - iso_week(first)[0])
    return Flat(call.type, trunc_div(last - first, 7))


def _months(micros: Tensor, size: int) -> Tensor:
    years, in_year, _ = civil(floor_div(micros, DAY))
    return floor_div(years * 12 + in_year - 1, size)


def date_sub(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """How many whole parts lie between two times."""
    part = call.option("part")
    part = "year" if part == "isoyear" else part
    start, stop = (microseconds_of(argument) for argument in arguments)
    if part not in _MONTHS:
        unit = _UNITS.get(part, 7 * DAY)
        return Flat(call.type, trunc_div(stop - start, unit))
    backwards = stop < start
    early, late = torch.minimum(start, stop), torch.maximum(start, stop)
    months = _months(late, 1) - _months(early, 1)
    days, clock = split(early)
    reached = add_months(days, months) * DAY + clock
    months = trunc_div(months - (reached > late).to(torch.int64), _MONTHS[part])
    return Flat(call.type, torch.where(backwards, -months, months))


def make_date(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """A date of its year, month and day; raises if there is no such day."""
    years, in_year, in_month = (values_of(argument) for argument in arguments)
    plausible = (in_year >= 1) & (in_year <= 12) & (in_month >= 1) & (years.abs() < 5_000_000)
    safe_year = torch.where(plausible, years, 2000)
    safe_month = torch.where(plausible, in_year, 1)
    bad = ~plausible | (in_month > month_length(safe_year, safe_month))
    row = extent.failing(bad)
    if row is not None:
        text = "-".join(str(int(values_of(argument)[row])) for argument in arguments)
        raise ConversionError(f"there is no date {text}")
    day_numbers = days_of(safe_year, safe_month, in_month).masked_fill(bad, 0)
    return Flat(call.type, dated(day_numbers, extent).to(torch.int32))


def last_day(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """The last day of the month."""
    years, in_year, _ = civil(_days(arguments[0]))
    return Flat(call.type, days_of(years, in_year, month_length(years, in_year)).to(torch.int32))


def monthname(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """January … December."""
    return named(MONTH_NAMES, civil(_days(arguments[0]))[1] - 1)


def dayname(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Monday … Sunday."""
    return named(DAY_NAMES, weekday(_days(arguments[0])))


def strftime(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """A time written by a format, in either order of arguments."""
    time, form = arguments if arguments[1].type.kind is Kind.VARCHAR else arguments[::-1]
    # Formatting one distinct format at a time: the texts of rows travel as their row numbers.
    micros = microseconds_of(time)
    return run_text(_formatter(micros), [_row_numbers(len(time)), form], call)


def _row_numbers(count: int) -> Column:
    numbers = pa.array(range(count), pa.int64()).cast(pa.large_string())
    return bytes_of_arrow(numbers, VARCHAR)


def _formatter(micros: Tensor) -> Callable[[pa.Array, str], pa.Array]:
    def apply(numbers: pa.Array, form: str) -> pa.Array:
        rows = flat_of_arrow(numbers.cast(pa.int64()), BIGINT).values
        return format_times(micros.index_select(0, rows), form)

    return apply


def _amount(unit: str) -> Kernel:
    """The kernel of to_years, to_days, …."""

    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
        amount = values_of(arguments[0])
        none = torch.zeros_like(amount, dtype=torch.int64)
        size = _MONTHS.get(unit) or {"week": 7, "day": 1}.get(unit) or _UNITS[unit]
        if amount.is_floating_point():
            bad = ~((amount.double() * size).abs() < 2.0**63)
        else:
            bad = (amount > LONGEST // size) | (amount < -((LONGEST + 1) // size))
        if extent.failing(bad) is not None:
            raise OutOfRangeError(f"the interval of {unit}s is out of range")
        scaled = amount.masked_fill(bad, 0) * size
        scaled = (torch.round(scaled) if scaled.is_floating_point() else scaled).to(torch.int64)
        if unit in _MONTHS:
            return time_span(scaled, none, none, extent)
        if unit in ("day", "week"):
            return time_span(none, scaled, none, extent)
        return time_span(none, none, scaled, extent)

    return run


to_years = _amount("year")
to_quarters = _amount("quarter")
to_months = _amount("month")
to_weeks = _amount("week")
to_days = _amount("day")
to_hours = _amount("hour")
to_minutes = _amount("minute")
to_seconds = _amount("second")
to_milliseconds = _amount("millisecond")
to_microseconds = _amount("microsecond")
