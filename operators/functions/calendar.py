"""The proleptic Gregorian calendar over tensors of days and microseconds since 1970-01-01.

The day ↔ (year, month, day) formulas count years from March, so that the leap day comes last.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError

DAY = 86_400_000_000
LAST_MIDNIGHT = ((1 << 63) - 1) // DAY
ERA = 146_097  # days in 400 years
FIRST_DAY, LAST_DAY = -719_162, 2_932_896  # of the years 1 to 9999


def midnights(days: Tensor) -> Tensor:
    """Days since 1970 as microseconds; raises where 64 bits end, 292,000 years away."""
    days = days.to(torch.int64)
    if bool((days.abs() > LAST_MIDNIGHT).any()):
        raise OutOfRangeError("a DATE is too far away to be a TIMESTAMP")
    return days * DAY


def floor_div(values: Tensor, divisor: int) -> Tensor:
    """Towards minus infinity."""
    return torch.div(values, divisor, rounding_mode="floor")


def trunc_div(values: Tensor, divisor: int) -> Tensor:
    """Towards zero."""
    return torch.div(values, divisor, rounding_mode="trunc")


def civil(days: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(year, month 1-12, day 1-31) of int64 days."""
    shifted = days + 719_468
    era = floor_div(shifted, ERA)
    day = shifted - era * ERA
    year = floor_div(
        day - floor_div(day, 1460) + floor_div(day, 36_524) - floor_div(day, 146_096), 365
    )
    day = day - (365 * year + floor_div(year, 4) - floor_div(year, 100))
    place = floor_div(5 * day + 2, 153)
    month = torch.where(place < 10, place + 3, place - 9)
    year = year + era * 400 + (month <= 2).to(torch.int64)
    return year, month, day - floor_div(153 * place + 2, 5) + 1


def days_of(year: Tensor, month: Tensor, day: Tensor) -> Tensor:
    """Days of int64 (year, month 1-12, day)."""
    year = year - (month <= 2).to(torch.int64)
    era = floor_div(year, 400)
    of_era = year - era * 400
    place = torch.where(month > 2, month - 3, month + 9)
    of_year = floor_div(153 * place + 2, 5) + day - 1
    of_days = of_era * 365 + floor_div(of_era, 4) - floor_div(of_era, 100) + of_year
    return era * ERA + of_days - 719_468


def month_length(year: Tensor, month: Tensor) -> Tensor:
    """Days of a month."""
    following = year + (month == 12).to(torch.int64)
    first = torch.ones_like(year)
    return days_of(following, month % 12 + 1, first) - days_of(year, month, first)


def add_months(days: Tensor, months: Tensor) -> Tensor:
    """The same day so many months on, or the last of the month if it is shorter."""
    year, month, day = civil(days)
    place = year * 12 + month - 1 + months
    year, month = floor_div(place, 12), torch.remainder(place, 12) + 1
    return days_of(year, month, torch.minimum(day, month_length(year, month)))


def day_of_year(days: Tensor) -> Tensor:
    """1 on the first of January."""
    year, _, _ = civil(days)
    one = torch.ones_like(year)
    return days - days_of(year, one, one) + 1


def weekday(days: Tensor) -> Tensor:
    """Monday = 0 … Sunday = 6."""
    return torch.remainder(days + 3, 7)


def iso_week(days: Tensor) -> tuple[Tensor, Tensor]:
    """(ISO year, ISO week): a week belongs to the year of its Thursday."""
    thursday = days - weekday(days) + 3
    year, _, _ = civil(thursday)
    one = torch.ones_like(year)
    return year, floor_div(thursday - days_of(year, one, one), 7) + 1


def split(microseconds: Tensor) -> tuple[Tensor, Tensor]:
    """(days, microseconds of the day) of a timestamp."""
    days = floor_div(microseconds, DAY)
    return days, microseconds - days * DAY
