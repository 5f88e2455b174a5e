"""JSON by Arrow's reader, where that is proven to read what json.loads would.

Arrow reads numbers as 64-bit integers or doubles and guesses timestamps. What it refuses, and what
could have lost something on its way, is None here, and read value by value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json
import pyarrow.types as is_type

from tensorsql.cancellation import apart
from tensorsql.storage.formats.text import inference
from tensorsql.storage.formats.text.json_shapes import (
    NOTHING,
    PLAIN,
    Shape,
    array_of,
    merged,
    nested_lists,
)
from tensorsql.storage.formats.text.search import contains

BLOCK = 16 << 20
DEEPEST = 200  # Arrow's reader uses the machine's stack
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_LONG_INTEGER = "[0-9]{16}"
_TINY = "[eE]-0*[1-9][0-9][0-9]|0{300}"


class _Unfit(ValueError):
    """These values have to be read one by one."""


def read(content: bytes) -> tuple[list[pa.StructArray], Shape] | None:
    """The objects of a text and their shape; None if Arrow may have lost something."""
    if b"\0" in content or not _is_shallow(content):
        return None
    try:
        arrays = apart(lambda: _objects(content), len(content))
        shape = NOTHING
        for array in arrays:
            shape = merged(shape, _shape(array, content))
    except (_Unfit, pa.ArrowException):
        return None
    return arrays, shape


def fitted(arrays: Sequence[pa.StructArray], shape: Shape) -> list[pa.Array] | None:
    """The objects in a shape that has taken in more; None if that needs their text."""
    try:
        return [_fitted(array, shape) for array in arrays]
    except _Unfit:
        return None


def _is_shallow(content: bytes) -> bool:
    """Whether brackets, those inside texts too, nest no deeper than a stack can hold."""
    marks = np.frombuffer(content.translate(None, _OTHERS), np.uint8)
    steps = np.where(np.isin(marks, np.frombuffer(b"[{", np.uint8)), 1, -1)
    return bool(steps.cumsum().max(initial=0) <= DEEPEST)


def _objects(content: bytes) -> list[pa.StructArray]:
    first = re.match(rb"[ \t\r\n]*(.?)", content)
    if first is None or first[1] not in (b"{", b"["):
        raise _Unfit
    if first[1] == b"{":
        table = _table(content, min(BLOCK, len(content) + 1), pa.schema([]))
        return [batch.to_struct_array() for batch in table.to_batches()]
    whole = b'{"":' + content + b"}"
    table = _table(whole, len(whole) + 1, pa.schema([]))
    if table.num_rows != 1 or table.column_names != [""] or not is_type.is_list(table[0].type):
        raise _Unfit
    values = table[0].chunk(0).values
    if not is_type.is_struct(values.type):
        raise _Unfit
    return [values]


def _table(content: bytes, block: int, schema: pa.Schema) -> pa.Table:
    """What Arrow reads, with texts that it would take for timestamps as texts."""
    table = arrow_json.read_json(
        pa.BufferReader(content),
        # by several threads late fields come in any order
        arrow_json.ReadOptions(use_threads=False, block_size=block),
        arrow_json.ParseOptions(explicit_schema=schema, newlines_in_values=block > len(content)),
    )
    plain = pa.schema([field.with_type(_without_guesses(field.type)) for field in table.schema])
    if plain != table.schema:
        return _table(content, block, plain)
    table.validate(full=True)
    return table


def _without_guesses(type: pa.DataType) -> pa.DataType:
    if is_type.is_timestamp(type):
        return pa.string()
    if is_type.is_list(type):
        return pa.list_(_without_guesses(type.value_type))
    if is_type.is_struct(type):
        return pa.struct([(field.name, _without_guesses(field.type)) for field in type])
    return type


def _shape(array: pa.Array, content: bytes) -> Shape:
    type = array.type
    if is_type.is_null(type):
        return NOTHING
    if is_type.is_boolean(type):
        return Shape("boolean")
    if is_type.is_int64(type):
        return Shape("number", inexact=_is_inexact(array))
    if is_type.is_floating(type):
        _check_doubles(array, content)
        return Shape("number", fraction=True)
    if is_type.is_string(type):
        return Shape("text")
    if is_type.is_list(type):
        return Shape("list", child=_shape(array.values, content))
    if is_type.is_struct(type) and type.num_fields:
        fields = ((type[i].name, _shape(array.field(i), content)) for i in range(type.num_fields))
        return Shape("object", fields=tuple(fields))
    raise _Unfit


def _is_inexact(array: pa.Array) -> bool:
    """Whether a double would lose one of the integers."""
    large = array.filter(pc.greater(pc.abs(array), pa.scalar(int(inference.EXACT))))
    return any(int(float(value)) != value for value in large.to_pylist())


def _check_doubles(array: pa.Array, content: bytes) -> None:
    """An integer may have become a double, and a number near zero zero."""
    size = pc.abs(array)
    if pc.any(pc.greater_equal(size, inference.EXACT)).as_py() and contains(content, _LONG_INTEGER):
        raise _Unfit
    if not pc.all(pc.is_finite(array)).as_py():
        raise _Unfit
    if pc.any(pc.equal(size, 0.0)).as_py() and contains(content, _TINY):
        raise _Unfit


def _fitted(array: pa.Array, shape: Shape) -> pa.Array:
    type, rows = array.type, len(array)
    if is_type.is_null(type):
        return array_of([None] * rows, shape)
    match shape.kind:
        case "boolean":
            return array
        case "number" if shape.fraction:
            return array.cast(pa.float64(), safe=False)
        case "number":
            return array.cast(pa.decimal128(38, 0)) if shape.wide else array
        case "text":
            return array.cast(pa.large_string())
        case "list":
            child = _fitted(array.values, shape.child or NOTHING)
            return nested_lists(array.offsets.cast(pa.int64()), child, array.is_null())
        case "object" if shape.fields:
            places = {type[i].name: i for i in range(type.num_fields)}
            children = [
                _fitted(array.field(places[name]), child)
                if name in places
                else array_of([None] * rows, child)
                for name, child in shape.fields
            ]
            names = [name for name, _ in shape.fields]
            return pa.StructArray.from_arrays(children, names, mask=array.is_null())
    keeps = is_type.is_string(type) or is_type.is_int64(type) or is_type.is_boolean(type)
    if shape != PLAIN or not keeps:
        raise _Unfit
    return array.cast(pa.large_string())
