"""Whole-column operations that operators share: NULL columns, concatenation, expansion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import InternalError, UnsupportedError
from tensorsql.storage.columns.arrow import column_of
from tensorsql.storage.columns.column import (
    VALUE_DTYPE,
    Batch,
    Bytes,
    Column,
    Constant,
    Dictionary,
    Flat,
    Interval,
    List,
    RowRef,
    StringDictionary,
    Struct,
    Wide,
    take,
)
from tensorsql.storage.columns.concat import concat, expand
from tensorsql.storage.columns.types import BLOB, Kind, Type


def null_column(type: Type, rows: int) -> Column:
    """`rows` NULLs of a type (0 rows: the empty column)."""
    validity = torch.zeros(rows, dtype=torch.bool)
    zeros = torch.zeros(rows, dtype=torch.int64)
    if type.is_wide:
        return Wide(type, zeros, zeros, validity)
    match type.kind:
        case Kind.INTERVAL:
            return Interval(type, zeros.int(), zeros.int(), zeros, validity)
        case Kind.VARCHAR | Kind.UUID | Kind.ENUM:
            empty = StringDictionary(pa.array([], pa.large_string()), sorted=True)
            return Dictionary(type, zeros.int(), empty, validity)
        case Kind.BLOB:
            data = torch.zeros(0, dtype=torch.uint8)
            return Bytes(type, torch.zeros(rows + 1, dtype=torch.int64), data, validity)
        case Kind.LIST:
            child = null_column(type.child or Type(Kind.NULL), 0)
            return List(type, torch.zeros(rows + 1, dtype=torch.int64), child, validity)
        case Kind.STRUCT:
            children = tuple(null_column(kind, rows) for _, kind in type.fields)
            return Struct(type, children, rows, validity)
        case Kind.MASK | Kind.TENSOR:
            return RowRef(type, None, zeros, validity)
        case Kind.BOX:
            return Flat(type, torch.zeros((rows, 4), dtype=torch.float64), validity)
    return Flat(type, torch.zeros(rows, dtype=VALUE_DTYPE[type.kind]), validity)


def take_or_null(column: Column, rows: Tensor) -> Column:
    """Gather rows (integers [m]); a negative row gives NULL."""
    missing = rows < 0
    if not bool(missing.any()):
        return take(column, rows)
    if len(column) == 0:
        return null_column(column.type, int(rows.shape[0]))
    return with_nulls(take(expand(column), rows.clamp(min=0)), missing)


def with_nulls(column: Column, missing: Tensor) -> Column:
    """The column with NULL, and zeros below it, in the rows where `missing` is True."""
    present = ~missing
    validity = present if column.validity is None else column.validity & present
    match column:
        case Flat(values=values):
            mask = missing.reshape(-1, *[1] * (values.dim() - 1))
            return replace(column, values=values.masked_fill(mask, 0), validity=validity)
        case Wide(hi=hi, lo=lo):
            hi, lo = hi.masked_fill(missing, 0), lo.masked_fill(missing, 0)
            return replace(column, hi=hi, lo=lo, validity=validity)
        case Interval():
            parts = (column.months, column.days, column.microseconds)
            months, days, micros = (part.masked_fill(missing, 0) for part in parts)
            return Interval(column.type, months, days, micros, validity)
        case Dictionary(codes=codes):
            return replace(column, codes=codes.masked_fill(missing, 0), validity=validity)
        case Bytes() | List():
            return _empty_ragged(column, missing, validity)
        case Struct(children=children):
            nulled = tuple(with_nulls(expand(child), missing) for child in children)
            return replace(column, children=nulled, validity=validity)
        case RowRef(rows=rows):
            return replace(column, rows=rows.masked_fill(missing, 0), validity=validity)
        case Constant():
            return with_nulls(expand(column), missing)
    raise InternalError(f"no layout {type(column).__name__}")


def _empty_ragged(column: Bytes | List, missing: Tensor, validity: Tensor) -> Column:
    lengths = column.offsets[1:] - column.offsets[:-1]
    emptied = lengths.masked_fill(missing, 0)
    if torch.equal(emptied, lengths):
        return replace(column, validity=validity)
    ends = torch.cumsum(emptied, 0)
    offsets = torch.cat([ends.new_zeros(1), ends])
    kept = torch.nonzero(~missing).reshape(-1)
    filled = take(replace(column, validity=None), kept)
    assert isinstance(filled, Bytes | List)
    return replace(filled, offsets=offsets, validity=validity)


def fetch(column: Column) -> Column:
    """A RowRef's rows materialized; other layouts as they are."""
    if not isinstance(column, RowRef) or column.source is None:
        return column
    found: Column = column.source.fetch(column.rows)
    return found if column.validity is None else with_nulls(found, ~column.validity)


def comparable(column: Column) -> Column:
    """The same as `fetch`; UnsupportedError for masks, which have neither order nor equality."""
    if column.type.kind is Kind.MASK and not (isinstance(column, RowRef) and column.source is None):
        raise UnsupportedError(
            "masks cannot be compared, grouped or sorted by; compare what CP counts in them"
        )
    return fetch(column)


def text_column(type: Type, entries: pa.LargeStringArray) -> Bytes:
    """An Arrow large_string or large_binary array without NULLs as Bytes, sharing its memory."""
    column = column_of(entries, BLOB)
    assert isinstance(column, Bytes)
    return Bytes(type, column.offsets, column.data)


def binary_array(column: Bytes) -> pa.LargeBinaryArray:
    """The bytes of each row as an Arrow array (NULL rows as they are stored), sharing memory."""
    offsets = pa.py_buffer(column.offsets.contiguous().numpy())
    data = pa.py_buffer(column.data.contiguous().numpy())
    return pa.Array.from_buffers(pa.large_binary(), len(column), [None, offsets, data])


def concat_batches(batches: Sequence[Batch], fields: Iterable[tuple[int, Type]]) -> Batch:
    """All rows of compact batches in one, with the given (id, type) columns only."""
    columns = {
        id: concat([batch.columns[id] for batch in batches]) if batches else null_column(kind, 0)
        for id, kind in fields
    }
    return Batch(columns, sum(batch.rows for batch in batches))


def take_batch(batch: Batch, rows: torch.Tensor) -> Batch:
    """Rows of a batch without selection, in the order given."""
    rows = rows.to(torch.int32)
    columns = {id: take(column, rows) for id, column in batch.columns.items()}
    return Batch(columns, int(rows.shape[0]), None, batch.morsel, batch.device, batch.part)
