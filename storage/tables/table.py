"""Reading one snapshot of a relation; the torch side of `Relation.open`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorsql.storage.columns.arrays import valid_flags
from tensorsql.storage.columns.arrow import column_of, to_arrow
from tensorsql.storage.columns.column import (
    Bytes,
    Column,
    Dictionary,
    RowRef,
    StringDictionary,
    slice_column,
)
from tensorsql.storage.columns.concat import bytes_of, concat, merge_dictionaries, recode
from tensorsql.storage.columns.masks import StoredMasks
from tensorsql.storage.columns.physical import physical
from tensorsql.storage.columns.text import code_array
from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.files.checked_file import Once
from tensorsql.storage.tables.catalog import TableSchema
from tensorsql.storage.tables.segment import Segment


class SegmentsReader:
    """The Reader over segments in row-id order, with the flags of deleted rows per segment."""

    def __init__(
        self,
        schema: TableSchema,
        segments: Sequence[Segment],
        deleted: Sequence[NDArray[np.bool_] | None] = (),
    ) -> None:
        self._types = {column.name: column.type for column in schema.columns}
        self._segments = tuple(segments)
        self._deleted = tuple(deleted) or (None,) * len(self._segments)
        self._starts = np.cumsum([0, *(segment.rows for segment in self._segments)])
        self._columns: Once[list[Column]] = Once()
        self._mask_columns: dict[str, RowRef] = {}
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a reader belongs to one process; open the relation again")

    def read(self, column: str, start: int, stop: int) -> Column:
        """Rows start … stop - 1 of a column."""
        type = self._types[column]
        if type.kind is Kind.MASK:
            return slice_column(self._masks(column, type), start, stop)
        columns = self._layout(column, type)
        ranges = list(self._ranges(start, stop))
        for number, first, last in ranges:
            self._segments[number].source.check(column, first, last)
        parts = [slice_column(columns[i], a, b) for i, a, b in ranges]
        return concat(parts) if parts else slice_column(_nothing(columns, type), 0, 0)

    def live(self, start: int, stop: int) -> Tensor | None:
        """bool per position, False = deleted; None = all live."""
        ranges = list(self._ranges(start, stop))
        if all(self._deleted[i] is None for i, _, _ in ranges):
            return None
        parts = [_live(self._deleted[i], a, b) for i, a, b in ranges]
        return torch.from_numpy(np.concatenate(parts))

    def row_ids(self, start: int, stop: int) -> Tensor:
        """int64 row ids, ascending."""
        parts = [self._segments[i].row_ids()[a:b] for i, a, b in self._ranges(start, stop)]
        return torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *parts]))

    def positions(self, row_ids: Tensor) -> Tensor:
        """The position of each row id, -1 where it does not exist or is deleted."""
        asked = row_ids.cpu().numpy()
        result = np.full(len(asked), -1, np.int64)
        for number, segment in enumerate(self._segments):
            places = segment.positions(asked)
            deleted = self._deleted[number]
            here = places >= 0 if deleted is None else (places >= 0) & ~deleted[places]
            result = np.where(here, places + self._starts[number], result)
        return torch.from_numpy(result)

    def _ranges(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """(segment number, first, end) inside each segment that overlaps."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for number in range(max(first, 0), len(self._segments)):
            begin = int(self._starts[number])
            if begin >= stop:
                break
            a, b = max(start - begin, 0), min(stop - begin, self._segments[number].rows)
            if a < b:
                yield number, a, b

    def _layout(self, name: str, type: Type) -> list[Column]:
        def load() -> list[Column]:
            columns = [segment.column(name, type) for segment in self._segments]
            return one_layout(columns) if type.is_text else columns

        return self._columns.get(name, load)

    def _masks(self, name: str, type: Type) -> RowRef:
        with self._lock:
            if name not in self._mask_columns:
                blocks = [segment.source.masks(name, type) for segment in self._segments]
                source = StoredMasks(blocks, type.scale, type.element or "uint8")
                rows = torch.arange(source.rows, dtype=torch.int64)
                validity = self._mask_validity(name)
                if validity is not None:
                    rows = rows * validity
                self._mask_columns[name] = RowRef(type, source, rows, validity)
            return self._mask_columns[name]

    def _mask_validity(self, name: str) -> Tensor | None:
        flags = [(valid_flags(s.source.array(name)), s.rows) for s in self._segments]
        if all(valid is None for valid, _ in flags):
            return None
        parts = [np.ones(rows, np.bool_) if valid is None else valid for valid, rows in flags]
        return torch.from_numpy(np.concatenate(parts))


def one_layout(columns: Sequence[Column]) -> list[Column]:
    """Text columns in one common layout: Dictionary over one dictionary if that suits most rows."""
    filled = [column for column in columns if len(column)]
    coded = [column for column in filled if isinstance(column, Dictionary)]
    if len(columns) < 2:
        return list(columns)
    if 2 * sum(map(len, coded)) < sum(map(len, filled)) or not coded:
        return [bytes_of(column) for column in columns]
    encoded = [_encoded(column) for column in columns]
    merged, lookups = merge_dictionaries([column.dictionary for column in encoded])
    return [
        Dictionary(c.type, c.codes, merged, c.validity)
        if c.dictionary.entries.equals(merged.entries)
        else recode(c, merged, lookup)
        for c, lookup in zip(encoded, lookups, strict=True)
    ]


def _encoded(column: Column) -> Dictionary:
    if isinstance(column, Dictionary):
        return column

    text = to_arrow(cast("Bytes", column))
    encoded = text.dictionary_encode()
    codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False).astype(np.int32)
    tensor = torch.from_numpy(np.asarray(code_array(codes, None)).copy())
    return Dictionary(column.type, tensor, StringDictionary(encoded.dictionary), column.validity)


def _nothing(columns: Sequence[Column], type: Type) -> Column:
    return columns[0] if columns else column_of(physical(pa.nulls(0), type), type)


def _live(deleted: NDArray[np.bool_] | None, start: int, stop: int) -> NDArray[np.bool_]:
    if deleted is None:
        return np.ones(stop - start, np.bool_)
    live: NDArray[np.bool_] = ~deleted[start:stop]
    return live
