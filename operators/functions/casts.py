"""CAST and TRY_CAST between all types; the target is the call's type.

`convert` gives the column and where it failed; CAST raises for the first active failing row,
TRY_CAST makes it NULL.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tensorsql.errors import ConversionError
from tensorsql.operators.columns.layouts import null_constant, values_of, with_validity
from tensorsql.operators.columns.literals import to_python
from tensorsql.operators.functions.calendar import DAY, midnights
from tensorsql.operators.functions.numeric_casts import convert_number
from tensorsql.operators.functions.registry import Extent
from tensorsql.operators.functions.tensor_casts import convert_tensor, lists_to_tensor
from tensorsql.operators.functions.text_casts import parse_text, write_text
from tensorsql.planner.functions.conversions import failed, no_tensor, out_of_range
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import (
    Column,
    Constant,
    Flat,
    List,
    Struct,
    TimeSpan,
    device_of,
    slice_column,
)
from tensorsql.storage.columns.ragged import cumulated
from tensorsql.storage.columns.types import BIGINT, DOUBLE, Kind, Type, list_of

Converted = tuple[Column, Tensor | None]


def cast(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """CAST of a conversion that may fail."""
    (column,) = arguments
    result, bad = convert(column, call.type)
    if bad is not None:
        row = extent.failing(bad)
        if row is not None:
            raise conversion_error(column, row, call.type)
    return result


def safe_cast(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """CAST of a conversion that cannot fail."""
    return convert(arguments[0], call.type)[0]


def try_cast(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """TRY_CAST: NULL where CAST would raise, within lists and structs too."""
    result, bad = convert(arguments[0], call.type, lenient=True)
    return result if bad is None else with_validity(result, bad.logical_not())


def convert(column: Column, target: Type, lenient: bool = False) -> Converted:
    """The column as `target`, and where it could not be (None = nowhere).

    `lenient`: an element of a list or struct that could not be is NULL and spoils no row.
    """
    source = column.type
    if source == target:
        return column, None
    if isinstance(column, Constant):
        one, bad = convert(column.one, target, lenient)
        return Constant(one, column.length), None if bad is None else bad.expand(column.length)
    if source.kind is Kind.NULL:
        return null_constant(target, len(column), device_of(column)), None
    if source.kind is Kind.BLOB and target.kind is Kind.VARCHAR:
        return write_text(column), None
    if source.is_text and target.kind is Kind.TENSOR:
        return text_to_tensor(column, target)
    if source.is_text:
        return parse_text(column, target)
    if target.kind is Kind.VARCHAR:
        return write_text(column), None
    if source.is_numeric or source.kind is Kind.BOOLEAN:
        return convert_number(column, target)
    if source.kind is Kind.TENSOR:
        return convert_tensor(column, target)
    if isinstance(column, List) and target.kind is Kind.TENSOR:
        return lists_to_tensor(column, target)
    if isinstance(column, List | Struct):
        return _convert_nested(column, target, lenient)
    return _convert_temporal(column, target), None


def text_to_tensor(column: Column, target: Type) -> Converted:
    """Texts of lists of exactly the target's shape."""
    kind = DOUBLE if "float" in target.element else BIGINT
    for _ in target.shape:
        kind = list_of(kind)
    lists, bad = parse_text(column, kind)
    if bad is not None:
        lists = with_validity(lists, bad.logical_not())
    lists = expand(lists)
    assert isinstance(lists, List)
    tensors, wrong = lists_to_tensor(lists, target)
    return tensors, wrong if wrong is None or bad is None else wrong | bad


def _convert_temporal(column: Column, target: Type) -> Column:
    values = values_of(column)
    match column.type.kind, target.kind:
        case Kind.DATE, Kind.TIMESTAMP:
            return Flat(target, midnights(values), column.validity)
        case Kind.TIMESTAMP, Kind.DATE:
            days = torch.div(values, DAY, rounding_mode="floor")
            return Flat(target, days.to(torch.int32), column.validity)
        case Kind.TIMESTAMP, Kind.TIME:
            return Flat(target, torch.remainder(values, DAY), column.validity)
        case Kind.TIME, Kind.INTERVAL:
            none = torch.zeros_like(values, dtype=torch.int32)
            return TimeSpan(target, none, none, values, column.validity)
    raise ConversionError(f"cannot cast {column.type} to {target}")


def _convert_element(column: Column, target: Type, lenient: bool) -> Converted:
    result, bad = convert(column, target, lenient)
    if not lenient or bad is None:
        return result, bad
    return with_validity(expand(result), bad.logical_not()), None


def _convert_nested(column: List | Struct, target: Type, lenient: bool) -> Converted:
    """Element by element; a row fails if one of its elements does."""
    if isinstance(column, Struct):
        pairs = zip(column.children, target.fields, strict=True)
        converted = [_convert_element(child, kind, lenient) for child, (_, kind) in pairs]
        bad = [failures for _, failures in converted if failures is not None]
        children = tuple(child for child, _ in converted)
        failing = torch.stack(bad).any(0) if bad else None
        return Struct(target, children, column.length, column.validity), failing
    assert target.child is not None
    child, wrong = _convert_element(column.child, target.child, lenient)
    result = List(target, column.offsets, child, column.validity)
    if wrong is None:
        return result, None
    before = cumulated(wrong)
    return result, before[column.offsets[1:]] > before[column.offsets[:-1]]


def conversion_error(column: Column, row: int, target: Type) -> ConversionError:
    """The error of a row that cannot be converted."""
    value = to_python(slice_column(column, row, row + 1))[0]
    if column.type.is_text:
        return failed(value, target)
    if target.kind is Kind.TENSOR:
        return no_tensor(value, column.type, target)
    return out_of_range(value, column.type, target)
