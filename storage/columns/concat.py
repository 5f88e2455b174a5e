"""Columns end to end: one column out of several of one type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import InternalError
from tensorsql.storage.columns.arrow import column_of
from tensorsql.storage.columns.column import (
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
    ragged_take,
    slice_column,
    take,
)
from tensorsql.storage.columns.types import Kind


def concat(columns: Sequence[Column]) -> Column:
    """The rows of all columns (at least one, all of one type) in order.

    Dictionary columns of one dictionary join their codes; of several, they share one merged sorted
    dictionary; text in both layouts becomes bytes.
    """
    if len(columns) == 1:
        return columns[0]
    check_cancelled()
    first = columns[0]
    if all(isinstance(part, Constant) and part.one is _one(first) for part in columns):
        return Constant(_one(first), sum(len(part) for part in columns))
    parts = _same_layout([expand(part) for part in columns if len(part)] or [first])
    return parts[0] if len(parts) == 1 else _concat(parts)


def expand(column: Column) -> Column:
    """The column without the Constant layout."""
    if not isinstance(column, Constant):
        return column
    return take(expand(column.one), torch.zeros(column.length, dtype=torch.int32))


def bytes_of(column: Column) -> Column:
    """A Dictionary column as Bytes; any other as it is."""
    if not isinstance(column, Dictionary):
        return column
    if not len(column.dictionary):
        offsets = torch.zeros(len(column) + 1, dtype=torch.int64)
        empty = torch.zeros(0, dtype=torch.uint8)
        return Bytes(column.type, offsets, empty, column.validity)
    entries = column_of(column.dictionary.entries, column.type)
    text = cast("Bytes", take(entries, column.codes))
    if column.validity is not None:
        text = cast("Bytes", column_of_nulls(text, column.validity))
    return text


def column_of_nulls(text: Bytes, validity: Tensor) -> Column:
    """The text with NULLs where `validity` is False, empty there."""
    lengths = (text.offsets[1:] - text.offsets[:-1]) * validity
    ends = torch.cumsum(lengths, 0)
    kept = torch.nonzero(validity).reshape(-1)
    _, inside = ragged_take(text.offsets, kept)
    offsets = torch.cat([ends.new_zeros(1), ends])
    return Bytes(text.type, offsets, text.data.index_select(0, inside), validity)


def merge_dictionaries(
    dictionaries: Sequence[StringDictionary],
) -> tuple[StringDictionary, list[Tensor]]:
    """One dictionary of all entries and, per given dictionary, its code → merged code (int32).

    Sorted, unless all are the same list of entries, which then stays as it is.
    """
    used = [dictionary for dictionary in dictionaries if len(dictionary)] or dictionaries[:1]
    first = used[0]
    if all(d is first or d.entries.equals(first.entries) for d in used):
        same = torch.arange(len(first), dtype=torch.int32)
        return first, [same[: len(dictionary)] for dictionary in dictionaries]
    together = pc.unique(pa.chunked_array([d.entries for d in dictionaries]))
    entries = together.take(pc.sort_indices(together))
    lookups = [
        torch.from_numpy(pc.index_in(d.entries, value_set=entries).to_numpy().copy())
        for d in dictionaries
    ]
    return StringDictionary(entries, sorted=True), lookups


def recode(column: Dictionary, dictionary: StringDictionary, lookup: Tensor) -> Dictionary:
    """The column in terms of another dictionary."""
    if column.dictionary is dictionary:
        return column
    if not len(lookup):
        return replace(column, dictionary=dictionary)
    codes = lookup.index_select(0, column.codes)
    if column.validity is not None:
        codes = codes * column.validity
    return replace(column, codes=codes, dictionary=dictionary)


class ConcatSource:
    """Row sources end to end, itself a RowSource."""

    def __init__(self, sources: Sequence[object]) -> None:
        self.sources = tuple(sources)
        counts = torch.tensor([source.rows for source in sources], dtype=torch.int64)  # type: ignore[attr-defined]
        self.ends = torch.cumsum(counts, 0)
        self.starts = self.ends - counts

    @property
    def rows(self) -> int:
        """How many rows all sources have."""
        return int(self.ends[-1])

    def fetch(self, rows: Tensor) -> Column:
        """The values of these rows, asked of each source once."""
        return self.gather(rows, lambda source, inside: source.fetch(inside))  # type: ignore[attr-defined]

    def gather(self, rows: Tensor, fetch: Callable[[object, Tensor], Column]) -> Column:
        """`fetch(source, its rows)` per source with some of the rows, in the order of `rows`."""
        owner = torch.searchsorted(self.ends, rows, right=True)
        order = torch.argsort(owner, stable=True)
        parts = []
        for number in torch.unique(owner).tolist():
            inside = rows[owner == number] - self.starts[number]
            parts.append(fetch(self.sources[number], inside))
        if not parts:
            return fetch(self.sources[0], rows)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        return take(concat(parts), back)


def _one(column: Column) -> Column:
    return column.one if isinstance(column, Constant) else column


def _same_layout(parts: list[Column]) -> list[Column]:
    layouts = {type(part) for part in parts}
    if len(layouts) == 1:
        return parts
    if layouts == {Dictionary, Bytes}:
        return [bytes_of(part) for part in parts]
    if layouts == {Flat, Wide}:  # sums are narrow where they fit
        return [_widened(part) for part in parts]
    if layouts == {Flat, RowRef}:
        return [fetched(part) for part in parts]
    raise InternalError(f"no common layout of {sorted(layout.__name__ for layout in layouts)}")


def fetched(column: Column) -> Column:
    """The column itself, or the TENSORs that its rows refer to, zeros where they are NULL."""
    if not isinstance(column, RowRef):
        return column
    if column.source is None:
        zeros = torch.zeros(
            len(column), *column.type.shape, dtype=getattr(torch, column.type.element)
        )
        return Flat(column.type, zeros, column.validity)
    found: Column = column.source.fetch(column.rows)
    if column.validity is None or not isinstance(found, Flat):
        return found
    missing = column.validity.logical_not().reshape(-1, *[1] * (found.values.dim() - 1))
    return Flat(found.type, found.values.masked_fill(missing, 0), column.validity)


def _widened(column: Column) -> Column:
    if not isinstance(column, Flat):
        return column
    words = column.values.to(torch.int64)
    return Wide(column.type, words >> 63, words, column.validity)


def _concat(parts: list[Column]) -> Column:
    validity = _validity(parts)
    kind = parts[0].type
    match parts[0]:
        case Flat():
            return Flat(kind, _joined([cast("Flat", p).values for p in parts]), validity)
        case Wide():
            wides = cast("list[Wide]", parts)
            hi, lo = torch.cat([p.hi for p in wides]), torch.cat([p.lo for p in wides])
            return Wide(kind, hi, lo, validity)
        case Interval():
            spans = cast("list[Interval]", parts)
            months, days = torch.cat([p.months for p in spans]), torch.cat([p.days for p in spans])
            return Interval(
                kind, months, days, torch.cat([p.microseconds for p in spans]), validity
            )
        case Dictionary():
            coded = cast("list[Dictionary]", parts)
            merged, lookups = merge_dictionaries([p.dictionary for p in coded])
            recoded = [recode(p, merged, x) for p, x in zip(coded, lookups, strict=True)]
            return Dictionary(kind, torch.cat([p.codes for p in recoded]), merged, validity)
        case Bytes():
            texts = cast("list[Bytes]", parts)
            offsets, ranges = _ragged([p.offsets for p in texts])
            data = [p.data[a:b] for p, (a, b) in zip(texts, ranges, strict=True)]
            return Bytes(kind, offsets, torch.cat(data), validity)
        case List():
            return _lists(cast("list[List]", parts), validity)
        case Struct():
            structs = cast("list[Struct]", parts)
            children = zip(*(p.children for p in structs), strict=True)
            return Struct(kind, tuple(concat(c) for c in children), sum(map(len, parts)), validity)
        case RowRef():
            return _references(cast("list[RowRef]", parts), validity)
    raise InternalError(f"no layout {type(parts[0]).__name__}")


def _lists(parts: list[List], validity: Tensor | None) -> Column:
    offsets, ranges = _ragged([p.offsets for p in parts])
    children = [slice_column(p.child, a, b) for p, (a, b) in zip(parts, ranges, strict=True)]
    return List(parts[0].type, offsets, concat(children), validity)


def _references(parts: list[RowRef], validity: Tensor | None) -> Column:
    first = next((part for part in parts if part.source is not None), parts[0])
    # A part without a source is all NULL: its rows, all 0, may as well be another source's.
    parts = [replace(part, source=part.source or first.source) for part in parts]
    if all(part.source is first.source for part in parts):
        rows = torch.cat([part.rows for part in parts])
        return RowRef(first.type, first.source, rows, validity)
    if first.type.kind is Kind.MASK:
        return _masks(parts, validity)
    source = ConcatSource([part.source for part in parts])
    starts = source.starts.tolist()
    rows = torch.cat([part.rows + start for part, start in zip(parts, starts, strict=True)])
    return RowRef(first.type, source, rows, validity)


def _masks(parts: list[RowRef], validity: Tensor | None) -> Column:
    from tensorsql.storage.columns.masks import StoredMasks, pack

    blocks = [pack(part.source, part.rows.numpy()) for part in parts]
    source = StoredMasks(blocks, parts[0].source.scale, parts[0].source.element)
    rows = torch.arange(source.rows, dtype=torch.int64)
    return RowRef(parts[0].type, source, rows, validity)


def _joined(parts: list[Tensor]) -> Tensor:
    dtype = parts[0].dtype
    for part in parts:
        dtype = torch.promote_types(dtype, part.dtype)
    return torch.cat([part.to(dtype) for part in parts])


def _ragged(all_offsets: Sequence[Tensor]) -> tuple[Tensor, list[tuple[int, int]]]:
    pieces, ranges, total = [all_offsets[0].new_zeros(1)], [], 0
    for offsets in all_offsets:
        start, stop = int(offsets[0]), int(offsets[-1])
        pieces.append(offsets[1:] + (total - start))
        ranges.append((start, stop))
        total += stop - start
    return torch.cat(pieces), ranges


def _validity(parts: Sequence[Column]) -> Tensor | None:
    if all(part.validity is None for part in parts):
        return None
    return torch.cat(
        [torch.ones(len(p), dtype=torch.bool) if p.validity is None else p.validity for p in parts]
    )
