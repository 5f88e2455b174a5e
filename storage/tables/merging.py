"""Which small segments are merged when rows are added, so that they never pile up. Torch-free.

A level is eight times the rows of the one below. When eight segments at the end of a table are of a
level or below, they become one: so a row is copied once per level, and there are at most seven
segments of each, up to the size from which only CHECKPOINT merges.
"""

from __future__ import annotations

from tensorsql.storage.columns.types import Kind
from tensorsql.storage.tables.segment import Segment
from tensorsql.storage.tables.snapshot import TableState

FAN_IN = 8
MOST_ROWS = 1 << 16
MOST_BYTES = 16 << 20


def merged_with(state: TableState, new: Segment) -> tuple[Segment, ...]:
    """The last segments of a table that become one with a new one; none while they are few."""
    count, rows = 0, new.rows
    while True:
        level, stop = _level(rows), count
        while stop < len(state.segments) and _level(_live(state, stop)) <= level:
            stop += 1
        rows += sum(_live(state, place) for place in range(count, stop))
        if stop - count < FAN_IN - 1 or rows > MOST_ROWS:
            break
        count = stop
    if not count:
        return ()
    chosen = state.segments[len(state.segments) - count :]
    return chosen if sum(_bytes(state, part) for part in (*chosen, new)) <= MOST_BYTES else ()


def _level(rows: int) -> int:
    return (max(rows, 1).bit_length() - 1) // (FAN_IN.bit_length() - 1)


def _live(state: TableState, place: int) -> int:
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
