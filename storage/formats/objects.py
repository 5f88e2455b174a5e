"""Relations over objects of this process: Arrow, pandas, polars, numpy and torch, not imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as is_type

from tensorsql.errors import UnsupportedError
from tensorsql.storage.columns import types
from tensorsql.storage.columns.arrays import one_array, owned
from tensorsql.storage.columns.arrow_types import type_of_arrow
from tensorsql.storage.columns.places import Places
from tensorsql.storage.columns.python_arrays import column_array, torch_values
from tensorsql.storage.columns.types import Type
from tensorsql.storage.tables.catalog import ColumnSchema, Relation, TableSchema, distinct_names
from tensorsql.storage.tables.lazy import Load, lazy_relation


def relation(name: str, value: Any) -> Relation:
    """The object as a relation; its scalars are what they were when they were first read.

    Tensors are read in place. UnsupportedError for an object that is no table.
    """
    table = arrow_table(value)
    return arrow_relation(name, table, load=partial(_scalars_owned, table))


def _scalars_owned(table: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    """A column; scalars, of which statistics tell, are a copy that their owner cannot change."""
    column = table.column(name)
    return owned(one_array(column)) if is_type.is_primitive(column.type) else column


def is_table(value: Any) -> bool:
    """Whether `relation` can read the object, decided by its type alone."""
    module = type(value).__module__.partition(".")[0]
    if module in ("pyarrow", "pandas", "polars", "numpy", "torch"):
        return True
    return hasattr(value, "__arrow_c_stream__") or _is_columns(value)


def arrow_table(value: Any) -> pa.Table:
    """The object as an Arrow table, without copying what Arrow can share.

    Columns of one name, case aside, are numbered. UnsupportedError for an object that is no table.
    """
    try:
        table = _arrow_table(value)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise UnsupportedError(f"this {type(value).__name__} cannot be read: {error}") from None
    if not table.num_columns:
        raise UnsupportedError(f"this {type(value).__name__} has no columns")
    return table.rename_columns(distinct_names(table.column_names))


def _arrow_table(value: Any) -> pa.Table:
    if isinstance(value, pa.Table):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if isinstance(value, pa.RecordBatchReader):
        return value.read_all()
    module = type(value).__module__.partition(".")[0]
    if module in ("pandas", "polars") and hasattr(value, "to_frame"):  # one column
        value = value.to_frame(value.name or "value")
    if module == "pandas" and hasattr(value, "columns"):
        columns = [value.iloc[:, i] for i in range(len(value.columns))]
        return _table(value.columns, columns)
    if module == "polars":
        _check_polars(value)
    if hasattr(value, "__arrow_c_stream__"):
        return pa.table(value)
    if module == "numpy" and isinstance(value, np.ndarray):
        return _numpy_table(value)
    if module == "torch":
        return _numpy_table(torch_values(value))
    if _is_columns(value):
        return _table(value.keys(), value.values())
    raise UnsupportedError(f"{type(value).__name__} is not a table that can be read")


def _check_polars(value: Any) -> None:
    """Objects leave polars as addresses in memory."""
    if not hasattr(value, "__arrow_c_stream__"):
        raise UnsupportedError(f"a polars {type(value).__name__} holds no rows yet; collect() it")
    for name, kind in value.schema.items():
        if str(kind) == "Object":
            raise UnsupportedError(f'column "{name}" holds Python objects, not values')


def arrow_relation(
    name: str,
    table: pa.Table,
    inferred: bool = False,
    places: Places | None = None,
    load: Load | None = None,
) -> Relation:
    """An Arrow table as a relation; each column is converted when it is first read.

    Of types `inferred` from text, DECIMAL(38, 0) means HUGEINT.
    """
    kinds = [type_of_arrow(field.type) for field in table.schema]
    kinds = [_with_hugeint(kind) for kind in kinds] if inferred else kinds
    columns = tuple(map(ColumnSchema, table.column_names, kinds))
    schema = TableSchema(name, columns)
    return lazy_relation(schema, table.num_rows, load or table.column, places=places)


def _with_hugeint(kind: Type) -> Type:
    if kind == types.decimal(38, 0):
        return types.HUGEINT
    child = None if kind.child is None else _with_hugeint(kind.child)
    fields = tuple((name, _with_hugeint(field)) for name, field in kind.fields)
    return replace(kind, child=child, fields=fields)


def _is_columns(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(hasattr(part, "__len__") and not isinstance(part, str) for part in value.values())
    )


def _numpy_table(values: np.ndarray) -> pa.Table:
    if values.dtype.names:
        return _table(values.dtype.names, [values[name] for name in values.dtype.names])
    if values.ndim == 2:
        columns = [values[:, i] for i in range(values.shape[1])]
        return _table([f"column{i}" for i in range(len(columns))], columns)
    return _table(["value"], [values])


def _table(names: Iterable[Any], columns: Iterable[Any]) -> pa.Table:
    arrays = [column_array(column) for column in columns]
    return pa.table(arrays, names=[str(name) for name in names])
