"""Columns from Python values and back. CPU only: what Python has is there."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import InternalError
from tensorsql.operators.columns.text import bytes_of_arrow, text_array
from tensorsql.planner.functions.conversions import EXACT, clock_microseconds
from tensorsql.storage.columns.changes import to_device
from tensorsql.storage.columns.column import (
    CPU,
    VALUE_DTYPE,
    Bytes,
    Column,
    Constant,
    Flat,
    List,
    RowRef,
    Struct,
    TimeSpan,
    Wide,
)
from tensorsql.storage.columns.types import NULL, Kind, Type

EPOCH = datetime.date(1970, 1, 1)
WORD = 1 << 64


def constant(value: Any, type: Type, length: int, device: torch.device) -> Constant:
    """`length` repeats of one Python value (None = NULL)."""
    return Constant(to_device(literal_column([value], type), device), length)


def literal_column(values: Sequence[Any], type: Type) -> Column:
    """A column of Python values, each as a `Literal` of the type holds it; None = NULL."""
    missing = [value is None for value in values]
    validity = torch.tensor([not each for each in missing]) if any(missing) else None
    if type.is_text or type.kind is Kind.BLOB:
        return _text_column(values, type, validity)
    if type.kind is Kind.LIST:
        return _list_column(values, type, validity)
    if type.kind is Kind.STRUCT:
        children = tuple(
            literal_column([None if row is None else row[place] for row in values], kind)
            for place, (_, kind) in enumerate(type.fields)
        )
        return Struct(type, children, len(values), validity)
    if type.kind is Kind.TENSOR and not any(value is not None for value in values):
        dtype = getattr(torch, type.element or "float32")
        return Flat(type, torch.zeros(len(values), *type.shape, dtype=dtype), validity)
    if type.kind is Kind.MASK and all(missing):
        return RowRef(type, None, torch.zeros(len(values), dtype=torch.int64), validity)
    if type.kind is Kind.INTERVAL:
        rows = [(0, 0, 0) if value is None else value for value in values]
        months, days, micros = ([row[place] for row in rows] for place in range(3))
        return TimeSpan(
            type,
            torch.tensor(months, dtype=torch.int32),
            torch.tensor(days, dtype=torch.int32),
            torch.tensor(micros, dtype=torch.int64),
            validity,
        )
    zero: Any = (0.0,) * 4 if type.kind is Kind.BOX else 0
    numbers = [zero if value is None else stored_value(value, type) for value in values]
    if type.is_wide:
        return wide_of(numbers, type, validity)
    if type.kind not in VALUE_DTYPE:
        raise InternalError(f"no literals of type {type}")
    return Flat(type, torch.tensor(numbers, dtype=VALUE_DTYPE[type.kind]), validity)


def stored_value(value: Any, type: Type) -> Any:
    """The stored form of a Python value: scaled integers, days, microseconds."""
    match type.kind:
        case Kind.DECIMAL:
            return int(EXACT.scaleb(Decimal(value), type.scale).to_integral_value(context=EXACT))
        case Kind.DATE:
            return (value - EPOCH).days
        case Kind.TIME:
            return clock_microseconds(value)
        case Kind.TIMESTAMP:
            return (value.date() - EPOCH).days * 86_400_000_000 + clock_microseconds(value.time())
    return value


def logical(value: Any, type: Type) -> Any:
    """The Python value of a stored number."""
    match type.kind:
        case Kind.DECIMAL:
            return EXACT.scaleb(Decimal(value), -type.scale)
        case Kind.DATE:
            return EPOCH + datetime.timedelta(days=value)
        case Kind.TIME:
            return (datetime.datetime.min + datetime.timedelta(microseconds=value)).time()
        case Kind.TIMESTAMP:
            start = datetime.datetime(1970, 1, 1)
            return start + datetime.timedelta(microseconds=value)
    return value


def wide_of(
    numbers: Sequence[int], type: Type, validity: Tensor | None, device: torch.device = CPU
) -> Wide:
    """128-bit integers from Python ones."""
    hi = torch.tensor([number >> 64 for number in numbers], dtype=torch.int64, device=device)
    half = WORD >> 1  # a word of more than that stands for a negative number
    low = [(number + half) % WORD - half for number in numbers]
    lo = torch.tensor(low, dtype=torch.int64, device=device)
    return Wide(type, hi, lo, validity)


def _text_column(values: Sequence[Any], type: Type, validity: Tensor | None) -> Bytes:
    arrow = pa.large_binary() if type.kind is Kind.BLOB else pa.large_string()
    empty: str | bytes = b"" if type.kind is Kind.BLOB else ""
    array = pa.array([empty if value is None else value for value in values], arrow)
    return bytes_of_arrow(array, type, validity)


def _list_column(values: Sequence[Any], type: Type, validity: Tensor | None) -> List:
    rows = [() if value is None else tuple(value) for value in values]
    ends = torch.tensor([0, *accumulate(len(row) for row in rows)])
    child = literal_column([item for row in rows for item in row], type.child or NULL)
    return List(type, ends, child, validity)


def to_python(column: Column) -> list[Any]:
    """The Python value of every row (None = NULL); for constants, errors and small results."""
    if isinstance(column, Constant):
        return to_python(column.one) * column.length
    values = _values(column)
    if column.validity is None:
        return values
    pairs = zip(values, column.validity.tolist(), strict=True)
    return [value if valid else None for value, valid in pairs]


def _values(column: Column) -> list[Any]:
    match column:
        case Flat():
            rows = column.values.tolist()
            if column.type.kind is Kind.BOX:
                return [tuple(row) for row in rows]
            return [logical(value, column.type) for value in rows]
        case Wide():
            numbers = wide_numbers(column)
            return [logical(number, column.type) for number in numbers]
        case TimeSpan():
            parts = (column.months, column.days, column.microseconds)
            return list(zip(*(part.tolist() for part in parts), strict=True))
        case List():
            items, offsets = to_python(column.child), column.offsets.tolist()
            return [tuple(items[start:stop]) for start, stop in pairwise(offsets)]
        case Struct():
            return list(zip(*(to_python(child) for child in column.children), strict=True))
    values: list[Any] = text_array(column).to_pylist()
    return values


def wide_numbers(column: Wide) -> list[int]:
    """The 128-bit integers as Python ones."""
    pairs = zip(column.hi.tolist(), column.lo.tolist(), strict=True)
    return [hi * WORD + lo % WORD for hi, lo in pairs]
