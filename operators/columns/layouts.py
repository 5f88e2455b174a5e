"""Helpers over column layouts that kernels share: operands, validity, text as Arrow arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import InternalError
from tensorsql.operators.columns.building import null_column, text_column
from tensorsql.storage.columns.arrow import validity_of_arrow
from tensorsql.storage.columns.changes import with_nulls
from tensorsql.storage.columns.column import (
    VALUE_DTYPE,
    Bytes,
    Column,
    Constant,
    Dictionary,
    Flat,
)
from tensorsql.storage.columns.ragged import binary_array
from tensorsql.storage.columns.types import Kind, Type


def operand(column: Column) -> Any:
    """The values tensor of a Flat column, or a Constant's Python number."""
    if isinstance(column, Constant):
        assert isinstance(column.one, Flat)
        return column.one.values[0].item()
    if isinstance(column, Flat):
        return column.values
    raise InternalError(f"a {type(column).__name__} column where numbers are expected")


def values_of(column: Column) -> Tensor:
    """The values tensor of a Flat column or of a Constant spread out (without copying)."""
    if isinstance(column, Constant):
        assert isinstance(column.one, Flat)
        return column.one.values.expand(column.length, *column.one.values.shape[1:])
    assert isinstance(column, Flat)
    return column.values


def true_rows(column: Column) -> Tensor:
    """bool per row of a BOOLEAN column: TRUE, not FALSE and not NULL."""
    values = values_of(column)
    return values if column.validity is None else values & column.validity


def is_null_constant(column: Column) -> bool:
    """Whether the column is one NULL, repeated."""
    if not isinstance(column, Constant) or column.one.validity is None:
        return False
    return not bool(column.one.validity[0])


def null_constant(kind: Type, count: int) -> Constant:
    """`count` NULLs of a type, as one repeated row."""
    return Constant(null_column(kind, 1), count)


def with_validity(column: Column, validity: Tensor | None) -> Column:
    """The column valid only where `validity` is too; values under NULL become zeros."""
    return column if validity is None else with_nulls(column, validity.logical_not())


def retype(column: Column, kind: Type) -> Column:
    """The same stored values under another type of the same layout."""
    if column.type == kind:
        return column
    if isinstance(column, Constant):
        return Constant(retype(column.one, kind), column.length)
    return replace(column, type=kind)


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
