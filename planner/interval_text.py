"""Intervals (months, days, microseconds) from and to text."""

from __future__ import annotations

import re

SECOND = 1_000_000
_MONTHS = {"month": 1, "mon": 1, "quarter": 3, "year": 12, "y": 12, "yr": 12, "decade": 120}
_MONTHS |= {"century": 1200, "centurie": 1200, "millennium": 12000, "millennia": 12000}
_DAYS = {"day": 1, "d": 1, "week": 7, "w": 7}
_MICROSECONDS = {"microsecond": 1, "us": 1, "usec": 1, "millisecond": 1000, "ms": 1000}
_MICROSECONDS |= {"msec": 1000, "second": SECOND, "s": SECOND, "sec": SECOND}
_MICROSECONDS |= {"minute": 60 * SECOND, "m": 60 * SECOND, "min": 60 * SECOND}
_MICROSECONDS |= {"hour": 3600 * SECOND, "h": 3600 * SECOND, "hr": 3600 * SECOND}
_AMOUNT = re.compile(r"\s*([+-]?\d+)(\.\d+)?\s*([a-zA-Z]+)")
_CLOCK = re.compile(r"\s*([+-]?)(\d+):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?")


def parse_interval(text: str) -> tuple[int, int, int] | None:
    """`1 year 2 months -3 days 04:05:06.7`, in any order; None if the text is something else."""
    months = days = micros = 0
    rest = text.strip()
    if not rest:
        return None
    while rest:
        if (found := _CLOCK.match(rest)) is not None:
            micros += _clock(found)
        elif (found := _AMOUNT.match(rest)) is not None:
            amount = interval_of(int(found[1]), found[2] or "", found[3])
            if amount is None:
                return None
            months, days, micros = months + amount[0], days + amount[1], micros + amount[2]
        else:
            return None
        rest = rest[found.end() :].strip()
        if rest.lower() == "ago":
            return -months, -days, -micros
    return months, days, micros


def _clock(found: re.Match[str]) -> int:
    sign, hours, minutes, seconds, fraction = found.groups()
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds or 0)
    total = whole * SECOND + int((fraction or "").ljust(6, "0"))
    return -total if sign == "-" else total


def interval_of(whole: int, fraction: str, unit: str) -> tuple[int, int, int] | None:
    """An amount such as 1 and ".5" of a unit, singular or plural; a fraction spills downwards."""
    name = unit.lower()
    if name not in _MONTHS and name not in _DAYS and name not in _MICROSECONDS:
        name = name.removesuffix("s")
    part = float(fraction) if fraction else 0.0
    part = -part if whole < 0 else part
    if name in _MONTHS:
        return whole * _MONTHS[name] + int(part * _MONTHS[name]), 0, 0
    if name in _DAYS:
        rest = part * _DAYS[name]
        return 0, whole * _DAYS[name] + int(rest), round((rest - int(rest)) * 86_400 * SECOND)
    if name in _MICROSECONDS:
        return 0, 0, whole * _MICROSECONDS[name] + round(part * _MICROSECONDS[name])
    return None


def format_interval(months: int, days: int, micros: int) -> str:
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
