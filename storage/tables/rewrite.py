"""Several small segments as one. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tensorsql.storage.columns.analyze import analyze
from tensorsql.storage.columns.arrays import one_array, valid_flags, with_flags
from tensorsql.storage.columns.arrow_types import arrow_type
from tensorsql.storage.columns.physical import NARROWED, narrow, physical
from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.tables.segment import ROW_IDS, MemorySource, Segment
from tensorsql.storage.tables.snapshot import TableState


def merge_segments(state: TableState, segments: Sequence[Segment]) -> Segment | None:
    """The live rows of neighbouring segments as one that keeps their row ids; None if none live."""
    lives = [_live(state, segment) for segment in segments]
    ids = np.concatenate([s.row_ids()[k] for s, k in zip(segments, lives, strict=True)])
    if not len(ids):
        return None
    arrays: dict[str, pa.Array] = {}
    blocks: dict[str, Any] = {}
    for column in state.schema.columns:
        parts = [
            segment.source.array(column.name).take(pa.array(live))
            for segment, live in zip(segments, lives, strict=True)
        ]
        if column.type.kind is Kind.MASK:
            blocks[column.name] = _masks(segments, lives, column.name, column.type)
        arrays[column.name] = _joined(parts, column.type)
    if int(ids[-1] - ids[0]) + 1 != len(ids):
        arrays[ROW_IDS] = pa.array(ids)
    types = {column.name: column.type for column in state.schema.columns}
    statistics = {name: analyze(arrays[name], type) for name, type in types.items()}
    source = MemorySource(arrays, blocks)
    return Segment(len(ids), source, statistics, int(ids[0]), int(ids[-1]))


def _live(state: TableState, segment: Segment) -> NDArray[np.int64]:
    deleted = state.deleted(segment)
    return np.arange(segment.rows) if deleted is None else np.flatnonzero(~deleted)


def _joined(parts: Sequence[pa.Array], type: Type) -> pa.Array:
    """Physical arrays of one column, whose integer widths and text layouts may differ, as one."""
    if type.kind is Kind.MASK:
        flags = [valid_flags(p) for p in parts]
        together = np.concatenate(
            [
                np.ones(len(p), np.bool_) if f is None else f
                for p, f in zip(parts, flags, strict=True)
            ]
        )
        return with_flags(np.zeros(len(together), np.uint8), None if together.all() else together)
    if len({part.type for part in parts}) > 1:
        parts = [_widest(part, type) for part in parts]
    whole = one_array(pa.chunked_array(list(parts)))
    if type.is_text:
        return physical(whole, type, stored=True)
    return narrow(whole) if type.kind in NARROWED and not type.is_wide else whole


def _widest(part: pa.Array, type: Type) -> pa.Array:
    if isinstance(part, pa.DictionaryArray):
        return part.dictionary_decode()
    return part.cast(pa.int64()) if pa.types.is_integer(part.type) else part.cast(arrow_type(type))


def _masks(
    segments: Sequence[Segment], lives: Sequence[NDArray[np.int64]], name: str, type: Type
) -> Any:
    from tensorsql.storage.columns.masks import StoredMasks, pack

    source = StoredMasks([s.source.masks(name, type) for s in segments], type.scale, type.element)
    starts = np.cumsum([0, *(segment.rows for segment in segments)])
    rows = [live + start for live, start in zip(lives, starts[:-1], strict=True)]
    return pack(source, np.concatenate(rows))


FAN_IN = 8
MOST_ROWS = 1 << 16
MOST_BYTES = 16 << 20


def merged_with(state: TableState, new: Segment) -> tuple[Segment, ...]:
    """The last segments of a table that become one with a new one; none while they are few."""
    count, rows = 0, new.rows
    while True:
        level, stop = _level(rows), count
        while stop < len(state.segments) and _level(_live_rows(state, stop)) <= level:
            stop += 1
        rows += sum(_live_rows(state, place) for place in range(count, stop))
        if stop - count < FAN_IN - 1 or rows > MOST_ROWS:
            break
        count = stop
    if not count:
        return ()
    chosen = state.segments[len(state.segments) - count :]
    return chosen if sum(_bytes(state, part) for part in (*chosen, new)) <= MOST_BYTES else ()


def _level(rows: int) -> int:
    return (max(rows, 1).bit_length() - 1) // (FAN_IN.bit_length() - 1)


def _live_rows(state: TableState, place: int) -> int:
    """The live rows of a segment, counted from the last."""
    segment = state.segments[-1 - place]
    deletion = state.deletions.get(segment.first_row_id)
    return segment.rows - (deletion.count if deletion else 0)


def _bytes(state: TableState, segment: Segment) -> int:
    total = 0
    for column in state.schema.columns:
        total += segment.source.mapped(column.name).nbytes
        if column.type.kind is Kind.MASK:
            total += segment.source.masks(column.name, column.type).pixels.nbytes
    return total
