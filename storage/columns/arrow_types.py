"""The two-way mapping between SQL types and Arrow types, free of torch.

| SQL | Arrow out | also read |
|---|---|---|
| integers | int8 … int64 | uint8 … uint32 into the next wider type, uint64 into HUGEINT |
| HUGEINT | decimal128(38, 0) | |
| DECIMAL(p, s) | decimal128(p, s) | decimal32, decimal64, decimal256 up to 38 digits |
| REAL, DOUBLE | float32, float64 | float16 into REAL |
| DATE, TIME, TIMESTAMP | date32, time64[us], timestamp[us] | in whole microseconds, no zone |
| INTERVAL | month_day_nano_interval | duration |
| VARCHAR, UUID, BLOB | large_string, large_string, large_binary | dictionary, views, arrow.uuid |
| ENUM | dictionary of int32 and large_string | |
| BOX | struct of four doubles x0, y0, x1, y1 | |
| LIST, STRUCT | large_list, struct | list, map (a LIST of key and value) |
| TENSOR(shape) | arrow.fixed_shape_tensor | fixed_size_list of numbers, nested too |
| MASK | large_list of large_list of the stored numbers | |
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as is_type

from tensorsql.errors import UnsupportedError
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import Kind, Type

BOX_FIELDS = ("x0", "y0", "x1", "y1")
BOX_ARROW = pa.struct([(name, pa.float64()) for name in BOX_FIELDS])
ENUM_ARROW = pa.dictionary(pa.int32(), pa.large_string())

_TO_ARROW: dict[Kind, pa.DataType] = {
    Kind.NULL: pa.null(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TINYINT: pa.int8(),
    Kind.SMALLINT: pa.int16(),
    Kind.INTEGER: pa.int32(),
    Kind.BIGINT: pa.int64(),
    Kind.HUGEINT: pa.decimal128(38, 0),
    Kind.REAL: pa.float32(),
    Kind.DOUBLE: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.TIME: pa.time64("us"),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.INTERVAL: pa.month_day_nano_interval(),
    Kind.VARCHAR: pa.large_string(),
    Kind.UUID: pa.large_string(),
    Kind.BLOB: pa.large_binary(),
    Kind.ENUM: ENUM_ARROW,
    Kind.BOX: BOX_ARROW,
}

_FROM_ARROW: dict[pa.DataType, Type] = {
    pa.null(): types.NULL,
    pa.bool_(): types.BOOLEAN,
    pa.int8(): types.TINYINT,
    pa.int16(): types.SMALLINT,
    pa.int32(): types.INTEGER,
    pa.int64(): types.BIGINT,
    pa.uint8(): types.SMALLINT,
    pa.uint16(): types.INTEGER,
    pa.uint32(): types.BIGINT,
    pa.uint64(): types.HUGEINT,
    pa.float16(): types.REAL,
    pa.float32(): types.REAL,
    pa.float64(): types.DOUBLE,
    pa.month_day_nano_interval(): types.INTERVAL,
    pa.string(): types.VARCHAR,
    pa.large_string(): types.VARCHAR,
    pa.string_view(): types.VARCHAR,
    pa.binary(): types.BLOB,
    pa.large_binary(): types.BLOB,
    pa.binary_view(): types.BLOB,
    BOX_ARROW: types.BOX,
}


def arrow_type(type: Type) -> pa.DataType:
    """The Arrow type in which columns of this type leave the engine."""
    match type.kind:
        case Kind.DECIMAL:
            return pa.decimal128(type.precision, type.scale)
        case Kind.LIST if type.child is not None:
            return pa.large_list(arrow_type(type.child))
        case Kind.STRUCT:
            return pa.struct([(name, arrow_type(field)) for name, field in type.fields])
        case Kind.MASK:
            return pa.large_list(pa.large_list(element_type(type)))
        case Kind.TENSOR if type.shape:
            return pa.fixed_shape_tensor(element_type(type), list(type.shape))
        case Kind.TENSOR:
            return pa.large_list(element_type(type))
        case _:
            return _TO_ARROW[type.kind]


def element_type(type: Type) -> pa.DataType:
    """The Arrow type of one stored number of a MASK or TENSOR; bool is kept as uint8."""
    element = type.element or "float32"
    return pa.uint8() if element == "bool" else pa.from_numpy_dtype(np.dtype(element))


def numpy_dtype(arrow: pa.DataType) -> np.dtype[Any]:
    """The numpy dtype of numbers of an Arrow type; Arrow's own way would import pandas."""
    letter = "f" if is_type.is_floating(arrow) else "u" if str(arrow).startswith("u") else "i"
    return np.dtype(f"{letter}{arrow.bit_width // 8}")


def type_of_arrow(arrow: pa.DataType) -> Type:
    """The SQL type that columns of an Arrow type are read as; UnsupportedError if there is none."""
    simple = _FROM_ARROW.get(arrow)
    if simple is not None:
        return simple
    if is_type.is_decimal(arrow):
        return _decimal(arrow)
    if is_type.is_date(arrow):
        return types.DATE
    if is_type.is_time(arrow):
        return types.TIME
    if is_type.is_timestamp(arrow):
        return types.TIMESTAMP
    if is_type.is_duration(arrow):
        return types.INTERVAL
    if is_type.is_dictionary(arrow):
        return type_of_arrow(arrow.value_type)
    return _nested(arrow)


def _decimal(arrow: pa.DataType) -> Type:
    scale = max(arrow.scale, 0)
    precision = max(arrow.precision + scale - arrow.scale, scale)
    if precision > 38:
        raise UnsupportedError(f"{arrow} has more than the 38 digits a DECIMAL can have")
    return types.decimal(precision, scale)


def _nested(arrow: pa.DataType) -> Type:
    if isinstance(arrow, pa.FixedShapeTensorType):
        return types.tensor(tuple(arrow.shape), str(numpy_dtype(arrow.value_type)))
    if isinstance(arrow, pa.UuidType):
        return types.UUID
    if isinstance(arrow, pa.BaseExtensionType):
        return _extension(arrow)
    if is_type.is_fixed_size_binary(arrow):
        return types.BLOB
    if is_type.is_fixed_size_list(arrow):
        return _fixed_size_list(arrow)
    if is_type.is_map(arrow):
        entry = (("key", type_of_arrow(arrow.key_type)), ("value", type_of_arrow(arrow.item_type)))
        return types.list_of(types.struct(*entry))
    if is_type.is_list(arrow) or is_type.is_large_list(arrow):
        return types.list_of(type_of_arrow(arrow.value_type))
    if is_type.is_struct(arrow):
        return types.struct(*((field.name, type_of_arrow(field.type)) for field in arrow))
    raise UnsupportedError(f"columns of Arrow type {arrow} cannot be read")


def _extension(arrow: Any) -> Type:
    name = getattr(arrow, "extension_name", str(arrow))
    if name == "arrow.json":
        return types.VARCHAR
    if name == "arrow.bool8":
        return types.BOOLEAN
    raise UnsupportedError(
        f"columns of Arrow's extension type {name} cannot be read; convert them first, "
        f"for example to the {arrow.storage_type} they are stored as"
    )


def _fixed_size_list(arrow: pa.DataType) -> Type:
    shape = [arrow.list_size]
    value = arrow.value_type
    while is_type.is_fixed_size_list(value):
        shape.append(value.list_size)
        value = value.value_type
    if is_type.is_integer(value) or is_type.is_floating(value):
        return types.tensor(tuple(shape), str(numpy_dtype(value)))
    return types.list_of(type_of_arrow(arrow.value_type))
