"""STRFTIME's directives. CPU only: Arrow prints whole columns there."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.errors import ConversionError
from tensorsql.operators.columns.text import numpy_view
from tensorsql.operators.functions.calendar import civil, day_of_year, iso_week, split, weekday

TEXT = pa.large_string()
SECOND = 1_000_000
MONTHS = "January February March April May June July August September October November December"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
Directive = Callable[[Tensor, Tensor], pa.Array]


def format_times(micros: Tensor, form: str) -> pa.Array:
    """Each timestamp (microseconds) as text; raises ConversionError for an unknown directive."""
    if not form:
        raise ConversionError("strftime takes a format, not an empty text")
    days, clock = split(micros)
    parts: list[object] = []
    rest = form
    while rest:
        plain, percent, rest = rest.partition("%")
        if plain:
            parts.append(pa.scalar(plain, TEXT))
        if percent:
            name = rest[:2] if rest.startswith("-") else rest[:1]
            rest = rest[len(name) :]
            parts.append(_directive(name)(days, clock))
    count = len(micros)
    return pc.binary_join_element_wise(pa.array([""] * count, TEXT), *parts, pa.scalar("", TEXT))


def _directive(name: str) -> Directive:
    if name in DIRECTIVES:
        return DIRECTIVES[name]
    if name.startswith("-") and name[1:] in NUMBERS:
        compute, _ = NUMBERS[name[1:]]
        return lambda days, clock: _number(compute(days, clock), 1)
    if name in NUMBERS:
        compute, width = NUMBERS[name]
        return lambda days, clock: _number(compute(days, clock), width)
    raise ConversionError(f"strftime has no directive %{name}")


def _number(values: Tensor, width: int) -> pa.Array:
    text = pa.array(numpy_view(values)).cast(TEXT)
    return pc.utf8_lpad(text, width, "0") if width > 1 else text


def _names(names: list[str], places: Tensor) -> pa.Array:
    return pa.array(names, TEXT).take(pa.array(numpy_view(places)))


def _week_of_year(days: Tensor, first: int) -> Tensor:
    """Weeks that start on weekday `first` (Monday 0), from the first such day of the year."""
    place = day_of_year(days) - 1
    return torch.div(
        place + 7 - torch.remainder(weekday(days) - first, 7), 7, rounding_mode="floor"
    )


NUMBERS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
    "Y": (lambda days, clock: civil(days)[0], 4),
    "y": (lambda days, clock: torch.remainder(civil(days)[0], 100), 2),
    "m": (lambda days, clock: civil(days)[1], 2),
    "d": (lambda days, clock: civil(days)[2], 2),
    "j": (lambda days, clock: day_of_year(days), 3),
    "H": (lambda days, clock: clock // (3600 * SECOND), 2),
    "I": (lambda days, clock: torch.remainder(clock // (3600 * SECOND) - 1, 12) + 1, 2),
    "M": (lambda days, clock: clock // (60 * SECOND) % 60, 2),
    "S": (lambda days, clock: clock // SECOND % 60, 2),
    "f": (lambda days, clock: clock % SECOND, 6),
    "g": (lambda days, clock: clock % SECOND // 1000, 3),
    "w": (lambda days, clock: torch.remainder(weekday(days) + 1, 7), 1),
    "u": (lambda days, clock: weekday(days) + 1, 1),
    "G": (lambda days, clock: iso_week(days)[0], 4),
    "V": (lambda days, clock: iso_week(days)[1], 2),
    "U": (lambda days, clock: _week_of_year(days, 6), 2),
    "W": (lambda days, clock: _week_of_year(days, 0), 2),
}
DIRECTIVES: dict[str, Directive] = {
    "B": lambda days, clock: _names(MONTHS.split(), civil(days)[1] - 1),
    "b": lambda days, clock: _names([name[:3] for name in MONTHS.split()], civil(days)[1] - 1),
    "A": lambda days, clock: _names(DAYS.split(), weekday(days)),
    "a": lambda days, clock: _names([name[:3] for name in DAYS.split()], weekday(days)),
    "p": lambda days, clock: _names(["AM", "PM"], clock // (12 * 3600 * SECOND)),
    "%": lambda days, clock: pa.array(["%"] * len(days), TEXT),
    "x": lambda days, clock: _join(days, clock, "%Y-%m-%d"),
    "X": lambda days, clock: _join(days, clock, "%H:%M:%S"),
    "c": lambda days, clock: _join(days, clock, "%Y-%m-%d %H:%M:%S"),
}


def _join(days: Tensor, clock: Tensor, form: str) -> pa.Array:
    return format_times(days * 86_400_000_000 + clock, form)
