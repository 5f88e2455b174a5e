"""Columns from Arrow arrays and back. CPU only: that is where Arrow keeps values.

Inwards everything passes through the physical form (`storage/columns/physical.py`), which tensors
then wrap without copying.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.errors import InternalError, OutOfRangeError
from tensorsql.storage.columns.arrays import bitmap, valid_flags
from tensorsql.storage.columns.arrow_types import BOX_FIELDS, arrow_type, type_of_arrow
from tensorsql.storage.columns.changes import fetch, to_device, widen
from tensorsql.storage.columns.column import (
    CPU,
    Bytes,
    Column,
    Constant,
    Dictionary,
    Flat,
    List,
    RowRef,
    StringDictionary,
    Struct,
    TimeSpan,
    Wide,
)
from tensorsql.storage.columns.masks import pack
from tensorsql.storage.columns.physical import physical
from tensorsql.storage.columns.types import VARCHAR, Kind, Type

MICROSECOND = 1000  # nanoseconds


def from_arrow(
    array: pa.Array | pa.ChunkedArray, type: Type | None = None, stored: bool = False
) -> Column:
    """The array as a column of `type` (default: what its Arrow type maps to), shared if it can be.

    `stored` also narrows integers and encodes repeated text, as tables keep them.
    """
    kind = type_of_arrow(array.type) if type is None else type
    return column_of(physical(array, kind, stored), kind)


def column_of(array: pa.Array, type: Type) -> Column:
    """A column over an array in physical form, without copying its values."""
    validity = validity_of_arrow(array)
    match type.kind:
        case Kind.BOOLEAN | Kind.NULL:
            return Flat(type, tensor_of(array).view(torch.bool), validity)
        case Kind.INTERVAL:
            halves = _words(array, pa.int32(), 4)
            microseconds = _words(array, pa.int64(), 2)[:, 1] // MICROSECOND
            return TimeSpan(type, halves[:, 0], halves[:, 1], microseconds, validity)
        case Kind.HUGEINT | Kind.DECIMAL if type.is_wide:
            words = _words(array, pa.int64(), 2)
            return Wide(type, words[:, 1], words[:, 0], validity)
        case Kind.VARCHAR | Kind.UUID | Kind.ENUM if isinstance(array, pa.DictionaryArray):
            return Dictionary(type, tensor_of(array.indices), _dictionary(array, type), validity)
        case Kind.VARCHAR | Kind.UUID | Kind.ENUM | Kind.BLOB:
            data = array.buffers()[2]
            return Bytes(type, _offsets(array), _buffer_tensor(pa.uint8(), data), validity)
        case Kind.BOX | Kind.TENSOR:
            return Flat(type, _rows(array, type), validity)
        case Kind.LIST if type.child is not None:
            return List(type, _offsets(array), column_of(array.values, type.child), validity)
        case Kind.STRUCT:
            parts = [array.field(i) for i in range(array.type.num_fields)]
            columns = (column_of(p, t) for p, (_, t) in zip(parts, type.fields, strict=True))
            return Struct(type, tuple(columns), len(array), validity)
        case _:
            return Flat(type, tensor_of(array), validity)


def validity_of_arrow(array: pa.Array) -> Tensor | None:
    """Where the array is not NULL, or None if nowhere."""
    flags = valid_flags(array)
    return None if flags is None else torch.from_numpy(flags)


def tensor_of(array: pa.Array) -> Tensor:
    """The values of a number array, whatever lies under NULL included, without copying."""
    return _buffer_tensor(array.type, array.buffers()[1], len(array), array.offset)


def _buffer_tensor(
    type: pa.DataType, buffer: pa.Buffer | None, length: int | None = None, offset: int = 0
) -> Tensor:
    # DLPack rather than torch.frombuffer: the latter warns of every read-only mapping
    width = type.bit_width // 8
    if buffer is None or buffer.size < width:
        buffer, length = pa.py_buffer(bytes(8)), 0
    count = buffer.size // width if length is None else length
    plain = pa.Array.from_buffers(type, count, [None, buffer], offset=offset)
    return torch.utils.dlpack.from_dlpack(plain)


def _words(array: pa.Array, word: pa.DataType, each: int) -> Tensor:
    buffer = array.buffers()[1]
    return _buffer_tensor(word, buffer, len(array) * each, array.offset * each).reshape(-1, each)


def _offsets(array: pa.Array) -> Tensor:
    if len(array) == 0:
        return torch.zeros(1, dtype=torch.int64)
    return _buffer_tensor(pa.int64(), array.buffers()[1], len(array) + 1, array.offset)


def _rows(array: pa.Array, type: Type) -> Tensor:
    size = array.type.list_size
    shape = (4,) if type.kind is Kind.BOX else type.shape or (size,)
    values = tensor_of(array.values.slice(array.offset * size, len(array) * size))
    rows = values.reshape(len(array), *shape)
    return rows.view(torch.bool) if type.element == "bool" else rows


def _dictionary(array: pa.DictionaryArray, type: Type) -> StringDictionary:
    entries = array.dictionary
    ordered = type.kind is not Kind.ENUM or list(type.members) == sorted(
        type.members, key=lambda member: member.encode()
    )
    return StringDictionary(entries, sorted=ordered)


def to_arrow(column: Column) -> pa.Array:
    """The column as an array of `arrow_type(column.type)`; a RowRef is fetched."""
    match column:
        case Constant():
            zeros = pa.array(np.zeros(len(column), np.int64))
            return _take(to_arrow(column.one), zeros)
        case RowRef() if column.source is None:  # no row, or none that is not NULL
            return pa.nulls(len(column), arrow_type(column.type))
        case RowRef() if column.type.kind is Kind.MASK:
            return _masks(column)
        case RowRef():
            return to_arrow(fetch(column))
        case Flat():
            return _flat(cast("Flat", widen(column)))
        case Wide():
            words = torch.stack([column.lo, column.hi], dim=1)
            return _fixed(column, arrow_type(column.type), words)
        case TimeSpan():
            return _interval(column)
        case Dictionary():
            return _codes(column)
        case Bytes():
            return _bytes(column)
        case List():
            child = to_arrow(column.child)
            buffers = [_bitmap(column), _buffer(column.offsets)]
            target = pa.large_list(child.type)
            return pa.Array.from_buffers(target, len(column), buffers, children=[child])
        case Struct():
            return _struct(column.type, [to_arrow(child) for child in column.children], column)
    raise InternalError(f"no layout {type(column).__name__}")


def _flat(column: Flat) -> pa.Array:
    target = arrow_type(column.type)
    values = column.values
    match column.type.kind:
        case Kind.NULL:
            return pa.nulls(len(column))
        case Kind.BOOLEAN:
            packed = np.packbits(values.cpu().numpy(), bitorder="little")
            buffers = [_bitmap(column), pa.py_buffer(packed)]
            return pa.Array.from_buffers(target, len(column), buffers)
        case Kind.DECIMAL:
            return _fixed(column, target, torch.stack([values, values >> 63], dim=1))
        case Kind.BOX:
            parts = [pa.array(values[:, i].contiguous().cpu().numpy()) for i in range(4)]
            return _struct(column.type, parts, column)
        case Kind.TENSOR:
            return _tensor(column)
        case _:
            return _fixed(column, target, values)


def _fixed(column: Column, target: pa.DataType, values: Tensor) -> pa.Array:
    return pa.Array.from_buffers(target, len(column), [_bitmap(column), _buffer(values)])


def _interval(column: TimeSpan) -> pa.Array:
    limit = (2**63 - 1) // MICROSECOND
    if len(column) and int(column.microseconds.abs().max()) > limit:
        raise OutOfRangeError(
            "an INTERVAL of more than 292 years in microseconds cannot leave in Arrow"
        )
    column = cast("TimeSpan", to_device(column, CPU))
    words = torch.empty((len(column), 2), dtype=torch.int64)
    halves = words.view(torch.int32)
    halves[:, 0], halves[:, 1] = column.months, column.days
    words[:, 1] = column.microseconds * MICROSECOND
    return _fixed(column, arrow_type(column.type), words)


def _codes(column: Dictionary) -> pa.Array:
    codes = pa.Array.from_buffers(
        pa.int32(), len(column), [_bitmap(column), _buffer(column.codes.to(torch.int32))]
    )
    if column.type.kind is Kind.ENUM:
        return pa.DictionaryArray.from_arrays(codes, column.dictionary.entries)
    return column.dictionary.entries.take(codes)


def _bytes(column: Bytes) -> pa.Array:
    if column.type.kind is Kind.ENUM:
        return _members(column)
    buffers = [_bitmap(column), _buffer(column.offsets), _buffer(column.data)]
    return pa.Array.from_buffers(arrow_type(column.type), len(column), buffers)


def _members(column: Bytes) -> pa.Array:
    """The texts of an ENUM as a dictionary of its members."""
    texts = _bytes(replace(column, type=VARCHAR))
    members = pa.array(column.type.members, pa.large_string())
    return pa.DictionaryArray.from_arrays(pc.index_in(texts, members, skip_nulls=True), members)


def _struct(type: Type, parts: Sequence[pa.Array], column: Column) -> pa.Array:
    names = BOX_FIELDS if type.kind is Kind.BOX else tuple(name for name, _ in type.fields)
    fields = [pa.field(name, part.type) for name, part in zip(names, parts, strict=True)]
    buffers = [_bitmap(column)]
    return pa.Array.from_buffers(pa.struct(fields), len(column), buffers, children=list(parts))


def _tensor(column: Flat) -> pa.Array:
    values = column.values.contiguous().cpu()
    raw = values.view(torch.uint8) if values.dtype == torch.bool else values
    numbers = pa.array(raw.reshape(-1).numpy())
    shape = list(values.shape[1:])
    width = int(np.prod(shape))
    storage = pa.Array.from_buffers(
        pa.list_(numbers.type, width), len(column), [_bitmap(column)], children=[numbers]
    )
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(numbers.type, shape), storage)


def _masks(column: RowRef) -> pa.Array:
    block = pack(column.source, column.rows.cpu().numpy())
    pixels = block.pixels.view(np.uint8) if block.pixels.dtype == np.bool_ else block.pixels
    line_lengths = np.repeat(block.widths, block.heights)
    lines = pa.LargeListArray.from_arrays(_ends(line_lengths), pa.array(pixels))
    outer = _ends(block.heights)
    buffers = [_bitmap(column), pa.py_buffer(outer)]
    return pa.Array.from_buffers(pa.large_list(lines.type), len(column), buffers, children=[lines])


def _ends(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _take(array: pa.Array, rows: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(array.type, array.storage.take(rows))
    return pc.take(array, rows)


def _bitmap(column: Column) -> pa.Buffer | None:
    validity = column.validity
    return None if validity is None else bitmap(validity.cpu().numpy())


def _buffer(values: Tensor) -> pa.Buffer:
    return pa.py_buffer(values.detach().contiguous().cpu().numpy())
