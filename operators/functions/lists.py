"""Lists and structs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import null_column, null_constant, values_of, with_validity
from tensorsql.operators.functions.comparison import compare
from tensorsql.operators.functions.registry import Extent
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Column, Constant, Flat, List, Struct, take
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import NULL


def list_value(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """A list of the arguments."""
    count, size = extent.count, len(arguments)
    offsets = torch.arange(count + 1, device=extent.device) * size
    if not size:
        return List(call.type, offsets, null_column(call.type.child or NULL, 0, extent.device))
    joined = concat([expand(argument) for argument in arguments])
    rows = torch.arange(count * size, device=extent.device).reshape(size, count).T.reshape(-1)
    return List(call.type, offsets, take(joined, rows))


def _list(column: Column) -> List:
    spread = expand(column)
    assert isinstance(spread, List)
    return spread


def length(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """How many elements, NULL ones included."""
    column = _list(arguments[0])
    return Flat(call.type, column.offsets[1:] - column.offsets[:-1])


def list_extract(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """The element at a position, from 1 or from -1 at the end; NULL where there is none."""
    column, place = _list(arguments[0]), values_of(arguments[1])
    starts, stops = column.offsets[:-1], column.offsets[1:]
    rows = torch.where(place > 0, starts + place - 1, stops + place)
    inside = (rows >= starts) & (rows < stops) & (place != 0)
    if not len(column.child):
        return null_constant(call.type, extent.count, extent.device)
    return with_validity(take(expand(column.child), rows.masked_fill(~inside, 0)), inside)


def list_contains(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Whether an element equals the value; NULL elements equal nothing."""
    column = _list(arguments[0])
    owners, items = kernels.ranges(column.offsets[:-1], column.offsets.diff())
    child = take(expand(column.child), items)
    equal = compare("eq", child, take(expand(arguments[1]), owners))
    if child.validity is not None:
        equal = equal & child.validity
    containing = torch.zeros(len(column), dtype=torch.bool, device=extent.device)
    kernels.mark(containing, owners[equal])
    return Flat(call.type, containing)


def struct_pack(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """A struct of the arguments; never NULL itself."""
    return Struct(call.type, tuple(arguments), extent.count)


def struct_extract(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """A field of a struct, by the option "field"."""
    (column,) = arguments
    if isinstance(column, Constant):
        return Constant(struct_extract([column.one], call, extent), column.length)
    assert isinstance(column, Struct)
    place: int = call.option("field")
    return column.children[place]
