"""NOT NULL, PRIMARY KEY and UNIQUE, checked over physical arrays. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tensorsql.errors import IntegrityError, UnsupportedError
from tensorsql.storage.columns.arrow_types import arrow_type
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.tables.catalog import TableSchema
from tensorsql.storage.tables.keys import Key, Positions, ascending_column, index_of, keys_of, pairs
from tensorsql.storage.tables.segment import Segment
from tensorsql.storage.tables.snapshot import TableState

PLACE = ""  # a field that no column can be called
KEYLESS = (Kind.LIST, Kind.STRUCT, Kind.INTERVAL, Kind.BOX, Kind.TENSOR, Kind.MASK)


def check_not_null(schema: TableSchema, arrays: Mapping[str, pa.Array]) -> None:
    """Raise IntegrityError for a NULL where the schema forbids it."""
    key = {name.lower() for name in schema.primary_key}
    for column in schema.columns:
        required = column.not_null or column.name.lower() in key
        if required and arrays[column.name].null_count:
            error = IntegrityError(f"NOT NULL constraint failed: {schema.name}.{column.name}")
            error.rows = _first(np.asarray(arrays[column.name].is_null()))
            error.cure = "put a value there, or add the rows with INSERT … SELECT coalesce(…)"
            raise error


def check_keys(state: TableState, new: Segment) -> None:
    """Raise IntegrityError if a row of `new` has the key of another live row, new or old."""
    for kind, key in keys_of(state.schema):
        duplicate = _duplicate(list(_suspects(state, new, key)))
        if duplicate is not None:
            shown = ", ".join(f"{n}: {_shown(v, key[n])}" for n, v in duplicate.items())
            message = f'duplicate key "{shown}" violates {kind} constraint of'
            error = IntegrityError(f"{message} {state.schema.name}")
            error.rows = _first(_having(new, duplicate, key))
            error.cure = (
                "keep one of them, with INSERT … SELECT DISTINCT ON (…)"
                if len(error.rows) > 1
                else "leave out what the table has, with INSERT … SELECT … WHERE … NOT IN (…)"
            )
            raise error


def _first(flags: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(flags)[:2].tolist())


def _having(segment: Segment, values: Mapping[str, Any], key: Key) -> np.ndarray:
    """Which rows have these values in the columns of a key."""
    flags = np.ones(segment.rows, np.bool_)
    for name, value in values.items():
        array = _comparable(segment.source.array(name), key[name])
        equal = pc.is_nan(array) if value != value else pc.equal(array, value)
        flags &= np.asarray(pc.fill_null(equal, False))
    return flags


def check_key_types(schema: TableSchema) -> None:
    """UnsupportedError for a key whose values cannot be told apart by an index."""
    for _, key in keys_of(schema):
        for name, type in key.items():
            if type.kind in KEYLESS:
                raise UnsupportedError(f'column "{name}" cannot be part of a key: it is {type}')


def _suspects(state: TableState, new: Segment, key: Key) -> Iterator[pa.Table]:
    """New rows, then live old ones, whose word in an index of the key another row has as well."""
    places = [] if _surely_unique(new, tuple(key)) else [index_of(new, key, None).repeated()]
    old = []
    for segment in state.segments:
        if any(_apart(segment.statistics[name], new.statistics[name]) for name in key):
            continue
        column = ascending_column(segment, key)
        here, there = pairs(index_of(new, key, column), index_of(segment, key, column))
        deleted = state.deleted(segment) if len(there) else None
        if deleted is not None:
            live = ~deleted[there]
            here, there = here[live], there[live]
        if len(there):
            places.append(here)
            old.append(_key_table(segment, key, np.unique(there)))
    if places:
        yield _key_table(new, key, np.unique(np.concatenate(places)))
        yield from old


def _apart(left: ColumnStatistics, right: ColumnStatistics) -> bool:
    if left.minimum is None or right.minimum is None or left.has_nan or right.has_nan:
        return False
    return bool(left.maximum < right.minimum or right.maximum < left.minimum)


def _surely_unique(segment: Segment, names: Sequence[str]) -> bool:
    if any(segment.statistics[name].unique for name in names):
        return True
    arrays = [segment.source.array(name) for name in names]
    if any(array.null_count or not pa.types.is_integer(array.type) for array in arrays):
        return False
    increasing = np.zeros(max(segment.rows - 1, 0), np.bool_)
    equal = np.ones(max(segment.rows - 1, 0), np.bool_)
    for array in arrays:
        values = array.to_numpy()
        increasing |= equal & (values[1:] > values[:-1])
        equal &= values[1:] == values[:-1]
    return bool(increasing.all())


def _key_table(segment: Segment, key: Key, rows: Positions) -> pa.Table:
    chosen = pa.array(rows)
    arrays = [_comparable(segment.source.array(n).take(chosen), type) for n, type in key.items()]
    table = pa.table(arrays, names=list(key))
    for name in key:  # rows with a NULL in the key are never duplicates
        if table[name].null_count:
            table = table.filter(table[name].is_valid())
    return table


def _comparable(array: pa.Array, type: Type) -> pa.Array:
    if isinstance(array, pa.DictionaryArray):
        return array.dictionary_decode()
    if pa.types.is_integer(array.type):
        return array.cast(pa.int64())
    if not type.is_float:
        return array
    array = pc.add(array, 0.0)  # −0.0 becomes 0.0
    return pc.if_else(pc.is_nan(array), pa.scalar(float("nan"), array.type), array)


def _duplicate(tables: list[pa.Table]) -> dict[str, object] | None:
    """The key that two rows have, of several the one that comes first."""
    if not tables:
        return None
    table = pa.concat_tables(tables)
    key = table.column_names
    numbered = table.append_column(PLACE, pa.array(np.arange(table.num_rows)))
    counted = numbered.group_by(key, use_threads=False).aggregate(
        [(PLACE, "min"), (PLACE, "count")]
    )
    repeated = counted.filter(pc.greater(counted[f"{PLACE}_count"], 1))
    if not repeated.num_rows:
        return None
    first = int(np.argmin(repeated[f"{PLACE}_min"].to_numpy()))
    row: dict[str, object] = repeated.select(key).slice(first, 1).to_pylist()[0]
    return row


def _shown(value: Any, type: Type) -> object:
    match type.kind:
        case Kind.DECIMAL if isinstance(value, int):
            return Decimal(f"{value}e{-type.scale}")
        case Kind.BOOLEAN:
            return bool(value)
        case Kind.DATE | Kind.TIME | Kind.TIMESTAMP:
            physical_type = pa.int32() if type.kind is Kind.DATE else pa.int64()
            return pa.scalar(value, physical_type).cast(arrow_type(type)).as_py()
        case _:
            return value
