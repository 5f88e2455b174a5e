"""Python objects given as parameters: what numpy, pandas and torch have, as Python's own values."""

from __future__ import annotations

import datetime
import math
import uuid
from decimal import Decimal
from typing import Any

from tensorsql.errors import BindError, OutOfRangeError

PLAIN = frozenset({type(None), bool, int, float, str, bytes, datetime.date})
# Words of pandas and numpy for NULL, without importing them.
MISSING = ("NaTType", "NAType", "MaskedConstant")
WIDEST = 1 << 127  # of a HUGEINT
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
        given = [value for value in values if value is not None]
        return bool(min(given) >= -WIDEST and max(given) < WIDEST)
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
    found = value.tolist()
    return [python_value(item) for item in found] if isinstance(found, list) else found


def _scalar(value: Any, kind: str) -> Any:
    match kind:
        case "M" | "m":
            return _numpy_time(value, kind)
        case "V" | "c":
            raise BindError(f"a parameter cannot be of numpy type {value.dtype}")
    found = value.item()
    if hasattr(found, "dtype"):  # longdouble stays what it is
        raise BindError(f"a parameter cannot be of numpy type {value.dtype}")
    return python_value(found)


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
            if not -WIDEST <= value < WIDEST:
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
