"""Literals: from SQL text and from Python values, those of numpy, pandas and torch included."""

from __future__ import annotations

import datetime
import math
import re
import uuid
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tensorsql.errors import BindError, OutOfRangeError
from tensorsql.planner.functions.casts import integer_type
from tensorsql.planner.functions.conversions import negated
from tensorsql.planner.functions.time_span_text import amount_of, parse_time_span
from tensorsql.planner.functions.unify import unify
from tensorsql.planner.plans.expressions import Literal
from tensorsql.storage.columns import types

MICROSECONDS = {"microsecond": 1, "millisecond": 1000, "second": 10**6}
MICROSECONDS |= {"minute": 60 * 10**6, "hour": 3600 * 10**6}
DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200}
UNITS = (*MICROSECONDS, *DAYS, *MONTHS, "millennium")
UNIT_WORDS = {
    **{unit: unit for unit in UNITS},
    **{f"{unit}s": unit for unit in UNITS},
    **{"centuries": "century", "us": "microsecond", "ms": "millisecond", "s": "second"},
    **{"sec": "second", "secs": "second", "min": "minute", "mins": "minute", "h": "hour"},
    **{"hr": "hour", "hrs": "hour", "d": "day", "w": "week", "mon": "month", "mons": "month"},
    **{"y": "year", "yr": "year", "yrs": "year"},
}
NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
WIDEST_INTEGER = 39  # digits of a HUGEINT
HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]+")
AMOUNT = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*")


def number(text: str) -> Literal:
    """A number as written: an integer, a DECIMAL of its digits, or DOUBLE with an exponent."""
    text = text.replace("_", "")
    if HEXADECIMAL.fullmatch(text):
        return integer_literal(int(text, 16))
    if not NUMBER.fullmatch(text):
        raise BindError(f"{text} is not a number")
    if "e" in text.lower():
        return Literal(types.DOUBLE, float(text))
    if "." in text:
        return decimal_literal(Decimal(text), len(text) - 1)
    if len(text.lstrip("0")) > WIDEST_INTEGER:
        return Literal(types.DOUBLE, float(text))
    return integer_literal(int(text))


def negative_number(text: str) -> Literal:
    """A number behind a minus, of the type it has without: -2147483648 is a BIGINT."""
    value, digits = number(text), text.replace("_", "")
    small = value.type in (types.INTEGER, types.BIGINT)
    if small or not digits.isdecimal() or len(digits.lstrip("0")) > WIDEST_INTEGER:
        return Literal(value.type, negated(value.value))
    return integer_literal(-int(digits))


def integer_literal(value: int) -> Literal:
    """INTEGER, BIGINT or HUGEINT, the first that holds the value; beyond them a DOUBLE."""
    kind = integer_type(value)
    return Literal(types.DOUBLE, float(value)) if kind is None else Literal(kind, value)


def decimal_literal(value: Decimal, digits: int = 0) -> Literal:
    """A DECIMAL with the digits written, leading zeros too; beyond 38 digits a DOUBLE."""
    if not value.is_finite():
        return Literal(types.DOUBLE, float(value))
    scale = max(0, -int(value.as_tuple().exponent))
    precision = digits or max(value.adjusted() + 1, 1) + scale
    if precision > 38:
        return Literal(types.DOUBLE, float(value))
    return Literal(types.decimal(precision, scale), value)


def literal_of_value(value: Any) -> Literal:
    """A literal of a Python value, numpy's, pandas' and torch's included; BindError for others."""
    return _literal(python_value(value))


def _literal(value: Any) -> Literal:
    match value:
        case None:
            return Literal(types.NULL, None)
        case bool():
            return Literal(types.BOOLEAN, value)
        case int():
            return integer_literal(value)
        case float():
            return Literal(types.DOUBLE, value)
        case Decimal():
            return decimal_literal(value)
        case str():
            return Literal(types.VARCHAR, value)
        case bytes():
            return Literal(types.BLOB, value)
        case uuid.UUID():
            return Literal(types.UUID, str(value))
        case list():
            return list_literal([_literal(item) for item in value])
        case dict():
            items = [(name, _literal(item)) for name, item in value.items()]
            kind = types.struct(*((name, item.type) for name, item in items))
            return Literal(kind, tuple(item.value for _, item in items))
    return _temporal(value)


def _temporal(value: Any) -> Literal:
    match value:
        case datetime.datetime():
            return Literal(types.TIMESTAMP, value)
        case datetime.date():
            return Literal(types.DATE, value)
        case datetime.time():
            return Literal(types.TIME, value)
    micros = value.seconds * 10**6 + value.microseconds
    return Literal(types.INTERVAL, (0, value.days, micros))


def list_literal(items: list[Literal]) -> Literal:
    """A LIST of the items' common type."""
    values = unify(items, "list")
    child = values[0].type if values else types.NULL
    constants = [item.value for item in values if isinstance(item, Literal)]
    if len(constants) < len(items):
        raise BindError(f"cannot make a list of {child} from these values")
    return Literal(types.list_of(child), tuple(constants))


def time_span(text: str, unit: str | None) -> Literal:
    """`INTERVAL '3' MONTH`, `INTERVAL '1 day 02:00'`: (months, days, microseconds)."""
    if unit is not None:
        if not AMOUNT.fullmatch(text):
            raise BindError(f"an interval is a number of {unit}, not '{text}'")
        return time_span_literal(scaled(Decimal(text), unit))
    parts = parse_time_span(text)
    if parts is None:
        _check_units(text)
        raise BindError(f"cannot read the interval '{text}'; write for example '3 months 2 days'")
    return time_span_literal(parts)


def _check_units(text: str) -> None:
    for word in re.findall(r"[A-Za-z]+", text):
        if amount_of(Decimal(1), word) is None and word.lower() != "ago":
            raise BindError(
                f'unknown interval unit "{word.upper()}"; write for example DAY or MONTHS'
            )


def time_span_literal(parts: tuple[int, int, int]) -> Literal:
    """(months, days, microseconds) as a literal; OutOfRangeError if one has too many digits."""
    for count, bits, unit in zip(parts, (31, 31, 63), ("months", "days", "µs"), strict=True):
        if not -(1 << bits) <= count < 1 << bits:
            many = count if count.bit_length() < 128 else "so many"
            raise OutOfRangeError(f"an interval of {many} {unit} is out of range")
    return Literal(types.INTERVAL, parts)


def scaled(count: Decimal, unit: str) -> tuple[int, int, int]:
    """So many of a unit; a fraction of seconds only, as DuckDB has it."""
    name = UNIT_WORDS.get(unit.lower())
    if name is None:
        raise BindError(f'unknown interval unit "{unit}"; write for example DAY or MONTHS')
    if name in ("hour", "minute", "microsecond"):
        return (0, 0, int(count) * MICROSECONDS[name])
    if name in MICROSECONDS:
        micros = count * MICROSECONDS[name]
        return (0, 0, int(micros.to_integral_value(ROUND_HALF_UP)))
    if name in DAYS:
        return (0, int(count) * DAYS[name], 0)
    return (int(count) * MONTHS.get(name, 12000), 0, 0)


PLAIN = frozenset({type(None), bool, int, float, str, bytes, datetime.date})
# Words of pandas and numpy for NULL, without importing them.
MISSING = ("NaTType", "NAType", "MaskedConstant")
LEAST, GREATEST = types.INTEGER_RANGES[types.Kind.HUGEINT]
# A unit of numpy's times in microseconds; smaller ones divide.
LARGER = {"us": 1, "ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6}
LARGER |= {"D": 86_400 * 10**6, "W": 7 * 86_400 * 10**6}
SMALLER = {"ns": 10**3, "ps": 10**6, "fs": 10**9, "as": 10**12}
EPOCH = datetime.datetime(1970, 1, 1)


def python_value(value: Any) -> Any:
    """The value as one of Python's own types; BindError if SQL has no value for it."""
    try:
        return _converted(value)
    except OverflowError:
        raise BindError(f"{value} is beyond the years that Python's dates have") from None


def python_values(values: list[Any]) -> list[Any]:
    """Each as `python_value` has it; those of one plain type are looked at as one."""
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) == 1 and _are_plain(kinds.pop(), values):
        return values
    return [python_value(value) for value in values]


def _are_plain(kind: type, values: list[Any]) -> bool:
    """Whether values of one type, and None, are Python's own and all within bounds."""
    if kind is int:
        present = [value for value in values if value is not None]
        return bool(min(present) >= LEAST and max(present) <= GREATEST)
    if kind is str:
        try:
            "".join(value for value in values if value is not None).encode()
        except UnicodeEncodeError:
            return False
        return True
    return kind in (bool, float, bytes, datetime.date)


def _converted(value: Any) -> Any:
    if type(value) in PLAIN:
        return _checked(value)
    if type(value).__name__ in MISSING:
        return None
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind is not None and not getattr(value, "shape", ()):
        return _scalar(value, str(kind))
    if hasattr(value, "tolist") and not isinstance(value, memoryview):
        return _elements(value, kind)
    if isinstance(value, (list, tuple, range)):
        return [python_value(item) for item in value]
    if isinstance(value, dict):
        return {str(name): python_value(item) for name, item in value.items()}
    return _checked(value)


def _elements(value: Any, kind: str | None) -> list[Any]:
    """An array, series or tensor as a list; numpy's dates keep what tolist() would lose."""
    if kind in ("m", "M", "V"):
        return [python_value(item) for item in value]
    items = value.tolist()
    return [python_value(item) for item in items] if isinstance(items, list) else items


def _scalar(value: Any, kind: str) -> Any:
    match kind:
        case "M" | "m":
            return _numpy_time(value, kind)
        case "V" | "c":
            raise BindError(f"a parameter cannot be of numpy type {value.dtype}")
    python = value.item()
    if hasattr(python, "dtype"):  # longdouble stays what it is
        raise BindError(f"a parameter cannot be of numpy type {value.dtype}")
    return python_value(python)


def _numpy_time(value: Any, kind: str) -> Any:
    """A datetime64 or timedelta64, to the microsecond."""
    import numpy

    if numpy.isnat(value):
        return None
    unit, step = numpy.datetime_data(value.dtype)
    count = int(value.astype("int64")) * step
    if unit in ("Y", "M"):
        if kind == "M":
            return _numpy_time(value.astype("datetime64[D]"), kind)
        raise BindError("a parameter cannot be a timedelta64 of months; give INTERVAL ? MONTH")
    divisor = SMALLER.get(unit, 1)
    if count % divisor:
        raise BindError(f"{value} is finer than a microsecond; round it first")
    span = datetime.timedelta(microseconds=count * LARGER.get(unit, 1) // divisor)
    if kind == "m":
        return span
    return (EPOCH + span).date() if unit in ("D", "W") else EPOCH + span


def _checked(value: Any) -> Any:
    match value:
        case bool() | float() | None:
            return value
        case int():
            if not LEAST <= value <= GREATEST:
                raise OutOfRangeError("an integer beyond HUGEINT; give it as text or as a float")
            return value
        case str():
            return _text(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case datetime.time() if value.tzinfo is not None:
            raise BindError("a parameter cannot be a time with a zone")
        case datetime.datetime() | datetime.timedelta():
            return _microseconds(value)
        case Decimal() | uuid.UUID() | datetime.date() | datetime.time():
            return value
    raise BindError(f"a parameter cannot be of Python type {type(value).__name__}")


def _microseconds(value: Any) -> Any:
    """A datetime (zoned ones in UTC) or timedelta; pandas' ones have nanoseconds."""
    nanoseconds = getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0)
    if nanoseconds and not math.isnan(nanoseconds):
        raise BindError(f"{value} is finer than a microsecond; round it first")
    if isinstance(value, datetime.timedelta):
        return datetime.timedelta(value.days, value.seconds, value.microseconds)
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BindError("a parameter holds half a character, which is no text") from None
    return value
