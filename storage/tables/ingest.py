"""Rows on their way into a table: columns in any form become one segment with statistics.

Arrow data goes in without torch; engine columns pass through Arrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import InternalError, TypeMismatchError
from tensorsql.storage.columns.analyze import analyze
from tensorsql.storage.columns.arrays import owned, with_flags
from tensorsql.storage.columns.physical import physical
from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.tables.catalog import ColumnSchema, TableSchema
from tensorsql.storage.tables.segment import MemorySource, Segment

Incoming: TypeAlias = pa.Table | Mapping[str, Any] | Sequence[Mapping[str, Any]]


def batches_of(rows: Incoming) -> list[dict[str, Any]]:
    """The rows as batches of columns (Arrow arrays or engine columns) by lower-case name."""
    if isinstance(rows, pa.Table):
        rows = dict(zip(rows.column_names, rows.columns, strict=True))
    batches = [rows] if isinstance(rows, Mapping) else list(rows)
    return [{name.lower(): column for name, column in batch.items()} for batch in batches]


def adopt_masks(schema: TableSchema, batches: Sequence[Mapping[str, Any]]) -> TableSchema:
    """The schema with MASK columns that had no scale yet taking that of their first masks."""
    columns = tuple(_adopted(column, batches) for column in schema.columns)
    return schema if columns == schema.columns else replace(schema, columns=columns)


def segment_of(
    schema: TableSchema, batches: Sequence[Mapping[str, Any]], first_row_id: int
) -> Segment:
    """One segment in memory; columns not given are NULL."""
    rows = sum(len(next(iter(batch.values()))) for batch in batches if batch)
    arrays: dict[str, pa.Array] = {}
    blocks: dict[str, Any] = {}
    for column in schema.columns:
        check_cancelled()
        parts = [batch.get(column.name.lower()) for batch in batches if batch]
        present = [part for part in parts if part is not None]
        if present and len(present) < len(parts):
            raise InternalError(f"column {column.name} is missing in some batches")
        if column.type.kind is Kind.MASK:
            arrays[column.name], blocks[column.name] = _masks(column.type, present, rows)
        else:
            array = _chunked(present, column.type) if present else pa.nulls(rows)
            arrays[column.name] = owned(physical(array, column.type, stored=True))
        if len(arrays[column.name]) != rows:
            raise InternalError(f"column {column.name} has a different number of rows")
    types = {column.name: column.type for column in schema.columns}
    statistics = {}
    for name, array in arrays.items():
        check_cancelled()
        statistics[name] = analyze(array, types[name])
    source = MemorySource(arrays, blocks)
    return Segment(rows, source, statistics, first_row_id, first_row_id + rows - 1)


def _chunked(parts: Sequence[Any], type: Type) -> pa.ChunkedArray | pa.Array:
    arrays = [_array(part) for part in parts]
    if len(arrays) == 1:
        return arrays[0]
    chunks = [c for a in arrays for c in (a.chunks if isinstance(a, pa.ChunkedArray) else [a])]
    if len({chunk.type for chunk in chunks}) > 1:
        chunks = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in chunks]
    return pa.chunked_array(chunks)


def _array(part: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(part, pa.Array | pa.ChunkedArray):
        return part
    from tensorsql.storage.columns.arrow import to_arrow
    from tensorsql.storage.columns.column import Dictionary

    if isinstance(part, Dictionary):  # keep the codes rather than spell the text out
        codes = _codes(part)
        return pa.DictionaryArray.from_arrays(codes, part.dictionary.entries)
    return to_arrow(part)


def _codes(column: Any) -> pa.Array:
    """The codes of a Dictionary column, NULL where the column is."""
    flags = None if column.validity is None else column.validity.numpy()
    return with_flags(column.codes.numpy(), flags)


def _adopted(column: ColumnSchema, batches: Sequence[Mapping[str, Any]]) -> ColumnSchema:
    if column.type.kind is not Kind.MASK:
        return column
    parts = [batch[column.name.lower()] for batch in batches if column.name.lower() in batch]
    kinds = {part.type for part in parts if getattr(part, "type", None) is not None}
    kinds = {kind for kind in kinds if isinstance(kind, Type) and kind.kind is Kind.MASK}
    kinds = {kind for kind in kinds if kind.scale}  # NULLs alone have none
    for kind in kinds:
        if not column.type.element and column.type.scale in (0, kind.scale):
            column = replace(column, type=kind)
        if kind != column.type:
            raise TypeMismatchError(
                f"column {column.name} holds {column.type} of {column.type.element} "
                f"and cannot take {kind} of {kind.element}"
            )
    return column


def _masks(type: Type, parts: Sequence[Any], rows: int) -> tuple[pa.Array, Any]:
    from tensorsql.storage.columns.changes import expand
    from tensorsql.storage.columns.column import present_rows
    from tensorsql.storage.columns.concat import concat
    from tensorsql.storage.columns.masks import MaskBlock, pack

    columns = [part for part in parts if getattr(part, "type", None) == type and len(part)]
    flags = np.zeros(rows, np.bool_)
    shapes = np.zeros((3, rows), np.int64)
    pixels = np.zeros(0, np.dtype(type.element or "uint8"))
    if columns:
        column: Any = expand(concat(columns))
        if len(column) != rows:
            raise InternalError("some batches lack their masks")
        flags = present_rows(column).numpy()
        valid = np.flatnonzero(flags)
        if len(valid):
            block = pack(column.source, column.rows.numpy()[valid])
            shapes[:, valid] = np.stack([block.offsets, block.heights, block.widths])
            pixels = block.pixels
    placeholder = with_flags(np.zeros(rows, np.uint8), None if flags.all() else flags)
    return placeholder, MaskBlock(pixels, *shapes)
