"""NOT NULL, PRIMARY KEY and UNIQUE, checked over physical arrays. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tensorsql.errors import IntegrityError
from tensorsql.storage.arrow_types import arrow_type
from tensorsql.storage.catalog import TableSchema
from tensorsql.storage.segment import Segment
from tensorsql.storage.snapshot import TableState
from tensorsql.storage.statistics import ColumnStatistics
from tensorsql.storage.types import Kind, Type


def check_not_null(schema: TableSchema, arrays: Mapping[str, pa.Array]) -> None:
    """Raise IntegrityError for a NULL where the schema forbids it."""
    key = {name.lower() for name in schema.primary_key}
    for column in schema.columns:
        required = column.not_null or column.name.lower() in key
        if required and arrays[column.name].null_count:
            raise IntegrityError(f"NOT NULL constraint failed: {schema.name}.{column.name}")


def check_keys(state: TableState, new: Segment) -> None:
    """Raise IntegrityError if a row of `new` has the key of another live row, new or old."""
    keys = [("PRIMARY KEY", state.schema.primary_key)] if state.schema.primary_key else []
    for kind, key in [*keys, *(("UNIQUE", key) for key in state.schema.unique)]:
        columns = [column for name in key if (column := state.schema.column(name))]
        types = {column.name: column.type for column in columns}
        candidates = list(_candidates(state, new, types))
        if candidates or not _surely_unique(new, tuple(types)):
            fresh = _key_table(new, types, None)
            duplicate = _duplicate(pa.concat_tables([fresh, *candidates]))
            if duplicate is not None:
                shown = ", ".join(f"{n}: {_shown(v, types[n])}" for n, v in duplicate.items())
                message = f'duplicate key "{shown}" violates {kind} constraint of'
                raise IntegrityError(f"{message} {state.schema.name}")


def _candidates(state: TableState, new: Segment, types: Mapping[str, Type]) -> Iterator[pa.Table]:
    for segment in state.segments:
        if any(_apart(segment.statistics[n], new.statistics[n]) for n in types):
            continue
        yield _key_table(segment, types, state.deleted(segment))


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


def _key_table(segment: Segment, types: Mapping[str, Type], deleted: object) -> pa.Table:
    arrays = [_comparable(segment.source.array(name), type) for name, type in types.items()]
    table = pa.table(arrays, names=list(types))
    if deleted is not None:
        table = table.filter(pa.array(~np.asarray(deleted)))
    for name in types:  # rows with a NULL in the key are never duplicates
        if table[name].null_count:
            table = table.filter(table[name].is_valid())
    return table


def _comparable(array: pa.Array, type: Type) -> pa.Array:
    if isinstance(array, pa.DictionaryArray):
        return array.dictionary_decode()
    if pa.types.is_integer(array.type):
        return array.cast(pa.int64())
    return pc.add(array, 0.0) if type.is_float else array  # −0.0 becomes 0.0


def _duplicate(table: pa.Table) -> dict[str, object] | None:
    counted = table.group_by(table.column_names).aggregate([([], "count_all")])
    repeated = counted.filter(pc.greater(counted["count_all"], 1))
    if not repeated.num_rows:
        return None
    row: dict[str, object] = repeated.slice(0, 1).drop_columns(["count_all"]).to_pylist()[0]
    return row


def _shown(value: Any, type: Type) -> object:
    match type.kind:
        case Kind.DECIMAL if isinstance(value, int):
            return Decimal(value).scaleb(-type.scale)
        case Kind.BOOLEAN:
            return bool(value)
        case Kind.DATE | Kind.TIME | Kind.TIMESTAMP:
            physical_type = pa.int32() if type.kind is Kind.DATE else pa.int64()
            return pa.scalar(value, physical_type).cast(arrow_type(type)).as_py()
        case _:
            return value
