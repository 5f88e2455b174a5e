"""Column values as Python objects, for DB-API rows and for display."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from tensorsql.errors import ConversionError
from tensorsql.storage.columns.physical import one_array
from tensorsql.storage.columns.types import Kind, Type

DAYS_PER_MONTH = 30  # what DuckDB's Python client counts


def python_values(array: pa.Array | pa.ChunkedArray, type: Type) -> list[Any]:
    """The values as Python objects, NULL as None.

    BOX is a tuple of four floats, MASK and TENSOR are numpy arrays (a mask's stored pixels), UUID
    is `uuid.UUID`, INTERVAL a timedelta whose months count 30 days. ConversionError for a date or
    time that Python's types cannot hold.
    """
    whole = one_array(array)
    convert = CONVERSIONS.get(type.kind)
    try:
        return whole.to_pylist() if convert is None else convert(whole, type)
    except (OverflowError, ValueError) as error:
        raise ConversionError(
            f"a {type} does not fit Python's type ({error}); fetch_arrow_table has it"
        ) from None


def _each(convert: Callable[[Any], Any]) -> Callable[[pa.Array, Type], list[Any]]:
    def values(array: pa.Array, _: Type) -> list[Any]:
        return [None if value is None else convert(value) for value in array.to_pylist()]

    return values


def _timedelta(value: Any) -> datetime.timedelta:
    days = value.months * DAYS_PER_MONTH + value.days
    return datetime.timedelta(days=days, microseconds=value.nanoseconds // 1000)


def _list(array: pa.Array, type: Type) -> list[Any]:
    assert type.child is not None
    flat = python_values(array.flatten(), type.child)
    values, start = [], 0
    for length in array.value_lengths().to_pylist():
        stop = start + (length or 0)
        values.append(None if length is None else flat[start:stop])
        start = stop
    return values


def _struct(array: pa.Array, type: Type) -> list[Any]:
    names = [name for name, _ in type.fields]
    parts = [python_values(array.field(i), kind) for i, (_, kind) in enumerate(type.fields)]
    valid = array.is_valid().to_pylist()
    rows = zip(*parts, strict=True) if parts else ((),) * len(array)
    return [
        dict(zip(names, row, strict=True)) if there else None
        for row, there in zip(rows, valid, strict=True)
    ]


def _mask(array: pa.Array, type: Type) -> list[Any]:
    return [_pixels(lines.values, type) if lines.is_valid else None for lines in array]


def _pixels(lines: pa.Array, type: Type) -> Any:
    stored = _numbers(lines.flatten(), type)
    return stored.reshape(len(lines), -1 if len(stored) else 0)


def _tensor(array: pa.Array, type: Type) -> list[Any]:
    if not type.shape:
        return [_numbers(row.values, type) if row.is_valid else None for row in array]
    # `values` has the numbers of rows outside a slice too
    storage = array.storage
    numbers = _numbers(storage.values, type).reshape(-1, *type.shape)
    rows = numbers[storage.offset : storage.offset + len(storage)]
    valid = array.is_valid().to_pylist()
    return [row if there else None for row, there in zip(rows, valid, strict=True)]


def _numbers(array: pa.Array, type: Type) -> Any:
    numbers = array.to_numpy(zero_copy_only=False)
    return numbers.view(np.bool_) if type.element == "bool" else numbers


CONVERSIONS: dict[Kind, Callable[[pa.Array, Type], list[Any]]] = {
    Kind.HUGEINT: _each(int),
    Kind.UUID: _each(uuid.UUID),
    Kind.INTERVAL: _each(_timedelta),
    Kind.BOX: _each(lambda corners: tuple(corners.values())),
    Kind.LIST: _list,
    Kind.STRUCT: _struct,
    Kind.MASK: _mask,
    Kind.TENSOR: _tensor,
}
