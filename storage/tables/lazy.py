"""Relations whose columns are made when first read: files and objects. Torch-free to plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa

from tensorsql.errors import ConversionError, CorruptError
from tensorsql.storage.columns.analyze import analyze
from tensorsql.storage.columns.physical import physical
from tensorsql.storage.columns.places import Places, first_failing
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import Type
from tensorsql.storage.tables.catalog import Relation, TableSchema
from tensorsql.storage.tables.segment import LazySource, LazyStatistics, Segment

Load: TypeAlias = Callable[[str], pa.Array | pa.ChunkedArray]


def lazy_relation(
    schema: TableSchema,
    rows: int,
    load: Load,
    statistics: Mapping[str, ColumnStatistics] | None = None,
    places: Places | None = None,
) -> Relation:
    """A relation that calls `load` once per column read; `places` is where files have its rows.

    Without `statistics` those of a column are measured when planning asks, which loads the column.
    """
    types = {column.name: column.type for column in schema.columns}
    source = LazySource(partial(_physical, load, types, rows, places))
    if statistics is None:
        statistics = LazyStatistics(tuple(types), partial(_analyze, source, types))
    segment = Segment(rows, source, {}, 0, rows - 1)
    open = partial(open_segment, schema, segment)
    return Relation(schema.name, schema, rows, rows, open, statistics, places=places)


# functions rather than closures, so that relations pickle


def _physical(
    load: Load, types: Mapping[str, Type], rows: int, places: Places | None, name: str
) -> pa.Array:
    array = load(name)
    if len(array) != rows:
        what = 'column "' + name + '"' if places is None else places.of([])
        raise CorruptError(f"{what} has {len(array)} rows, not {rows} as before: it has changed")
    try:
        return physical(array, types[name], stored=True)
    except ConversionError as error:
        where = "" if places is None else _place(array, types[name], places)
        raise ConversionError(f'{where}column "{name}": {error.message}') from None


def _place(array: pa.Array | pa.ChunkedArray, type: Type, places: Places) -> str:
    def fails(rows: int) -> bool:
        try:
            physical(array.slice(0, rows), type)
        except ConversionError:
            return True
        return False

    row = first_failing(len(array), fails)
    return f"{places.of([] if row is None else [row])}, "


def _analyze(source: LazySource, types: Mapping[str, Type], name: str) -> ColumnStatistics:
    return analyze(source.array(name), types[name])


def open_segment(schema: TableSchema, segment: Segment) -> Any:
    """The reader of a relation that is one segment."""
    from tensorsql.storage.tables.table import SegmentsReader

    return SegmentsReader(schema, (segment,))
