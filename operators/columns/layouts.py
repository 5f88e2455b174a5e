"""Whole columns, for operators and kernels: operands, validity, NULLs, concatenation, expansion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import InternalError, UnsupportedError
from tensorsql.storage.columns.changes import expand, fetch, with_nulls
from tensorsql.storage.columns.column import (
    VALUE_DTYPE,
    Batch,
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
    bare,
    take,
)
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import Kind, Type


def null_column(type: Type, rows: int, device: torch.device) -> Column:
    """`rows` NULLs of a type (0 rows: the empty column)."""
    zeros = torch.zeros(rows, dtype=torch.int64, device=device)
    validity = zeros.bool()
    if type.is_wide:
        return Wide(type, zeros, zeros, validity)
    match type.kind:
        case Kind.INTERVAL:
            return TimeSpan(type, zeros.int(), zeros.int(), zeros, validity)
        case Kind.VARCHAR | Kind.UUID | Kind.ENUM:
            empty = StringDictionary(pa.array([], pa.large_string()), sorted=True)
            return Dictionary(type, zeros.int(), empty, validity)
        case Kind.BLOB:
            return Bytes(type, zeros.new_zeros(rows + 1), zeros[:0].byte(), validity)
        case Kind.LIST:
            child = null_column(type.child or Type(Kind.NULL), 0, device)
            return List(type, zeros.new_zeros(rows + 1), child, validity)
        case Kind.STRUCT:
            children = tuple(null_column(kind, rows, device) for _, kind in type.fields)
            return Struct(type, children, rows, validity)
        case Kind.MASK | Kind.TENSOR:
            return RowRef(type, None, zeros, validity)
        case Kind.BOX:
            return Flat(type, zeros.new_zeros((rows, 4), dtype=torch.float64), validity)
    return Flat(type, zeros.to(VALUE_DTYPE[type.kind]), validity)


def take_or_null(column: Column, rows: Tensor) -> Column:
    """Gather rows (integers [m]); a negative row gives NULL."""
    missing = rows < 0
    if not bool(missing.any()):
        return take(column, rows)
    if len(column) == 0:
        return null_column(column.type, int(rows.shape[0]), rows.device)
    return with_nulls(take(expand(column), rows.clamp(min=0)), missing)


def comparable(column: Column) -> Column:
    """The same as `fetch`; UnsupportedError for masks, which have neither order nor equality."""
    one = bare(column)
    if one.type.kind is Kind.MASK and not (isinstance(one, RowRef) and one.source is None):
        raise UnsupportedError(
            "masks cannot be compared, grouped or sorted by; compare what CP counts in them"
        )
    return fetch(column)


def concat_batches(
    batches: Sequence[Batch], fields: Iterable[tuple[int, Type]], device: torch.device
) -> Batch:
    """All rows of compact batches in one, with the given (id, type) columns only.

    Where there are none, so many columns without rows on the device.
    """
    if not batches:
        return Batch({id: null_column(kind, 0, device) for id, kind in fields}, 0)
    columns = {id: concat([batch.columns[id] for batch in batches]) for id, _ in fields}
    return Batch(columns, sum(batch.rows for batch in batches))


def take_batch(batch: Batch, rows: torch.Tensor) -> Batch:
    """Rows of a batch without selection, in the order given."""
    rows = rows.to(torch.int32)
    columns = {id: take(column, rows) for id, column in batch.columns.items()}
    return Batch(columns, int(rows.shape[0]), None, batch.morsel)


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


def null_constant(kind: Type, count: int, device: torch.device) -> Constant:
    """`count` NULLs of a type, as one repeated row."""
    return Constant(null_column(kind, 1, device), count)


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
