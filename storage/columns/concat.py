"""Columns end to end: one column out of several of one type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import InternalError
from tensorsql.storage.columns.arrow import column_of
from tensorsql.storage.columns.changes import expand, fetch, to_device, two_words, with_nulls
from tensorsql.storage.columns.column import (
    CPU,
    Bytes,
    Column,
    Constant,
    Dictionary,
    Flat,
    RowRef,
    StringDictionary,
    Wide,
    bare,
    present_rows,
    slice_part,
    take,
)
from tensorsql.storage.columns.masks import StoredMasks, pack
from tensorsql.storage.columns.ragged import Ragged, joined_offsets
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
    if all(isinstance(part, Constant) and part.one is bare(first) for part in columns):
        return Constant(bare(first), sum(len(part) for part in columns))
    parts = [expand(part) for part in columns if len(part)] or [expand(first)]
    if len(parts) == 1:
        return parts[0]
    alike = _alike(parts)
    together = [_joined(each) for each in zip(*(part.parts() for part in alike), strict=True)]
    joined: Column = alike[0].with_parts(together, _validity(alike), sum(map(len, alike)))
    return joined


def bytes_of(column: Column) -> Column:
    """A Dictionary column as Bytes; any other as it is."""
    if not isinstance(column, Dictionary):
        return column
    if len(column.dictionary):
        entries = column_of(column.dictionary.entries, column.type)
        text = take(to_device(entries, column.codes.device), column.codes)
    else:
        offsets = column.codes.new_zeros(len(column) + 1, dtype=torch.int64)
        text = Bytes(column.type, offsets, column.codes.new_zeros(0, dtype=torch.uint8))
    return text if column.validity is None else with_nulls(text, column.validity.logical_not())


def merge_dictionaries(
    dictionaries: Sequence[StringDictionary], device: torch.device = CPU
) -> tuple[StringDictionary, list[Tensor]]:
    """One dictionary of all entries and, per given dictionary, its code → merged code (int32).

    Sorted, unless all are the same list of entries, which then stays as it is.
    """
    used = [dictionary for dictionary in dictionaries if len(dictionary)] or dictionaries[:1]
    first = used[0]
    if all(d is first or d.entries.equals(first.entries) for d in used):
        same = torch.arange(len(first), dtype=torch.int32, device=device)
        return first, [same[: len(dictionary)] for dictionary in dictionaries]
    together = pc.unique(pa.chunked_array([d.entries for d in dictionaries]))
    entries = together.take(pc.sort_indices(together))
    lookups = [
        torch.from_numpy(pc.index_in(d.entries, value_set=entries).to_numpy().copy()).to(device)
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
        counts = torch.tensor([source.rows for source in sources], device=CPU)  # type: ignore[attr-defined]
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
        back[order] = torch.arange(len(order), device=order.device)
        return take(concat(parts), back)


def _alike(parts: list[Column]) -> list[Any]:
    """The columns in one layout, over one dictionary or source of rows."""
    layouts = {type(part) for part in parts}
    if layouts == {Dictionary, Bytes}:
        return [bytes_of(part) for part in parts]
    if layouts == {Flat, Wide}:  # sums are narrow where they fit
        return [two_words(part) for part in parts]
    if len(layouts) > 1 and RowRef in layouts:
        return _alike([fetch(part) for part in parts])
    if len(layouts) > 1:
        raise InternalError(f"no common layout of {sorted(layout.__name__ for layout in layouts)}")
    if layouts == {Dictionary}:
        coded = cast("list[Dictionary]", parts)
        merged, lookups = merge_dictionaries(
            [part.dictionary for part in coded], coded[0].codes.device
        )
        return [recode(part, merged, lookup) for part, lookup in zip(coded, lookups, strict=True)]
    return _one_source(cast("list[RowRef]", parts)) if layouts == {RowRef} else parts


def _one_source(parts: list[RowRef]) -> list[RowRef]:
    first = next((part for part in parts if part.source is not None), parts[0])
    # A part without a source is all NULL: its rows, all 0, may as well be another source's.
    sources = [part.source or first.source for part in parts]
    rows = [part.rows for part in parts]
    source = first.source
    if any(each is not source for each in sources):
        if first.type.kind is Kind.MASK:
            source, rows = _packed(sources, rows)
        else:
            source = ConcatSource(sources)
            rows = [each + start for each, start in zip(rows, source.starts.tolist(), strict=True)]
    return [replace(part, source=source, rows=each) for part, each in zip(parts, rows, strict=True)]


def _packed(sources: list[Any], rows: list[Tensor]) -> tuple[Any, list[Tensor]]:
    blocks = [pack(source, each.cpu().numpy()) for source, each in zip(sources, rows, strict=True)]
    source = StoredMasks(blocks, sources[0].scale, sources[0].element)
    ends = accumulate(len(each) for each in rows)
    places = zip(rows, ends, strict=True)
    device = rows[0].device
    return source, [torch.arange(end - len(each), end, device=device) for each, end in places]


def _joined(parts: Sequence[Any]) -> Any:
    """One part of columns, end to end."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(cast("list[Tensor]", parts))  # the widest dtype wins
    if not isinstance(first, Ragged):
        return concat(parts)
    offsets, ranges = joined_offsets([part.offsets for part in parts])
    items = [slice_part(p.items, *places) for p, places in zip(parts, ranges, strict=True)]
    return Ragged(offsets, _joined(items))


def _validity(parts: Sequence[Column]) -> Tensor | None:
    if all(part.validity is None for part in parts):
        return None
    return torch.cat([present_rows(part) for part in parts])
