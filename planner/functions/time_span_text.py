"""Intervals (months, days, microseconds) from and to text."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

SECOND = 1_000_000
DAY = 86_400 * SECOND
Parts = tuple[int, int, int]
_MONTHS = {
    12: "year years y yr yrs",
    120: "decade decades dec decs",
    1200: "century centuries cent c",
    12000: "millennium millenniums millennia mil mils",
}
_MICROSECONDS = {
    1000: "millisecond milliseconds ms msec msecs",
    SECOND: "second seconds sec secs s",
    60 * SECOND: "minute minutes min mins m",
    3600 * SECOND: "hour hours hr hrs h",
}
_AMOUNT = re.compile(r"\s*(-?)(\d+)(?:\.(\d*))?\s*([a-zA-Z]+)", re.ASCII)
_CLOCK = re.compile(r"\s*(-?)(\d+):(\d{1,2})(?::(\d{1,2})?(?:\.(\d*))?)?(?:\s+|$)", re.ASCII)
_SECONDS = re.compile(r"\s*-?\d+(?:\.\d*)?\s*", re.ASCII)


def parse_time_span(text: str) -> Parts | None:
    """`1 year 2 months -3 days 04:05:06.7`, in any order; None if the text is something else."""
    rest = text.lstrip()
    if _SECONDS.fullmatch(rest):
        rest = rest.rstrip() + " seconds"
    rest = rest.removeprefix("@").strip()
    parts = (0, 0, 0)
    any_part = False
    while rest:
        if any_part and rest.lower() == "ago":
            parts = (-parts[0], -parts[1], -parts[2])
            break
        amount, rest = _next(rest)
        if amount is None:
            return None
        parts = (parts[0] + amount[0], parts[1] + amount[1], parts[2] + amount[2])
        any_part = True
    return parts if any_part and _fits(parts) else None


def _next(text: str) -> tuple[Parts | None, str]:
    """The amount that the text begins with, and the rest."""
    clock = _CLOCK.match(text)
    if clock is not None:
        return _clock(clock), text[clock.end() :]
    match = _AMOUNT.match(text)
    if match is None:
        return None, text
    sign, whole, fraction, unit = match.groups()
    return amount_of(Decimal(f"{sign}{whole}.{fraction or 0}"), unit), text[match.end() :].strip()


def _fits(parts: Parts) -> bool:
    return all(
        -(1 << bits) <= part < 1 << bits for part, bits in zip(parts, (31, 31, 63), strict=True)
    )


def _clock(match: re.Match[str]) -> Parts | None:
    sign, hours, minutes, seconds, fraction = match.groups()
    if int(minutes) > 59 or int(seconds or 0) > 59:
        return None
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds or 0)
    total = whole * SECOND + int((fraction or "")[:6].ljust(6, "0"))
    return 0, 0, -total if sign else total


def amount_of(count: Decimal, unit: str) -> Parts | None:
    """So many of a unit; what is left of one spills down, from a year to months only."""
    name = unit.lower()
    for size, names in _MONTHS.items():
        if name in names.split():
            return _rounded(count * size), 0, 0
    for size, names in _MICROSECONDS.items():
        if name in names.split():
            return 0, 0, _rounded(count * size)
    match name:
        case "quarter" | "quarters":
            months = int(count * 3)
            return months, _rounded((count * 3 - months) * 30), 0
        case "month" | "months" | "mon" | "mons":
            _, days, micros = _days((count - int(count)) * 30)
            return int(count), days, micros
        case "week" | "weeks" | "w":
            return _days(count * 7)
        case "day" | "days" | "d":
            return _days(count)
        case "microsecond" | "microseconds" | "us" | "usec" | "usecs":
            return 0, 0, int(count)
    return None


def _days(count: Decimal) -> Parts:
    return 0, int(count), _rounded((count - int(count)) * DAY)


def _rounded(count: Decimal) -> int:
    return int(count.to_integral_value(ROUND_HALF_UP))


def format_time_span(months: int, days: int, micros: int) -> str:
    """`1 year 2 months 3 days 04:05:06.7`; `00:00:00` for nothing."""
    years = int(months / 12)
    parts = [
        f"{amount} {unit}{'' if amount in (1, -1) else 's'}"
        for amount, unit in ((years, "year"), (months - years * 12, "month"), (days, "day"))
        if amount
    ]
    if micros or not parts:
        seconds, fraction = divmod(abs(micros), SECOND)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        clock += f".{fraction:06d}".rstrip("0") if fraction else ""
        parts.append(("-" if micros < 0 else "") + clock)
    return " ".join(parts)
