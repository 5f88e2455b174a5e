"""Text and bytes as Arrow arrays and back. CPU only: Arrow calculates there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import InternalError
from tensorsql.storage.columns.arrow import column_of, validity_of_arrow
from tensorsql.storage.columns.changes import to_device
from tensorsql.storage.columns.column import VALUE_DTYPE, Bytes, Column, Constant, Dictionary, Flat
from tensorsql.storage.columns.ragged import binary_array
from tensorsql.storage.columns.types import BLOB, VARCHAR, Kind, Type


def numpy_view(values: Tensor) -> np.ndarray[Any, Any]:
    """The tensor as a numpy array, without copying where it lies on the CPU."""
    array: np.ndarray[Any, Any] = values.cpu().numpy()
    return array


def arrow_type_of(kind: Type) -> pa.DataType:
    """large_string for text, large_binary for BLOB."""
    return pa.large_binary() if kind.kind is Kind.BLOB else pa.large_string()


def text_array(column: Column) -> pa.Array:
    """Text or bytes as an Arrow array without NULLs, zero-copy for Bytes; any text under NULL."""
    match column:
        case Bytes():
            return binary_array(column.offsets, column.data, arrow_type_of(column.type))
        case Dictionary():
            codes = pa.array(numpy_view(column.codes))
            if len(column.dictionary) == 0:
                return pa.array([""] * len(column), pa.large_string())
            return column.dictionary.entries.take(codes)
        case Constant():
            value = text_array(column.one)[0]
            return pa.repeat(value, column.length)
    raise InternalError(f"a {type(column).__name__} column where text is expected")


def text_scalar(column: Constant) -> Any:
    """The str (or bytes) a Constant repeats."""
    return text_array(column.one)[0].as_py()


def bytes_of_arrow(array: pa.Array, kind: Type, validity: Tensor | None = None) -> Bytes:
    """A Bytes column over an Arrow text or binary array; NULLs in it become NULL."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    wanted = arrow_type_of(kind)
    if array.type != wanted:
        array = array.cast(wanted)
    own = validity_of_arrow(array)
    if own is not None:
        validity = own if validity is None else validity & own
    return replace(text_column(kind, array), validity=validity)


def flat_of_arrow(array: pa.Array, kind: Type) -> Flat:
    """A Flat column of an Arrow array of numbers or booleans; NULLs in it become NULL."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    validity = validity_of_arrow(array)
    if validity is not None:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    values = torch.from_numpy(np.array(array.to_numpy(zero_copy_only=False)))
    return Flat(kind, values.to(VALUE_DTYPE[kind.kind]), validity)


def text_column(type: Type, entries: pa.LargeStringArray) -> Bytes:
    """An Arrow large_string or large_binary array without NULLs as Bytes, sharing its memory."""
    column = column_of(entries, BLOB)
    assert isinstance(column, Bytes)
    return Bytes(type, column.offsets, column.data)


def entries_of(column: Dictionary) -> Bytes:
    """The texts of its dictionary, where its codes lie."""
    entries = to_device(text_column(column.type, column.dictionary.entries), column.codes.device)
    assert isinstance(entries, Bytes)
    return entries


def named(names: Sequence[str] | pa.Array, places: Any) -> Bytes:
    """VARCHAR: for each place (a tensor or array of integers), the text there."""
    indices = numpy_view(places) if isinstance(places, Tensor) else places
    return bytes_of_arrow(pa.array(names, pa.large_string()).take(pa.array(indices)), VARCHAR)
