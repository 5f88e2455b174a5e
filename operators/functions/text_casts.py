"""Casts from and to text. CPU only: Arrow and Python read and write it there.

Arrow parses and prints what it writes as DuckDB does; the texts it refuses (spaces, exponents,
underscores, other separators) are parsed one by one, each distinct text once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.errors import ConversionError
from tensorsql.operators.columns.layouts import retype
from tensorsql.operators.columns.literals import literal_column, to_python
from tensorsql.operators.columns.text import bytes_of_arrow, named, numpy_view, text_array
from tensorsql.operators.functions.calendar import DAY, FIRST_DAY
from tensorsql.planner.functions.conversions import from_text, to_text
from tensorsql.storage.columns.arrow import from_arrow
from tensorsql.storage.columns.arrow_types import arrow_type
from tensorsql.storage.columns.changes import expand, fetch, widen
from tensorsql.storage.columns.column import (
    Bytes,
    Column,
    Constant,
    Dictionary,
    Flat,
    TimeSpan,
    Wide,
    take,
)
from tensorsql.storage.columns.types import VARCHAR, Kind, Type

DECIMAL_DIGITS = 38  # what Arrow counts is right up to here
Converted = tuple[Column, Tensor | None]
# Types whose canonical text Arrow reads exactly as DuckDB does.
_ARROW_READS = frozenset(
    {
        Kind.TINYINT,
        Kind.SMALLINT,
        Kind.INTEGER,
        Kind.BIGINT,
        Kind.DECIMAL,
        Kind.DOUBLE,
        Kind.DATE,
        Kind.TIMESTAMP,
    }
)


def parse_text(column: Column, target: Type) -> Converted:
    """Text as values of `target`, and which rows hold none (None = all do)."""
    if target.kind is Kind.VARCHAR:
        return retype(column, target), None
    array = text_array(column)
    if column.validity is not None:
        array = pc.if_else(
            pa.array(numpy_view(column.validity)), array, pa.scalar(None, array.type)
        )
    if target.kind in _ARROW_READS and not _misread(array, target):
        try:
            parsed = array.cast(arrow_type(target))
            if not _before_calendar(parsed, target):
                return _with_rows_of(from_arrow(parsed, target), column), None
        except pa.ArrowInvalid:
            pass
    return _parse_distinct(array, column, target)


def _misread(array: pa.Array, target: Type) -> bool:
    """Whether Arrow may read some of the texts as another number."""
    if target.kind is Kind.DECIMAL:
        longest = pc.max(pc.binary_length(array)).as_py()
        return longest is not None and longest > DECIMAL_DIGITS
    return target.is_integer and _has_letter_x(array)


def _before_calendar(parsed: pa.Array, target: Type) -> bool:
    """Whether some of the dates are of the year 0, which Arrow reads."""
    if target.kind not in (Kind.DATE, Kind.TIMESTAMP):
        return False
    least = pc.min(parsed.cast(pa.int32() if target.kind is Kind.DATE else pa.int64())).as_py()
    day = 1 if target.kind is Kind.DATE else DAY
    return least is not None and least < FIRST_DAY * day


def _has_letter_x(array: pa.Array) -> bool:
    """Arrow reads 0xFF as the bits of a TINYINT."""
    data = array.buffers()[2]
    if data is None:
        return False
    letters = np.frombuffer(data, dtype=np.uint8) | 0x20
    return bool((letters == ord("x")).any())


def _parse_distinct(array: pa.Array, column: Column, target: Type) -> Converted:
    encoded = array.dictionary_encode()
    values, failed = [], []
    for text in encoded.dictionary.to_pylist():
        try:
            values.append(from_text(text, target))
            failed.append(False)
        except ConversionError:
            values.append(None)
            failed.append(True)
    codes = torch.from_numpy(encoded.indices.fill_null(len(values)).to_numpy().astype(np.int64))
    parsed = take(literal_column([*values, None], target), codes)
    bad = torch.tensor([*failed, False]).index_select(0, codes) if any(failed) else None
    if bad is None and column.validity is None and not isinstance(parsed, Constant):
        parsed = replace(parsed, validity=None)
    return parsed, bad


def _with_rows_of(parsed: Column, column: Column) -> Column:
    return expand(parsed) if len(parsed) == len(column) else parsed


def write_text(column: Column) -> Column:
    """The column as VARCHAR."""
    if isinstance(column, Bytes | Dictionary) and column.type.kind is not Kind.BLOB:
        return retype(column, VARCHAR)
    column = widen(fetch(column))
    if isinstance(column, Flat):
        array = _flat_text(column)
        if array is not None:
            return bytes_of_arrow(array, VARCHAR, column.validity)
    if isinstance(column, Flat | Wide | TimeSpan | Bytes):
        return _distinct_text(column)
    # Lists and structs: printing them is no hot path.
    texts = [None if row is None else to_text(row, column.type) for row in to_python(column)]
    return literal_column(texts, VARCHAR)


def _flat_text(column: Flat) -> pa.Array | None:
    kind, values = column.type.kind, column.values
    if kind is Kind.DECIMAL:
        return _decimal_text(values, column.type)
    if column.type.is_integer:
        return pa.array(numpy_view(values)).cast(pa.large_string())
    if kind is Kind.BOOLEAN:
        return pc.if_else(pa.array(numpy_view(values)), "true", "false").cast(pa.large_string())
    if kind is Kind.DATE:
        return pa.array(numpy_view(values)).cast(pa.date32()).cast(pa.large_string())
    if kind is Kind.TIMESTAMP:
        stamps = pa.array(numpy_view(values)).cast(pa.timestamp("us")).cast(pa.large_string())
        return pc.replace_substring_regex(stamps, r"\.?0+$", "")
    if kind is Kind.TIME:
        times = pa.array(numpy_view(values)).cast(pa.time64("us")).cast(pa.large_string())
        return pc.replace_substring_regex(times, r"\.0+$|(\.\d*[1-9])0+$", r"\1")
    return None


def _decimal_text(values: Tensor, type: Type) -> pa.Array:
    if not type.scale:
        return pa.array(numpy_view(values)).cast(pa.large_string())
    unit = 10**type.scale
    magnitude = values.abs()
    whole = pa.array(numpy_view(torch.div(magnitude, unit, rounding_mode="trunc")))
    rest = pa.array(numpy_view(torch.remainder(magnitude, unit))).cast(pa.large_string())
    digits = pc.utf8_lpad(rest, type.scale, "0")
    sign = pc.if_else(pa.array(numpy_view(values < 0)), "-", "").cast(pa.large_string())
    head: Any = whole.cast(pa.large_string())
    if type.precision == type.scale:  # no digit of the type stands before the point
        head = pa.scalar("", pa.large_string())
    point = pa.scalar(".", pa.large_string())
    head = pc.binary_join_element_wise(sign, head, pa.scalar("", pa.large_string()))
    return pc.binary_join_element_wise(head, digits, point)


def _distinct_text(column: Flat | Wide | TimeSpan | Bytes) -> Column:
    """Each distinct value printed once in Python: floats, 128-bit numbers, intervals, blobs."""
    keys, places = _distinct(column)
    bare = replace(column, validity=None)
    distinct = to_python(take(bare, torch.from_numpy(keys)))
    texts = [to_text(value, column.type) for value in distinct]
    return replace(named(texts, places.reshape(-1)), validity=column.validity)


def _distinct(column: Flat | Wide | TimeSpan | Bytes) -> tuple[Any, Any]:
    """First rows of distinct values, and the place of each row's value among them."""
    if isinstance(column, Bytes):
        encoded = text_array(column).dictionary_encode()
        places = encoded.indices.to_numpy()
        return np.unique(places, return_index=True)[1], places
    if isinstance(column, Flat):
        bits = numpy_view(column.values.reshape(len(column), -1).contiguous())
        width = bits.dtype.itemsize * (bits.shape[1] if bits.ndim > 1 else 1)
        keys = bits.reshape(len(column), -1).view(np.dtype((np.void, width))).reshape(-1)
    elif isinstance(column, Wide):
        keys = np.stack([numpy_view(column.hi), numpy_view(column.lo)], 1).view("V16").reshape(-1)
    else:
        parts = (column.months, column.days, column.microseconds)
        stacked = np.stack([numpy_view(part).astype(np.int64) for part in parts], 1)
        keys = stacked.view("V24").reshape(-1)
    _, first, places = np.unique(keys, return_index=True, return_inverse=True)
    return first, places
