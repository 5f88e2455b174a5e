"""Parquet: relations over files, statistics from their footers, and writing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as is_type

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import BindError, ConversionError, CorruptError, UnsupportedError
from tensorsql.storage.columns.analyze import EXACT, merge
from tensorsql.storage.columns.arrow_types import type_of_arrow
from tensorsql.storage.columns.places import Places, first_failing
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.formats.options import Files, Options, flag, one_of, option_fields
from tensorsql.storage.formats.paths import expand, reading, writing
from tensorsql.storage.tables.catalog import (
    ColumnSchema,
    Relation,
    TableSchema,
    distinct_names,
    repeated_name,
)
from tensorsql.storage.tables.lazy import lazy_relation

# Of a file: the place of each column, the types, the row groups.
Described = tuple[dict[str, int], dict[str, Type], list[pq.RowGroupMetaData]]
CURE = "TRY_CAST of the column gives NULL"
ROW_GROUP = 122_880
COMPRESSION = "snappy"
# what DuckDB calls lz4_raw is what pyarrow calls lz4
CODECS = {"snappy": "snappy", "zstd": "zstd", "gzip": "gzip", "lz4": "lz4", "lz4_raw": "lz4",
          "brotli": "brotli", "none": "none", "uncompressed": "none"}  # fmt: skip
_READING = {"utc": flag("utc")}
_WRITING = {"compression": one_of("compression", tuple(CODECS))}


def read_files(function: str, files: Files, options: Options) -> Relation:
    """`relation` of a call of the table function; BindError for an unknown option."""
    return relation(function, files, **option_fields("a Parquet file", options, _READING))


def relation(name: str, files: str | Sequence[str], utc: bool = False) -> Relation:
    """The files end to end as one relation; columns are read when they are used.

    All files need the columns of the first, in any order. With `utc` a column that has a time zone
    is read as the TIMESTAMP in UTC; without, it cannot be read.
    """
    paths = expand(files)
    footers = [_footer(path) for path in paths]
    first = footers[0].schema.to_arrow_schema()
    if repeated := repeated_name(first.names):
        raise UnsupportedError(f'file "{paths[0]}" has two columns called "{repeated}"')
    names = dict(zip(distinct_names(first.names), first, strict=True))
    columns = tuple(ColumnSchema(name, type_of_arrow(field.type)) for name, field in names.items())
    schemas = [footer.schema.to_arrow_schema() for footer in footers]
    for path, schema in zip(paths, schemas, strict=True):
        missing = set(first.names) - set(schema.names)
        if missing:
            raise CorruptError(f'file "{path}" lacks the column "{min(missing)}" of "{paths[0]}"')
    load = partial(_read, Readers(paths), names, utc)
    places = [_leaves(footer) for footer in footers]
    kinds = [_types(schema) for schema in schemas]
    chunks = [[footer.row_group(i) for i in range(footer.num_row_groups)] for footer in footers]
    described = list(zip(places, kinds, chunks, strict=True))
    statistics = {
        column.name: _statistics(replace(column, name=names[column.name].name), described)
        for column in columns
    }
    rows = sum(footer.num_rows for footer in footers)
    counts = tuple((path, footer.num_rows) for path, footer in zip(paths, footers, strict=True))
    origins = Places(counts, CURE)
    return lazy_relation(TableSchema(name, columns), rows, load, statistics, places=origins)


def write_table(table: pa.Table, path: str, options: Options) -> int:
    """Write a table as COPY says; BindError for an unknown option."""
    values = option_fields("a Parquet file to write", options, _WRITING)
    return write(path, table.schema, [table], **values)


def write(
    path: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch | pa.Table],
    compression: str = COMPRESSION,
) -> int:
    """Write batches of one schema to a file and return the number of rows."""
    rows = 0
    codec = CODECS[compression]
    if codec != "none" and not pa.Codec.is_available(codec):
        raise UnsupportedError(f"this pyarrow was built without the compression {codec}")
    _check_writable(schema)
    with writing(path) as target, pq.ParquetWriter(target, schema, compression=codec) as writer:
        for batch in batches:
            table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            for start in range(0, table.num_rows, ROW_GROUP):
                check_cancelled()
                writer.write_table(table.slice(start, ROW_GROUP))
            rows += table.num_rows
    return rows


def _check_writable(schema: pa.Schema) -> None:
    for field in schema:
        if "month_day_nano_interval" in str(field.type):  # inside of what is nested, too
            raise UnsupportedError(
                f'column "{field.name}": Parquet has no type INTERVAL; CAST it to VARCHAR'
            )
    repeated = repeated_name(schema.names)
    if repeated is not None:
        raise BindError(f'two columns are called "{repeated}"; give one an alias')


def _footer(path: Path) -> pq.FileMetaData:
    with reading(path):
        return pq.read_metadata(path)


class Readers:
    """Open files, each read by one thread at a time: to open one costs time for all its columns."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._idle: dict[Path, list[pq.ParquetFile]] = {path: [] for path in paths}

    def __reduce__(self) -> tuple[Any, ...]:
        return Readers, (self.paths,)

    def read(self, path: Path, column: str) -> pa.ChunkedArray:
        """A column of a file."""
        idle = self._idle[path]
        try:
            file = idle.pop()
        except IndexError:
            file = pq.ParquetFile(path, memory_map=True)
        values = file.read(columns=[column])[column]
        idle.append(file)
        return values


def _read(
    readers: Readers, fields: Mapping[str, pa.Field], utc: bool, name: str
) -> pa.ChunkedArray:
    column, type = fields[name].name, fields[name].type
    if utc and is_type.is_timestamp(type):
        type = pa.timestamp(type.unit)
    chunks: list[pa.Array] = []
    for path in readers.paths:
        with reading(path):
            values = readers.read(path, column)
        if values.type != type:
            try:
                values = values.cast(type)
            except pa.ArrowException as error:
                raise ConversionError(
                    f'{_place(path, values, type)}, column "{name}" is {values.type} and cannot be '
                    f'read as {type}, which it is in "{readers.paths[0]}": {error}; read the files '
                    "apart"
                ) from None
        chunks.extend(values.chunks)
    return pa.chunked_array(chunks, type)


def _place(path: Path, values: pa.ChunkedArray, type: pa.DataType) -> str:
    """Where the first value lies that does not convert to the type."""

    def fails(rows: int) -> bool:
        try:
            values.slice(0, rows).cast(type)
        except pa.ArrowException:
            return True
        return False

    row = first_failing(len(values), fails)
    return f'file "{path}"' + ("" if row is None else f" row {row + 1}")


def _leaves(footer: pq.FileMetaData) -> dict[str, int]:
    return {footer.schema.column(i).path: i for i in reversed(range(footer.num_columns))}


def _types(schema: pa.Schema) -> dict[str, Type]:
    return {field.name: type_of_arrow(field.type) for field in schema}


def _statistics(column: ColumnSchema, files: Sequence[Described]) -> ColumnStatistics:
    parts = []
    for leaves, types, groups in files:
        number = leaves.get(column.name)
        # Leaves of what is nested have paths of their own.
        if number is None or types[column.name] != column.type:
            return ColumnStatistics(has_nan=column.type.is_float)
        for group in groups:
            if group.num_rows:
                parts.append(_chunk_statistics(group.column(number).statistics, column.type))
    return merge(parts) if parts else ColumnStatistics(has_nan=False)


def _chunk_statistics(chunk: Any, type: Type) -> ColumnStatistics:
    if chunk is None:
        return ColumnStatistics(has_nan=type.is_float)
    try:
        minimum = _value(chunk.min, type) if chunk.has_min_max else None
        maximum = _value(chunk.max, type) if chunk.has_min_max else None
    except pa.ArrowNotImplementedError:  # older pyarrow has none of DECIMALs
        minimum = maximum = None
    return ColumnStatistics(
        minimum=None if maximum is None else minimum,
        maximum=None if minimum is None else maximum,
        non_null=chunk.has_null_count and chunk.null_count == 0,
        has_nan=type.is_float,
        distinct=chunk.distinct_count if chunk.has_distinct_count else None,
    )


def _value(value: Any, type: Type) -> Any:
    """A footer's bound as a physical value, or None where that is not exact."""
    match type.kind, value:
        case (Kind.DECIMAL, Decimal()):
            return int(value.scaleb(type.scale, EXACT))
        case (Kind.DATE, date()):
            return (value - date(1970, 1, 1)).days
        case (Kind.TIMESTAMP, datetime()) | (Kind.TIME | Kind.INTERVAL | Kind.BLOB, _):
            return None
        case (Kind.VARCHAR, bytes()) | (Kind.UUID, _):
            return None
        case (Kind.REAL | Kind.DOUBLE, float()):
            return None if value != value else value
        case (_, bool() | int() | str()):
            return value
        case _:
            return None
