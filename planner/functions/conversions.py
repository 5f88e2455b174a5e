"""Conversions of single Python values between SQL types, free of torch, in DuckDB's text formats.

The planner folds casts of literals with it; the cast kernels use it for the distinct values their
vectorised paths leave over.
"""

from __future__ import annotations

import datetime
import math
import re
import uuid
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np

from tensorsql.errors import ConversionError
from tensorsql.planner.functions.casts import MAX_DIGITS
from tensorsql.planner.functions.nested_text import bare_text, is_null, list_items, struct_items
from tensorsql.planner.functions.time_span_text import format_time_span, parse_time_span
from tensorsql.storage.columns.types import INTEGER_RANGES, TIMESTAMP, Kind, Type

EXACT = Context(prec=100, rounding=ROUND_HALF_UP)
TRUE_WORDS = frozenset({"true", "t", "yes", "y", "1"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "0"})
_DATE = r"\s*(\d{1,6})([-/\\ ])(\d{1,2})\2(\d{1,2})"
_CLOCK = r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{0,9}))?)?"
_ZONE = r"\s*(?:Z|UTC|[+-]\d{1,2}(?::?\d{2})?)?"
_TIMESTAMP = re.compile(rf"{_DATE}(?:[T ]\s*{_CLOCK}{_ZONE})?\s*", re.ASCII)
_TIME = re.compile(rf"\s*{_CLOCK}{_ZONE}\s*", re.ASCII)
_MIDNIGHT = re.compile(r"(.*)[T ]24:00(?::00(?:\.0*)?)?\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:_\d+)*)?\.?(?:\d+(?:_\d+)*)?(?:[eE][+-]?\d+)?\s*", re.ASCII)
_BOX = re.compile(r"\s*BOX\(((?:[^,()]+,){3}[^,()]+)\)\s*", re.ASCII | re.IGNORECASE)
_PREFIXED = re.compile(r"\s*0(?:[xX][0-9a-fA-F_]+|[bB][01_]+)\s*")


SHOWN = 200  # characters of a text in an error


def failed(text: str, target: Type) -> ConversionError:
    """The error of a text that does not hold a value of the type."""
    shown = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    return ConversionError(f"could not convert string '{shown}' to {target}")


def out_of_range(value: Any, source: Type, target: Type) -> ConversionError:
    """The error of a value that its new type cannot hold."""
    if source.kind in (Kind.LIST, Kind.STRUCT):
        written = to_text(value, source)
        shown = written if len(written) <= SHOWN else written[:SHOWN] + "…"
        return ConversionError(f"could not convert {shown} of type {source} to {target}")
    return ConversionError(f"value {value} of type {source} is out of range for type {target}")


def no_tensor(value: Any, source: Type, target: Type) -> ConversionError:
    """The error of a list or tensor whose shape or numbers are not the target's."""
    written = to_text(value, source)
    shown = written if len(written) <= 80 else written[:80] + "…"
    shape = " × ".join(map(str, target.shape))
    return ConversionError(
        f"{shown} does not fit {target}, which takes {shape} {target.element} numbers, none NULL"
    )


def convert(value: Any, source: Type, target: Type) -> Any:
    """A Literal's `value` of `source` as a value of `target`; raises ConversionError."""
    if value is None or source == target:
        return value
    if target.kind is Kind.VARCHAR:
        return to_text(value, source)
    if source.is_text:
        return from_text(value, target)
    if target.kind is Kind.BOOLEAN:
        return bool(value)
    if target.is_integer:
        return _to_integer(value, source, target)
    if target.kind is Kind.DECIMAL:
        return _to_decimal(value, source, target)
    if target.is_float:
        number = to_float(float(value), target)
        if math.isinf(number) and not math.isinf(float(value)):
            raise out_of_range(value, source, target)
        return number
    return _to_other(value, source, target)


def _to_integer(value: Any, source: Type, target: Type) -> int:
    if isinstance(value, float) and not math.isfinite(value):
        raise out_of_range(value, source, target)
    if isinstance(value, Decimal):
        number = int(value.to_integral_value(ROUND_HALF_UP, EXACT))
    else:
        number = round(value)  # floats round half to even
    low, high = INTEGER_RANGES[target.kind]
    if not low <= number <= high:
        raise out_of_range(value, source, target)
    return number


def _to_decimal(value: Any, source: Type, target: Type) -> Decimal:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise out_of_range(value, source, target)
        scaled = value * 10.0**target.scale
        whole = math.floor(abs(scaled) + 0.5) if abs(scaled) < 2**52 else int(abs(scaled))
        number = EXACT.scaleb(Decimal(int(math.copysign(1, value)) * whole), -target.scale)
    else:
        number = Decimal(int(value)) if isinstance(value, bool) else Decimal(value)
    rounded = fit_decimal(number, target)
    if rounded is None:
        raise out_of_range(value, source, target)
    return rounded


def fit_decimal(number: Decimal, target: Type) -> Decimal | None:
    """The number rounded (half away from zero) to the type's scale, None if that is too long."""
    rounded = number.quantize(Decimal(1).scaleb(-target.scale), ROUND_HALF_UP, EXACT)
    limit = Decimal(1).scaleb(target.precision - target.scale)
    if not rounded:
        return rounded.copy_abs()  # a DECIMAL knows one zero
    return rounded if rounded.copy_abs() < limit else None


def negated(number: Any) -> Any:
    """Minus a number; Python's own minus rounds a Decimal to 28 digits."""
    return EXACT.minus(number) if isinstance(number, Decimal) else -number


def to_float(value: float, target: Type) -> float:
    """The nearest value of REAL or DOUBLE."""
    if target.kind is Kind.DOUBLE:
        return value
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _to_other(value: Any, source: Type, target: Type) -> Any:
    match source.kind, target.kind:
        case Kind.DATE, Kind.TIMESTAMP:
            return datetime.datetime(value.year, value.month, value.day)
        case Kind.TIMESTAMP, Kind.DATE:
            return value.date()
        case Kind.TIMESTAMP, Kind.TIME:
            return value.time()
        case Kind.TIME, Kind.INTERVAL:
            return (0, 0, clock_microseconds(value))
        case Kind.LIST, Kind.LIST if source.child is not None and target.child is not None:
            return tuple(convert(item, source.child, target.child) for item in value)
        case Kind.STRUCT, Kind.STRUCT:
            pairs = zip(value, source.fields, target.fields, strict=True)
            return tuple(convert(item, old, new) for item, (_, old), (_, new) in pairs)
    raise ConversionError(f"cannot cast {source} to {target}")


def clock_microseconds(value: datetime.time) -> int:
    """Microseconds since midnight."""
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds * 1_000_000 + value.microsecond


def to_text(value: Any, source: Type) -> str:
    """The value as CAST to VARCHAR writes it."""
    match source.kind:
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.DECIMAL:
            return format_decimal(value, source)
        case Kind.REAL:
            return _real_text(value)
        case Kind.DOUBLE:
            return repr(float(value))
        case Kind.TIMESTAMP:
            return f"{value.date().isoformat()} {_clock_text(value.time())}"
        case Kind.TIME:
            return _clock_text(value)
        case Kind.INTERVAL:
            return format_time_span(*value)
        case Kind.BLOB:
            return "".join(
                chr(byte) if 32 <= byte < 127 and byte not in b"\\'\"" else f"\\x{byte:02X}"
                for byte in value
            )
        case Kind.LIST if source.child is not None:
            return "[" + ", ".join(_item_text(item, source.child) for item in value) + "]"
        case Kind.STRUCT:
            pairs = zip(source.fields, value, strict=True)
            return "{" + ", ".join(f"{_quoted(n)}: {_item_text(v, t)}" for (n, t), v in pairs) + "}"
        case Kind.TENSOR:
            return _tensor_text(value, source.element)
        case Kind.BOX:
            return "BOX(" + ", ".join(repr(float(edge)) for edge in value) + ")"
    return str(value)


def _tensor_text(value: Any, element: str) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_tensor_text(part, element) for part in value) + "]"
    if isinstance(value, float):
        return repr(value) if element == "float64" else _real_text(value)
    return str(int(value))


def _real_text(value: float) -> str:
    """The shortest digits that read back as the same REAL, written as a DOUBLE's are."""
    if not math.isfinite(value):
        return repr(value)
    digits = np.format_float_scientific(np.float32(value), unique=True, trim="-")
    return repr(float(digits))


def _item_text(value: Any, kind: Type) -> str:
    text = "NULL" if value is None else to_text(value, kind)
    nested = kind.kind in (Kind.LIST, Kind.STRUCT, Kind.TENSOR)
    return text if value is None or nested or not _is_quoted(text) else _quoted(text)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _is_quoted(text: str) -> bool:
    """Whether a text inside a list would read as something else without quotes."""
    special = text != text.strip(" \t\n\v\f\r") or text.upper() == "NULL"
    return not text or special or any(letter in "\"'(),:=[\\]{}" for letter in text)


def _clock_text(value: datetime.time) -> str:
    text = f"{value.hour:02d}:{value.minute:02d}:{value.second:02d}"
    return text + f".{value.microsecond:06d}".rstrip("0") if value.microsecond else text


def format_decimal(value: Decimal, source: Type) -> str:
    """All digits of the scale; no zero before the point where the type has no digit there."""
    text = f"{value:.{source.scale}f}"
    if source.precision == source.scale:
        text = text.replace("0.", ".", 1)
    return text


def from_text(text: str, target: Type) -> Any:
    """The value a text holds; raises ConversionError."""
    try:
        value = _parse(text, target)
    except (ValueError, ArithmeticError, ConversionError):  # the last of an item inside
        value = None
    if value is None:
        raise failed(text, target)
    return value


def _parse(text: str, target: Type) -> Any:
    match target.kind:
        case Kind.BOOLEAN:
            word = text.lower()
            return word in TRUE_WORDS if word in TRUE_WORDS | FALSE_WORDS else None
        case kind if kind in INTEGER_RANGES:
            low, high = INTEGER_RANGES[kind]
            if _PREFIXED.fullmatch(text):
                number = int(text.strip(), 0)
            else:
                number = int(_number(text).to_integral_value(ROUND_HALF_UP, EXACT))
            return number if low <= number <= high else None
        case Kind.DECIMAL:
            return fit_decimal(_number(text), target)
        case Kind.REAL | Kind.DOUBLE:
            return to_float(float(text), target) if text.isascii() else None
        case Kind.DATE | Kind.TIMESTAMP:
            return _parse_timestamp(text, target)
        case Kind.TIME:
            parts = _TIME.fullmatch(text)
            return _parse_timestamp(text, TIMESTAMP).time() if parts is None else _clock(parts)
        case Kind.INTERVAL:
            return parse_time_span(text)
        case Kind.BLOB:
            return _parse_blob(text)
        case Kind.UUID:
            return str(uuid.UUID(text.strip()))
        case Kind.ENUM:
            return text if text in target.members else None
        case Kind.BOX:
            parts = _BOX.fullmatch(text)
            return None if parts is None else tuple(map(float, parts[1].split(",")))
        case Kind.LIST if target.child is not None:
            return tuple(_from_item(item, target.child) for item in list_items(text))
        case Kind.STRUCT:
            items = struct_items(text, [name for name, _ in target.fields])
            pairs = zip(items, target.fields, strict=True)
            return tuple(_from_item(item, kind) for item, (_, kind) in pairs)
    return None


def _from_item(item: str | None, kind: Type) -> Any:
    if item is None or is_null(item):
        return None
    text = bare_text(item)
    return text if kind.kind is Kind.VARCHAR else from_text(text, kind)


LONGEST_NUMBER = 4000  # characters; longer ones take Python's integers too long


def _number(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number of too many characters")
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    number = EXACT.create_decimal(text.strip().replace("_", ""))
    if number.adjusted() > MAX_DIGITS:  # no number type goes there, and its digits take long
        raise ValueError(text)
    return number


def _clock(match: re.Match[str]) -> datetime.time:
    hour, minute, second, fraction = match.groups()[-4:]
    digits = (fraction or "").ljust(7, "0")
    micros = int(digits[:6])
    return datetime.time(int(hour or 0), int(minute or 0), int(second or 0), micros)


def _parse_timestamp(text: str, target: Type) -> Any:
    if text == "epoch":
        text = "1970-01-01"
    midnight = _MIDNIGHT.fullmatch(text)  # 24:00:00 is the next day's
    match = _TIMESTAMP.fullmatch(midnight[1] if midnight else text)
    if match is None:
        raise ValueError(text)
    year, _, month, day = match.groups()[:4]
    moment = datetime.datetime.combine(
        datetime.date(int(year), int(month), int(day)), _clock(match)
    )
    if target.kind is Kind.DATE:
        return moment.date()
    return moment + datetime.timedelta(days=1) if midnight else moment


def _parse_blob(text: str) -> bytes | None:
    parts = re.split(r"\\x([0-9a-fA-F]{2})", text)
    if any("\\" in plain or not plain.isascii() for plain in parts[::2]):
        return None
    return b"".join(
        bytes.fromhex(part) if place % 2 else part.encode() for place, part in enumerate(parts)
    )
