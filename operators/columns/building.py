"""Whole-column operations that operators share: NULL columns, concatenation, expansion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import UnsupportedError
from tensorsql.storage.columns.changes import expand, fetch, with_nulls
from tensorsql.storage.columns.column import (
    VALUE_DTYPE,
    Batch,
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
    take,
)
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import Kind, Type


def null_column(type: Type, rows: int, device: torch.device) -> Column:
    """`rows` NULLs of a type (0 rows: the empty column)."""
    zeros = torch.zeros(rows, dtype=torch.int64, device=device)
    validity, offsets = zeros.bool(), zeros.new_zeros(rows + 1)
    if type.is_wide:
        return Wide(type, zeros, zeros, validity)
    match type.kind:
        case Kind.INTERVAL:
            return TimeSpan(type, zeros.int(), zeros.int(), zeros, validity)
        case Kind.VARCHAR | Kind.UUID | Kind.ENUM:
            empty = StringDictionary(pa.array([], pa.large_string()), sorted=True)
            return Dictionary(type, zeros.int(), empty, validity)
        case Kind.BLOB:
            return Bytes(type, offsets, zeros[:0].byte(), validity)
        case Kind.LIST:
            child = null_column(type.child or Type(Kind.NULL), 0, device)
            return List(type, offsets, child, validity)
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
    if column.type.kind is Kind.MASK and not (isinstance(column, RowRef) and column.source is None):
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
