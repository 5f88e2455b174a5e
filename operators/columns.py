"""Whole-column operations that operators share: NULL columns, concatenation, expansion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import InternalError, UnsupportedError
from tensorsql.storage.arrow import array_tensor, column_of
from tensorsql.storage.column import (
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
from tensorsql.storage.types import BLOB, HUGEINT, Kind, Type


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


def expand(column: Column) -> Column:
    """The column without the Constant layout."""
    if not isinstance(column, Constant):
        return column
    return take(expand(column.one), torch.zeros(column.length, dtype=torch.int32))


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


def concat(columns: Sequence[Column]) -> Column:
    """The rows of several columns of one SQL type, in order."""
    if len(columns) == 1:
        return columns[0]
    parts = [column for column in columns if len(column)] or [columns[0]]
    if len(parts) == 1:
        return parts[0]
    ones = {id(part.one) for part in parts if isinstance(part, Constant)}
    if len(ones) == 1 and all(isinstance(part, Constant) for part in parts):
        first = parts[0]
        assert isinstance(first, Constant)
        return Constant(first.one, sum(len(part) for part in parts))
    return _concat_same(_one_layout([expand(part) for part in parts]))


def _one_layout(parts: list[Column]) -> list[Column]:
    if any(isinstance(part, Bytes) for part in parts):
        return [to_bytes(part) if isinstance(part, Dictionary) else part for part in parts]
    if any(isinstance(part, Wide) for part in parts):  # sums are narrow where they fit
        return [_widened(part) for part in parts]
    if any(isinstance(part, Flat) for part in parts):
        return [fetch(part) for part in parts]
    return parts


def _widened(column: Column) -> Column:
    if not isinstance(column, Flat):
        return column
    words = column.values.to(torch.int64)
    return Wide(HUGEINT, words >> 63, words, column.validity)


def _concat_same(parts: list[Column]) -> Column:
    first, validity = parts[0], _concat_validity(parts)

    def joined(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    match first:
        case Flat():
            return Flat(first.type, joined("values"), validity)
        case Wide():
            return Wide(first.type, joined("hi"), joined("lo"), validity)
        case Interval():
            months, days, micros = map(joined, ("months", "days", "microseconds"))
            return Interval(first.type, months, days, micros, validity)
        case Dictionary():
            codes, dictionary = _unify([part for part in parts if isinstance(part, Dictionary)])
            return Dictionary(first.type, torch.cat(codes), dictionary, validity)
        case Bytes() | List():
            return _concat_ragged(parts, validity)
        case Struct(children=children):
            joined_children = tuple(
                concat([part.children[i] for part in parts if isinstance(part, Struct)])
                for i in range(len(children))
            )
            return Struct(first.type, joined_children, sum(map(len, parts)), validity)
        case RowRef():
            return _concat_references(parts, validity)
    raise InternalError(f"no layout {type(first).__name__}")


def _concat_validity(parts: Sequence[Column]) -> Tensor | None:
    if all(part.validity is None for part in parts):
        return None
    return torch.cat(
        [
            torch.ones(len(part), dtype=torch.bool) if part.validity is None else part.validity
            for part in parts
        ]
    )


def _unify(parts: list[Dictionary]) -> tuple[list[Tensor], StringDictionary]:
    """Codes of all parts in one dictionary, which is theirs when they share it already."""
    distinct = {id(part.dictionary): part.dictionary for part in parts if len(part.dictionary)}
    if len(distinct) <= 1:
        shared = next(iter(distinct.values()), parts[0].dictionary)
        return [part.codes for part in parts], shared
    entries = pa.concat_arrays([dictionary.entries for dictionary in distinct.values()])
    encoded = entries.dictionary_encode()
    lookup = array_tensor(encoded.indices.to_numpy())
    sizes = [len(dictionary) for dictionary in distinct.values()]
    lookups = dict(zip(distinct, torch.split(lookup, sizes), strict=True))
    codes = [
        lookups[id(part.dictionary)].index_select(0, part.codes)
        if len(part.dictionary)
        else part.codes
        for part in parts
    ]
    return codes, StringDictionary(encoded.dictionary)


def _concat_ragged(parts: list[Column], validity: Tensor | None) -> Column:
    pieces, ends, total = [], [torch.zeros(1, dtype=torch.int64)], 0
    for part in parts:
        assert isinstance(part, Bytes | List)
        start, stop = int(part.offsets[0]), int(part.offsets[-1])
        ends.append(part.offsets[1:] + (total - start))
        total += stop - start
        pieces.append((part, start, stop))
    offsets = torch.cat(ends)
    if isinstance(parts[0], Bytes):
        data = torch.cat([part.data[start:stop] for part, start, stop in pieces])  # type: ignore[union-attr]
        return Bytes(parts[0].type, offsets, data, validity)
    children = [
        take(part.child, torch.arange(start, stop))  # type: ignore[union-attr]
        for part, start, stop in pieces
    ]
    return List(parts[0].type, offsets, concat(children), validity)


def _concat_references(parts: list[Column], validity: Tensor | None) -> Column:
    sources = {id(part.source): part.source for part in parts if part.source is not None}  # type: ignore[union-attr]
    if len(sources) > 1:
        from tensorsql.storage.concat import concat as concat_stored  # it knows sources end to end

        some = next(iter(sources.values()))
        known = [part if part.source is not None else replace(part, source=some) for part in parts]  # type: ignore[union-attr]
        return concat_stored(known)
    source = next(iter(sources.values()), None)
    rows = torch.cat([part.rows for part in parts])  # type: ignore[union-attr]
    return RowRef(parts[0].type, source, rows, validity)


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


def to_bytes(column: Dictionary) -> Bytes:
    """The same text in the Bytes layout."""
    if len(column.dictionary) == 0:
        offsets = torch.zeros(len(column) + 1, dtype=torch.int64)
        return Bytes(column.type, offsets, torch.zeros(0, dtype=torch.uint8), column.validity)
    text = take(text_column(column.type, column.dictionary.entries), column.codes)
    if column.validity is not None:
        text = with_nulls(text, ~column.validity)
    assert isinstance(text, Bytes)
    return text


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
