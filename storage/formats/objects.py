"""Relations over objects of this process: Arrow, pandas, polars, numpy and torch, not imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tensorsql.errors import UnsupportedError
from tensorsql.storage import types
from tensorsql.storage.array_file import plain_booleans
from tensorsql.storage.arrow_types import type_of_arrow
from tensorsql.storage.catalog import ColumnSchema, Relation, TableSchema
from tensorsql.storage.lazy import lazy_relation
from tensorsql.storage.types import Type


def relation(name: str, value: Any, identity: str | None = None) -> Relation:
    """The object as a relation that reads it in place.

    UnsupportedError for an object that is no table. With `identity` its rows have stable ids.
    """
    return arrow_relation(name, arrow_table(value), identity)


def is_table(value: Any) -> bool:
    """Whether `relation` can read the object, decided by its type alone."""
    module = type(value).__module__.partition(".")[0]
    if module in ("pyarrow", "pandas", "polars", "numpy", "torch"):
        return True
    return hasattr(value, "__arrow_c_stream__") or _is_columns(value)


def arrow_table(value: Any) -> pa.Table:
    """The object as an Arrow table, without copying what Arrow can share.

    UnsupportedError for an object that is no table of columns with different names.
    """
    try:
        table = _arrow_table(value)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UnsupportedError(f"this {type(value).__name__} cannot be read: {error}") from None
    names = table.column_names
    if len(set(names)) < len(names) or not names:
        problem = f"columns of one name: {', '.join(names)}" if names else "no columns"
        raise UnsupportedError(f"this {type(value).__name__} has {problem}")
    return table


def _arrow_table(value: Any) -> pa.Table:
    if isinstance(value, pa.Table):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if isinstance(value, pa.RecordBatchReader):
        return value.read_all()
    module = type(value).__module__.partition(".")[0]
    if module == "pandas" and hasattr(value, "columns"):
        return pa.Table.from_pandas(value, preserve_index=False).replace_schema_metadata()
    if hasattr(value, "__arrow_c_stream__"):
        return pa.table(value)
    if module == "numpy" and isinstance(value, np.ndarray):
        return _numpy_table(value)
    if module == "torch":
        return _numpy_table(value.detach().cpu().numpy())
    if _is_columns(value):
        return pa.table({str(key): _array(part) for key, part in value.items()})
    raise UnsupportedError(f"{type(value).__name__} is not a table that can be read")


def arrow_relation(
    name: str, table: pa.Table, identity: str | None = None, inferred: bool = False
) -> Relation:
    """An Arrow table as a relation; each column is converted when it is first read.

    Of types `inferred` from text, DECIMAL(38, 0) means HUGEINT.
    """
    kinds = [type_of_arrow(field.type) for field in table.schema]
    kinds = [_with_hugeint(kind) for kind in kinds] if inferred else kinds
    columns = tuple(map(ColumnSchema, table.column_names, kinds))
    schema = TableSchema(name, columns)
    return lazy_relation(schema, table.num_rows, table.column, identity=identity)


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


def _array(value: Any) -> Any:
    if type(value).__module__.partition(".")[0] == "torch":
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return numpy_array(value)
    return pa.array(value) if not isinstance(value, pa.Array | pa.ChunkedArray) else value


def numpy_array(values: np.ndarray) -> pa.Array:
    """A numpy array as one Arrow column: numbers, or TENSORs beyond one dimension."""
    if values.ndim <= 1:
        return pa.array(values.reshape(-1))
    contiguous = np.ascontiguousarray(values)
    if contiguous.dtype == np.bool_:
        contiguous = plain_booleans(contiguous).view(np.uint8)
    numbers = pa.array(contiguous.reshape(-1))
    rows = pa.FixedSizeListArray.from_arrays(numbers, math.prod(values.shape[1:]))
    kind = pa.fixed_shape_tensor(numbers.type, values.shape[1:])
    return pa.ExtensionArray.from_storage(kind, rows)


def _numpy_table(values: np.ndarray) -> pa.Table:
    if values.dtype.names:
        return pa.table({name: numpy_array(values[name]) for name in values.dtype.names})
    if values.ndim == 2:
        return pa.table({f"column{i}": pa.array(values[:, i]) for i in range(values.shape[1])})
    return pa.table({"value": numpy_array(values)})
