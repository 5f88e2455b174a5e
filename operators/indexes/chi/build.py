"""Building, extending and opening a CHI index. CPU only: its blocks are numpy arrays on disk."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from tensorsql.errors import InternalError
from tensorsql.operators.indexes.chi.blocks import (
    BLOCK_ROWS,
    ChiBlock,
    Histogram,
    build_blocks,
    join,
    load_block,
    save_block,
    split,
)
from tensorsql.operators.runtime.program import Context
from tensorsql.storage.columns.column import RowRef
from tensorsql.storage.columns.types import Type
from tensorsql.storage.tables.catalog import ColumnSchema, IndexEntry, Reader, Relation

BLOCKS = "blocks"  # the option that lists the block files of a stored index
Pieces = dict[str, ChiBlock]  # by name: the stem of its files where it is stored


def histogram_of(entry: IndexEntry, type: Type) -> Histogram:
    """How the entry counts masks of this type."""
    return Histogram(entry.options["cell"], entry.options["bins"], type.scale, type.element)


def open_blocks(entry: IndexEntry) -> list[ChiBlock]:
    """All blocks of an entry."""
    return list(_pieces(entry).values())


def last_row(entry: IndexEntry) -> int:
    """The last row id counted, -1 for none."""
    return max((int(block.row_ids[-1]) for block in _pieces(entry).values()), default=-1)


def build_entry(
    entry: IndexEntry, relation: Relation, column: ColumnSchema, context: Context
) -> IndexEntry:
    """The entry with blocks for every row whose id comes after those it has.

    Blocks are immutable; a short one is joined with new rows into a new one. Stored blocks become
    part of the index when the entry that lists them is committed.
    """
    pieces = dict(_pieces(entry))
    last = last_row(entry)
    short: list[ChiBlock] = []
    for block in _count_rows(
        histogram_of(entry, column.type), relation, column.name, last, context
    ):
        if len(block.row_ids) == BLOCK_ROWS:
            pieces[_new_name()] = block
        else:
            short.append(block)
    short = [*_take_short(pieces, {block.key for block in short}), *short]
    for key in dict.fromkeys(block.key for block in short):
        for block in split(join([block for block in short if block.key == key])):
            pieces[_new_name()] = block
    if entry.directory is None:
        return dataclasses.replace(entry, state=pieces)
    directory = Path(entry.directory)
    directory.mkdir(parents=True, exist_ok=True)
    stored = set(entry.options.get(BLOCKS, ()))
    for name in pieces.keys() - stored:
        save_block(pieces[name], directory, name)
    return dataclasses.replace(entry, options={**entry.options, BLOCKS: list(pieces)}, state=None)


def _new_name() -> str:
    return f"chi-{uuid.uuid4().hex}"


def _take_short(pieces: Pieces, keys: set[tuple[int, int, int]]) -> list[ChiBlock]:
    """Remove and return the blocks below full size that new rows can join."""
    names = [
        name
        for name, block in pieces.items()
        if block.key in keys and len(block.row_ids) < BLOCK_ROWS
    ]
    return [pieces.pop(name) for name in names]


def _count_rows(
    histogram: Histogram, relation: Relation, column: str, last: int, context: Context
) -> Iterable[ChiBlock]:
    reader = relation.open()
    for start in range(0, relation.rows, BLOCK_ROWS):
        context.check()
        stop = min(start + BLOCK_ROWS, relation.rows)
        yield from _count_range(histogram, reader, column, (start, stop, last))


def _count_range(
    histogram: Histogram, reader: Reader, column: str, span: tuple[int, int, int]
) -> list[ChiBlock]:
    start, stop, last = span
    row_ids = reader.row_ids(start, stop).numpy()
    if len(row_ids) == 0 or row_ids[-1] <= last:
        return []
    masks = reader.read(column, start, stop)
    if not isinstance(masks, RowRef):
        raise InternalError(f'column "{column}" does not hold masks')
    wanted = row_ids > last
    for part in (masks.validity, reader.live(start, stop)):
        if part is not None:
            wanted &= part.numpy()
    if not wanted.any():
        return []
    return build_blocks(histogram, masks.source, masks.rows.numpy()[wanted], row_ids[wanted])


def _pieces(entry: IndexEntry) -> Mapping[str, ChiBlock]:
    if entry.state is not None:
        state: Mapping[str, ChiBlock] = entry.state
        return state
    if entry.directory is None:
        return {}
    directory = Path(entry.directory)
    names = entry.options.get(BLOCKS, ())
    return {name: load_block(entry.files, directory, name) for name in names}
