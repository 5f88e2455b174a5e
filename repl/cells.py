"""Values as the text of a table's cell."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from tensorsql.planner.functions.time_span_text import format_time_span
from tensorsql.result import python_values
from tensorsql.storage.columns.types import Kind, Type

LIST_ITEMS = 8  # a longer list shows its first items and its length


def cells(array: pa.ChunkedArray, type: Type) -> list[str]:
    """One text per value; a mask or tensor shows its shape alone."""
    if type.kind is Kind.INTERVAL:
        return [_interval(value) for value in array.to_pylist()]
    return [cell(value, type) for value in python_values(array, type)]


def _interval(value: Any) -> str:
    if value is None:
        return "NULL"
    return format_time_span(value.months, value.days, value.nanoseconds // 1000)


def cell(value: Any, type: Type) -> str:
    """The text of one value of this type."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case float():
            return number(value, type)
        case Decimal():
            return format(value, "f")
        case bytes():
            return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02X}" for b in value)
        case np.ndarray():
            return f"{str(type.kind).lower()} {'×'.join(map(str, value.shape))}"
        case datetime.datetime():
            return value.isoformat(" ")
        case tuple():
            return "(" + ", ".join(number(corner, type) for corner in value) + ")"
        case list():
            return _list(value, type)
        case dict():
            inner = dict(type.fields)
            return "{" + ", ".join(f"'{k}': {cell(v, inner[k])}" for k, v in value.items()) + "}"
    return str(value)


def number(value: float, type: Type) -> str:
    """The shortest digits that read back as the same FLOAT or DOUBLE."""
    if not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    return str(np.float32(value)) if type.kind is Kind.REAL else repr(float(value))


def _list(items: list[Any], type: Type) -> str:
    assert type.child is not None
    shown = [cell(item, type.child) for item in items[:LIST_ITEMS]]
    if len(items) > LIST_ITEMS:
        shown.append(f"… {len(items):,} items")
    return "[" + ", ".join(shown) + "]"
