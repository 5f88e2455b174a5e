"""Key parts: a column as integer tensors or text whose equality and order are SQL's.

Floats go by their bit pattern (-0.0 = 0.0, NaN equal and greatest), intervals normalized to
months of 30 days and days of 24 hours, 128-bit integers as two words, structs field by field,
lists and tensor rows as bytes that order like their elements. Text orders by its UTF-8 bytes,
ENUM by its members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import InternalError, UnsupportedError
from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import comparable
from tensorsql.storage.columns.arrow import tensor_of
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import (
    Bytes,
    Column,
    Dictionary,
    Flat,
    List,
    RowRef,
    StringDictionary,
    Struct,
    TimeSpan,
    Wide,
    device_of,
    present_rows,
    slice_column,
)
from tensorsql.storage.columns.ragged import binary_array
from tensorsql.storage.columns.types import BLOB, Kind

DAY_MICROSECONDS = 86_400_000_000
MONTH_DAYS = 30
_SIGN = -(2**63)

Part = Tensor | Dictionary | Bytes


def key_parts(column: Column) -> list[Part]:
    """The parts of a column, most significant first; rows under NULL have some fixed value."""
    match expand(column):
        case Flat(values=values) if values.dim() == 1:
            return [_narrow(values)]
        case Flat(values=values, validity=validity):
            return [_tensor_rows(values, validity)]
        case Wide(hi=hi, lo=lo):
            return [hi, lo ^ _SIGN]
        case TimeSpan() as interval:
            return list(_normalized(interval))
        case Dictionary() | Bytes() as text:
            return [text]
        case Struct(children=children):
            return [part for child in children for part in nullable_parts(child)]
        case List() as elements:
            return [_list_rows(elements)]
        case RowRef(source=None, rows=rows):
            return [rows]
        case RowRef() as reference:
            return key_parts(comparable(reference))
    raise InternalError(f"no layout {type(column).__name__}")


def nullable_parts(column: Column) -> list[Part]:
    """The parts of a column after one that tells NULL (1, so last) from values (0)."""
    return [(~present_rows(column)).to(torch.int64), *key_parts(column)]


def _narrow(values: Tensor) -> Tensor:
    if values.is_floating_point():
        return kernels.float_bits(values)
    return values.view(torch.int8) if values.dtype == torch.bool else values


def _integers(values: Tensor) -> Tensor:
    return kernels.float_bits(values) if values.is_floating_point() else values.to(torch.int64)


def _normalized(column: TimeSpan) -> tuple[Tensor, Tensor, Tensor]:
    micros = column.microseconds
    days = column.days.to(torch.int64) + torch.div(micros, DAY_MICROSECONDS, rounding_mode="floor")
    months = column.months.to(torch.int64) + torch.div(days, MONTH_DAYS, rounding_mode="floor")
    return months, torch.remainder(days, MONTH_DAYS), torch.remainder(micros, DAY_MICROSECONDS)


def _tensor_rows(values: Tensor, validity: Tensor | None) -> Bytes:
    """Rows [n, …] of numbers as bytes."""
    rows = int(values.shape[0])
    width = values.numel() // max(rows, 1)
    data = _big_endian(_integers(values.reshape(-1)) ^ _SIGN)
    return Bytes(BLOB, torch.arange(rows + 1, device=values.device) * (8 * width), data, validity)


def _list_rows(column: List) -> Bytes:
    """Lists as the bytes of their elements' parts, a shorter list before a longer one it begins."""
    start, stop = int(column.offsets[0]), int(column.offsets[-1])
    parts = nullable_parts(slice_column(expand(column.child), start, stop))
    tensors = [part.to(torch.int64) for part in parts if isinstance(part, Tensor)]
    if len(tensors) < len(parts):
        raise UnsupportedError(f"cannot compare, group or sort by {column.type} yet")
    # 1 before each element, so that the end of a list comes before any element.
    ones = column.offsets.new_ones(stop - start)
    data = _big_endian((torch.stack([ones, *tensors], 1) ^ _SIGN).reshape(-1))
    width = 8 * (len(tensors) + 1)
    return Bytes(BLOB, (column.offsets - start) * width, data, column.validity)


def _big_endian(values: Tensor) -> Tensor:
    return values.contiguous().view(torch.uint8).reshape(-1, 8).flip(1).reshape(-1)


@dataclass(frozen=True)
class TextCodes:
    """int64 code per row, and the distinct texts they number (a large_binary array)."""

    codes: Tensor
    values: pa.LargeBinaryArray


def text_codes(part: Dictionary | Bytes, ordered: bool) -> TextCodes:
    """Number the distinct texts of a part; `ordered`: in ascending order."""
    check_cancelled()
    device = device_of(part)
    if isinstance(part, Bytes):
        encoded = binary_array(part.offsets, part.data).dictionary_encode()
        codes, values = _indices(encoded.indices, device), encoded.dictionary
        lookup = None
    else:
        lookup, values = _dictionary_codes(part.dictionary, device)
        codes = part.codes
    if ordered and len(values):
        ranks, values = _ranks(part, values, device)
        lookup = ranks if lookup is None else ranks.index_select(0, lookup)
    if lookup is not None and len(values):
        codes = lookup.index_select(0, codes)
    return TextCodes(codes.to(torch.int64), values)


def _dictionary_codes(
    dictionary: StringDictionary, device: torch.device
) -> tuple[Tensor | None, pa.LargeBinaryArray]:
    values = dictionary.entries.cast(pa.large_binary())
    if dictionary.unique:
        return None, values
    encoded = values.dictionary_encode()
    return _indices(encoded.indices, device), encoded.dictionary


def _ranks(
    part: Dictionary | Bytes, values: pa.LargeBinaryArray, device: torch.device
) -> tuple[Tensor, pa.LargeBinaryArray]:
    """The rank of each distinct value, and the values by rank."""
    if part.type.kind is Kind.ENUM:
        members = pa.array([name.encode() for name in part.type.members], pa.large_binary())
        return _indices(pc.index_in(values, members).fill_null(0), device), members  # "" under NULL
    order = pa.array(text_order(values))

    places = tensor_of(order)
    ranks = torch.empty_like(places)
    ranks[places] = torch.arange(len(places), device=places.device)
    return ranks.to(device), values.take(order)


def _indices(array: pa.Array, device: torch.device) -> Tensor:
    return tensor_of(array).to(device, torch.int64)


PART = 1 << 17  # texts sorted at a time
FAN_OUT = 8  # parts that texts are dealt out to at a time
SAMPLE = 64  # texts looked at for each of them


# Arrow sorts texts by comparing them, which takes long for millions and cannot be cut. So they are
# dealt out first, by a few of them, to parts that follow one another: that compares each text with
# few others, and small parts are sorted in less time.
def text_order(values: pa.LargeBinaryArray) -> NDArray[np.int64]:
    """The places of distinct texts in ascending order."""
    check_cancelled()
    if len(values) <= PART:
        return np.asarray(pc.sort_indices(values), np.int64)
    owners = _owners(values, _separators(values))
    parts = []
    for owner in range(FAN_OUT):
        places = np.flatnonzero(owners == owner)
        parts.append(places[text_order(values.take(pa.array(places)))])
    return np.concatenate(parts)


def _separators(values: pa.LargeBinaryArray) -> list[pa.Scalar]:
    """Texts that part the others into about equal shares."""
    places = np.linspace(0, len(values) - 1, FAN_OUT * SAMPLE).astype(np.int64)
    some = values.take(pa.array(places))
    some = some.take(pc.sort_indices(some))
    return [some[SAMPLE * number] for number in range(1, FAN_OUT)]


def _owners(values: pa.LargeBinaryArray, separators: list[pa.Scalar]) -> NDArray[np.int8]:
    """The part of each text: how many separators are not behind it."""
    owners = np.zeros(len(values), np.int8)
    for separator in separators:
        check_cancelled()
        owners += pc.greater_equal(values, separator).to_numpy(zero_copy_only=False)
    return owners
