"""The physical form of a column: one Arrow array that tensors can wrap without copying. Torch-free.

| type | physical Arrow array |
|---|---|
| NULL, BOOLEAN | uint8 |
| integers, DATE, TIME, TIMESTAMP, DECIMAL ≤ 18 | int8 … int64, narrower when stored |
| REAL, DOUBLE | float32, float64 |
| HUGEINT, DECIMAL > 18 | decimal128 |
| INTERVAL | month_day_nano_interval |
| VARCHAR, UUID | large_string, or dictionary of int32 codes and sorted unique large_string |
| ENUM | dictionary of int32 codes and the members |
| BLOB | large_binary |
| BOX, TENSOR | fixed_size_list of numbers |
| LIST, STRUCT | large_list, struct of physical arrays |

Values under NULL are zeros and lists under NULL are empty.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_type
from numpy.typing import NDArray

from tensorsql.errors import ConversionError, TypeMismatchError
from tensorsql.storage.columns.arrays import (
    Numbers,
    bitmap,
    numbers_of,
    one_array,
    valid_flags,
    with_flags,
)
from tensorsql.storage.columns.arrow_types import (
    BOX_FIELDS,
    ENUM_ARROW,
    arrow_type,
    element_type,
    numpy_dtype,
)
from tensorsql.storage.columns.text import encode_text, sort_dictionary
from tensorsql.storage.columns.types import Kind, Type

NARROWED = (Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT, Kind.DECIMAL, Kind.DATE)
_NANOSECONDS = (
    "times have microseconds here, and some of these have nanoseconds; "
    "round them first, for example .dt.floor('us')"
)
_INTEGER_DTYPES = (np.int8, np.int16, np.int32)


def physical(array: pa.Array | pa.ChunkedArray, type: Type, stored: bool = False) -> pa.Array:
    """The values as `type` in physical form; `stored` narrows integers and encodes repeated text.

    Raises ConversionError for a value that does not fit the type.
    """
    try:
        result = _convert(one_array(array), type, stored)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConversionError(f"cannot convert {array.type} to {type}: {error}") from None
    return narrow(result) if stored and type.kind in NARROWED and not type.is_wide else result


def is_physical(kind: pa.DataType, type: Type) -> bool:
    """Whether arrays of an Arrow type can be a stored column of a SQL type."""
    if type.kind is Kind.MASK:
        return bool(kind == pa.uint8())
    if type.kind in NARROWED and not type.is_wide:
        return bool(is_type.is_signed_integer(kind))
    usual = _usual(type)
    if type.kind is Kind.TENSOR and not type.shape:
        return bool(is_type.is_fixed_size_list(kind) and kind.value_type == usual.value_type)
    return bool(kind == usual or (type.is_text and kind == ENUM_ARROW))


@cache
def _usual(type: Type) -> pa.DataType:
    return physical(pa.nulls(0), type).type


def narrow(array: pa.Array) -> pa.Array:
    """Integers in the narrowest dtype that holds them all."""
    values = numbers_of(array, numpy_dtype(array.type))
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    for dtype in _INTEGER_DTYPES:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            smaller = np.dtype(dtype)
            return array.cast(pa.from_numpy_dtype(smaller)) if smaller < values.dtype else array
    return array


def _convert(array: pa.Array, type: Type, stored: bool) -> pa.Array:
    if is_type.is_null(array.type) and type.kind in (Kind.LIST, Kind.STRUCT):
        array = pa.nulls(len(array), arrow_type(type))
    match type.kind:
        case Kind.NULL:
            return with_flags(np.zeros(len(array), np.uint8), np.zeros(len(array), np.bool_))
        case Kind.BOOLEAN:
            flags = array.cast(pa.bool_())
            return with_flags(_booleans(flags).view(np.uint8), valid_flags(flags))
        case Kind.DECIMAL if not type.is_wide:
            words = numbers_of(_cast(array, type), np.int64)
            return with_flags(words.reshape(-1, 2)[:, 0], valid_flags(array))
        case Kind.DECIMAL | Kind.HUGEINT | Kind.INTERVAL:
            return _sixteen_bytes(
                _interval(array) if type.kind is Kind.INTERVAL else _cast(array, type)
            )
        case Kind.VARCHAR | Kind.UUID:
            return _text(array, stored)
        case Kind.ENUM:
            return _enum(array, type)
        case Kind.BLOB:
            return _empty_under_null(array.cast(pa.large_binary()))
        case Kind.BOX:
            return _box(array)
        case Kind.TENSOR:
            return _tensor(array, type)
        case Kind.LIST:
            return _list(array, type)
        case Kind.STRUCT:
            return _struct(array, type)
        case Kind.MASK:
            raise TypeMismatchError("a MASK cannot be made from an Arrow array; use read_masks")
        case _:
            fixed = _cast(array, type)
            return _zero_under_null(fixed)


def _zero_under_null(array: pa.Array) -> pa.Array:
    dtype = np.dtype(f"i{array.type.bit_width // 8}")
    if is_type.is_floating(array.type):
        dtype = numpy_dtype(array.type)
    flags = valid_flags(array)
    if flags is None:  # only the type's name changes: no copy
        physical_type = pa.from_numpy_dtype(dtype)
        return pa.Array.from_buffers(
            physical_type, len(array), [None, array.buffers()[1]], offset=array.offset
        )
    return with_flags(numbers_of(array, dtype), flags)


def _cast(array: pa.Array, type: Type) -> pa.Array:
    target = arrow_type(type)
    if array.type == target:
        return array
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if is_type.is_timestamp(array.type) and array.type.tz is not None:
        raise ConversionError(
            f"a TIMESTAMP keeps no time zone, and this has {array.type.tz}; convert it first (in "
            "pandas .dt.tz_convert('UTC').dt.tz_localize(None)), or read_parquet(…, utc => true)"
        )
    if is_type.is_integer(array.type) and is_type.is_decimal(target):
        # Arrow wants room for the widest integer, whatever the values are
        array = array.cast(pa.decimal256(76, target.scale))
    try:
        return array.cast(target)
    except pa.ArrowInvalid as error:
        if str(array.type).endswith("[ns]"):
            raise ConversionError(f"{_NANOSECONDS} ({error})") from None
        raise


def _booleans(array: pa.Array) -> NDArray[np.bool_]:
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.zeros(len(array), np.bool_)
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].view(np.bool_)


def _interval(array: pa.Array) -> pa.Array:
    if is_type.is_duration(array.type):
        words = np.zeros((len(array), 2), np.int64)
        words[:, 1] = numbers_of(array.cast(pa.duration("ns")), np.int64)
    else:
        array = array.cast(pa.month_day_nano_interval())
        words = numbers_of(array, np.int64)
    words, flags = words.reshape(-1, 2), valid_flags(array)
    nanoseconds = words[:, 1] if flags is None else words[flags, 1]
    if (nanoseconds % 1000).any():
        raise ConversionError(_NANOSECONDS)
    buffers = [bitmap(valid_flags(array)), pa.py_buffer(words)]
    return pa.Array.from_buffers(pa.month_day_nano_interval(), len(array), buffers)


def _sixteen_bytes(array: pa.Array) -> pa.Array:
    flags = valid_flags(array)
    if flags is None:
        return array
    words = np.where(flags[:, None], numbers_of(array, np.int64), 0)
    return pa.Array.from_buffers(array.type, len(array), [bitmap(flags), pa.py_buffer(words)])


def _text(array: pa.Array, stored: bool) -> pa.Array:
    if isinstance(array, pa.DictionaryArray) and is_type.is_unicode(array.type.value_type) | (
        is_type.is_large_string(array.type.value_type)
    ):
        return sort_dictionary(array)
    if isinstance(array.type, pa.UuidType):
        text = _uuid_text(array)
    else:
        plain = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
        text = _empty_under_null(plain.cast(pa.large_string()))
    return encode_text(text) if stored else text


def _uuid_text(array: pa.Array) -> pa.Array:
    count = len(array)
    raw = np.frombuffer(array.storage.buffers()[1] or b"", np.uint8)
    raw = raw[array.offset * 16 : (array.offset + count) * 16].reshape(count, 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    hexes = digits[np.stack([raw >> 4, raw & 15], axis=2).reshape(count, 32)]
    text = np.full((count, 36), ord("-"), np.uint8)
    text[:, [i for i in range(36) if i not in (8, 13, 18, 23)]] = hexes
    offsets = np.arange(count + 1, dtype=np.int64) * 36
    buffers = [bitmap(valid_flags(array)), pa.py_buffer(offsets), pa.py_buffer(text)]
    return _empty_under_null(pa.Array.from_buffers(pa.large_string(), count, buffers))


def _enum(array: pa.Array, type: Type) -> pa.Array:
    members = pa.array(type.members, pa.large_string())
    plain = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
    text = plain.cast(pa.large_string())
    codes = pc.index_in(text, value_set=members, skip_nulls=True)
    if codes.null_count > text.null_count:
        unknown = text.filter(pc.and_(codes.is_null(), text.is_valid()))[0].as_py()
        raise ConversionError(f"'{unknown}' is not a member of {type}")
    codes = with_flags(numbers_of(codes, np.int32), valid_flags(codes))
    return pa.DictionaryArray.from_arrays(codes, members)


def _empty_under_null(array: pa.Array) -> pa.Array:
    flags = valid_flags(array)
    if flags is None:
        return array
    offsets = np.frombuffer(array.buffers()[1], np.int64, len(array) + 1, array.offset * 8)
    if not np.diff(offsets)[~flags].any():
        return array
    return array.take(pa.array(np.arange(len(array))))


def _box(array: pa.Array) -> pa.Array:
    flags = valid_flags(array)
    if is_type.is_struct(array.type):
        names = {field.name for field in array.type}
        if not names.issuperset(BOX_FIELDS):
            raise ConversionError(
                f"a BOX needs the fields {', '.join(BOX_FIELDS)}, not {array.type}"
            )
        parts = [array.field(name).cast(pa.float64()) for name in BOX_FIELDS]
        values = np.stack([numbers_of(part, np.float64) for part in parts], axis=1)
        return _fixed_size_list(values, flags)
    return _fixed_size_list(_rows_of_lists(array, pa.float64(), 4), flags)


def _tensor(array: pa.Array, type: Type) -> pa.Array:
    flags = valid_flags(array)
    storage = array.storage if isinstance(array, pa.ExtensionArray) else array
    width = math.prod(type.shape) if type.shape else None
    return _fixed_size_list(_rows_of_lists(storage, element_type(type), width), flags)


def _rows_of_lists(array: pa.Array, element: pa.DataType, width: int | None) -> Numbers:
    """The numbers of (nested) lists of one length as [n, width], zeros where a list is NULL."""
    count, flags = len(array), valid_flags(array)
    values = array if flags is None else array.filter(pa.array(flags))
    present = len(values)
    while is_type.is_nested(values.type):
        if is_type.is_fixed_size_list(values.type):
            size = values.type.list_size
            values = values.values.slice(values.offset * size, len(values) * size)
        else:
            values = values.flatten()
    if values.null_count:
        raise ConversionError("a number inside a TENSOR or BOX cannot be NULL")
    numbers = numbers_of(values.cast(element), numpy_dtype(element))
    width = width or len(numbers) // max(present, 1)
    if len(numbers) != present * width:
        raise ConversionError(
            f"every row needs {width} numbers; {present} rows have {len(numbers)}"
        )
    rows = numbers.reshape(present, width)
    if flags is None:
        return rows
    result = np.zeros((count, width), rows.dtype)
    result[flags] = rows
    return result


def _fixed_size_list(rows: Numbers, flags: NDArray[np.bool_] | None) -> pa.Array:
    if flags is not None:
        rows = np.where(flags[:, None], rows, rows.dtype.type(0))
    values = pa.array(np.ascontiguousarray(rows).reshape(-1))
    list_type = pa.list_(values.type, rows.shape[1])
    return pa.Array.from_buffers(list_type, len(rows), [bitmap(flags)], children=[values])


def _list(array: pa.Array, type: Type) -> pa.Array:
    if type.child is None:
        raise TypeMismatchError("a LIST needs an element type")
    if is_type.is_map(array.type):
        entries = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
        array = array.cast(pa.list_(entries))
    if not is_type.is_large_list(array.type):
        array = array.cast(pa.large_list(array.type.value_type))
    array = _empty_under_null(array)
    child = _convert(array.values, type.child, False)
    offsets = np.frombuffer(array.buffers()[1] or bytes(8), np.int64)
    offsets = offsets[array.offset : array.offset + len(array) + 1]
    buffers = [bitmap(valid_flags(array)), pa.py_buffer(np.ascontiguousarray(offsets))]
    return pa.Array.from_buffers(pa.large_list(child.type), len(array), buffers, children=[child])


def _struct(array: pa.Array, type: Type) -> pa.Array:
    if not is_type.is_struct(array.type):
        raise ConversionError(f"cannot convert {array.type} to {type}")
    flattened = dict(zip((field.name for field in array.type), array.flatten(), strict=True))
    missing = [name for name, _ in type.fields if name not in flattened]
    if missing:
        raise ConversionError(f"field {missing[0]} of {type} is missing in {array.type}")
    children = [_convert(flattened[name], child, False) for name, child in type.fields]
    fields = [pa.field(name, c.type) for (name, _), c in zip(type.fields, children, strict=True)]
    flags = valid_flags(array)
    return pa.Array.from_buffers(pa.struct(fields), len(array), [bitmap(flags)], children=children)
