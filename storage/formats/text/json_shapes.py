"""The shape that JSON values share, and columns of that shape. Values are looked at by column."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.formats.text import inference

LARGEST_HUGEINT = 10**38  # Arrow's decimals have 38 digits


@dataclass(frozen=True)
class Shape:
    """What values are: nothing (all NULL), boolean, number, text, list, object or mixed.

    Mixed values and objects without a field are read as JSON text, plain ones as text.
    """

    kind: str
    fraction: bool = False  # of numbers: some are no integers
    wide: bool = False  # some integers have more than 64 bits
    inexact: bool = False  # some integers are none that a double holds
    child: Shape | None = None
    fields: tuple[tuple[str, Shape], ...] = ()


NOTHING = Shape("nothing")
MIXED = Shape("mixed")
PLAIN = Shape("plain")
_NUMBERS = {int, float, Decimal}


def shape_of(values: Sequence[Any]) -> Shape:
    """The shape of parsed values; fractions were parsed to Decimal."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return NOTHING
    if kinds <= _NUMBERS:
        return _number(values)
    if len(kinds) > 1:
        return MIXED
    match next(iter(kinds)).__name__:
        case "bool":
            return Shape("boolean")
        case "str":
            return Shape("text")
        case "list":
            return Shape("list", child=shape_of(_elements(values)))
        case _:
            names = dict.fromkeys(name for value in values if value for name in value)
            return Shape("object", fields=tuple((n, shape_of(_field(values, n))) for n in names))


def _number(values: Sequence[Any]) -> Shape:
    integers = [value for value in values if type(value) is int]
    fractions = [value for value in values if type(value) is Decimal]
    low, high = min(integers, default=0), max(integers, default=0)
    if max(-low, high) >= LARGEST_HUGEINT or any(map(_is_lost, fractions)):
        return MIXED
    inexact = max(-low, high) > inference.EXACT and any(int(float(n)) != n for n in integers)
    wide = low < -(2**63) or high >= 2**63
    fraction = any(type(value) in (Decimal, float) for value in values)
    return _checked(Shape("number", fraction, wide, inexact))


def _is_lost(value: Decimal) -> bool:
    near = float(value)
    return math.isinf(near) or (near == 0 and value != 0)


def _checked(shape: Shape) -> Shape:
    return MIXED if shape.fraction and shape.inexact else shape


def merged(one: Shape, other: Shape) -> Shape:
    """The shape of the values of both."""
    if one == other or other == NOTHING:
        return one
    if one == NOTHING:
        return other
    if one.kind != other.kind:
        return MIXED
    match one.kind:
        case "number":
            return _checked(
                Shape(
                    "number",
                    one.fraction or other.fraction,
                    one.wide or other.wide,
                    one.inexact or other.inexact,
                )
            )
        case "list":
            return Shape("list", child=merged(one.child or NOTHING, other.child or NOTHING))
        case "object":
            first, second = dict(one.fields), dict(other.fields)
            names = dict.fromkeys([*first, *second])
            pairs = ((n, merged(first.get(n, NOTHING), second.get(n, NOTHING))) for n in names)
            return Shape("object", fields=tuple(pairs))
        case _:
            return one


def declared(shape: Shape, type: Type) -> Shape:
    """The shape to read values of a declared type in: plain text where it is simple."""
    if type.kind is Kind.LIST and type.child and shape.kind in ("list", "nothing"):
        return Shape("list", child=declared(shape.child or NOTHING, type.child))
    if type.kind is Kind.STRUCT and shape.kind in ("object", "nothing"):
        by_name = {name.lower(): (name, child) for name, child in shape.fields}
        fields = []
        for wanted, kind in type.fields:
            name, child = by_name.get(wanted.lower(), (wanted, NOTHING))
            fields.append((name, declared(child, kind)))
        return Shape("object", fields=tuple(fields))
    nests = type.kind in (Kind.LIST, Kind.STRUCT, Kind.BOX, Kind.MASK, Kind.TENSOR)
    if type.kind is Kind.DOUBLE and shape.kind == "number":
        return Shape("number", fraction=True)  # the text would give the same
    return shape if nests else PLAIN


def array_of(values: Sequence[Any], shape: Shape) -> pa.Array:
    """The values as an Arrow array of the shape."""
    match shape.kind:
        case "nothing":
            return pa.nulls(len(values))
        case "boolean":
            return pa.array(values, pa.bool_())
        case "number" if shape.fraction:
            return pa.array([None if v is None else float(v) for v in values], pa.float64())
        case "number":
            return pa.array(values, pa.decimal128(38, 0) if shape.wide else pa.int64())
        case "text":
            return pa.array(values, pa.large_string())
        case "list":
            ends = accumulate((len(v) if v else 0 for v in values), initial=0)
            child = array_of(_elements(values), shape.child or NOTHING)
            offsets = pa.array(np.fromiter(ends, np.int64, len(values) + 1))
            return nested_lists(offsets, child, _nulls(values))
        case "object" if shape.fields:
            children = [array_of(_field(values, name), child) for name, child in shape.fields]
            names = [name for name, _ in shape.fields]
            return pa.StructArray.from_arrays(children, names, mask=_nulls(values))
        case _:
            write = _plain_text if shape == PLAIN else json_text
            return pa.array([None if v is None else write(v) for v in values], pa.large_string())


def nested_lists(offsets: pa.Array, child: pa.Array, nulls: pa.Array) -> pa.Array:
    """Lists over their elements; elements of no kind are text."""
    if pa.types.is_null(child.type):
        child = child.cast(pa.large_string())
    return pa.LargeListArray.from_arrays(offsets, child, mask=nulls)


def typed(array: pa.ChunkedArray, shape: Shape) -> pa.ChunkedArray:
    """The column with the types that its text has: dates, times, UUIDs."""
    match shape.kind:
        case "text":
            return inference.infer(array, inference.JSON)
        case "list" if shape.child is not None:
            whole = _one(array)
            child = _one(typed(pa.chunked_array([whole.values]), shape.child))
            nulls = whole.is_null() if whole.null_count else None
            return pa.chunked_array(
                [pa.LargeListArray.from_arrays(whole.offsets, child, mask=nulls)]
            )
        case "object" if shape.fields:
            whole = _one(array)
            parts = [
                _one(typed(pa.chunked_array([whole.field(i)]), child))
                for i, (_, child) in enumerate(shape.fields)
            ]
            names = [name for name, _ in shape.fields]
            return pa.chunked_array(
                [pa.StructArray.from_arrays(parts, names, mask=whole.is_null())]
            )
        case _:
            return array


def json_text(value: Any) -> str:
    """A parsed value as JSON again; numbers as they were."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_text(k)}:{json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _plain_text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _elements(values: Sequence[Any]) -> list[Any]:
    return [element for value in values if value for element in value]


def _field(values: Sequence[Any], name: str) -> list[Any]:
    return [value.get(name) if value else None for value in values]


def _nulls(values: Sequence[Any]) -> pa.Array:
    return pa.array([value is None for value in values], pa.bool_())


def _one(array: pa.ChunkedArray) -> pa.Array:
    whole = array.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
