"""The same rows in other values: repeats spread out, NULLs, wider numbers, fetched, moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tensorsql.storage.columns.column import (
    VALUE_DTYPE,
    Column,
    Constant,
    Flat,
    Part,
    RowRef,
    Wide,
    device_of,
    take,
    take_part,
)
from tensorsql.storage.columns.ragged import Ragged, cumulated
from tensorsql.storage.columns.types import Kind


def expand(column: Column) -> Column:
    """The column without the Constant layout."""
    if not isinstance(column, Constant):
        return column
    rows = torch.zeros(column.length, dtype=torch.int32, device=device_of(column))
    return take(expand(column.one), rows)


def with_nulls(column: Column, missing: Tensor) -> Column:
    """The column with NULL, and zeros below it, in the rows where `missing` is True."""
    column = expand(column)
    assert not isinstance(column, Constant)
    present = missing.logical_not()
    validity = present if column.validity is None else column.validity & present
    parts = [_zeroed(part, missing) for part in column.parts()]
    return column.with_parts(parts, validity, len(column))


def _zeroed(part: Part, missing: Tensor) -> Part:
    if isinstance(part, Tensor):
        mask = missing if part.dim() == 1 else missing.reshape(-1, *[1] * (part.dim() - 1))
        return part.masked_fill(mask, 0)
    if not isinstance(part, Ragged):
        return with_nulls(part, missing)
    lengths = part.offsets.diff()
    emptied = lengths.masked_fill(missing, 0)
    if torch.equal(emptied, lengths):
        return part
    present = missing.logical_not().nonzero().reshape(-1)
    return Ragged(cumulated(emptied), take_part(part, present).items)


def widen(column: Column) -> Column:
    """The column with all its numbers in the dtype of their type (`VALUE_DTYPE`)."""
    if isinstance(column, Flat):
        dtype = VALUE_DTYPE.get(column.type.kind)
        if dtype is None or column.values.dtype is dtype:
            return column
        return Flat(column.type, column.values.to(dtype), column.validity)
    if isinstance(column, Constant):
        one = widen(column.one)
        return column if one is column.one else Constant(one, column.length)
    if column.type.kind is not Kind.LIST and column.type.kind is not Kind.STRUCT:
        return column
    parts = column.parts()
    wide = tuple(_each(part, lambda values: values, widen) for part in parts)
    return column if wide == parts else column.with_parts(wide, column.validity, len(column))


def two_words(column: Column) -> Wide:
    """A column of integers, narrow ones sign-extended to 128 bits."""
    if isinstance(column, Wide):
        return column
    assert isinstance(column, Flat)
    lo = column.values.to(torch.int64)
    return Wide(column.type, lo >> 63, lo, column.validity)


def fetch(column: Column) -> Column:
    """The column with the rows it refers to; masks, which are read in part, stay references."""
    if isinstance(column, Constant):
        one = fetch(column.one)
        return column if one is column.one else Constant(one, column.length)
    if not isinstance(column, RowRef) or column.type.kind is Kind.MASK:
        return column
    if column.source is None:
        dtype = getattr(torch, column.type.element or "float32")
        zeros = column.rows.new_zeros((len(column), *column.type.shape), dtype=dtype)
        return Flat(column.type, zeros, column.validity)
    fetched = to_device(column.source.fetch(column.rows.cpu()), column.rows.device)
    return fetched if column.validity is None else with_nulls(fetched, ~column.validity)


def to_device(column: Column, device: torch.device) -> Column:
    """The column with all its tensors on a device; what lies outside tensors stays."""
    if device_of(column) == device:
        return column
    if isinstance(column, Constant):
        return Constant(to_device(column.one, device), column.length)

    def move(values: Tensor) -> Tensor:
        return values.to(device)

    parts = [_each(part, move, lambda inner: to_device(inner, device)) for part in column.parts()]
    validity = None if column.validity is None else move(column.validity)
    return column.with_parts(parts, validity, len(column))


def _each(
    part: Part, values: Callable[[Tensor], Tensor], columns: Callable[[Column], Column]
) -> Any:
    """The part with each of its tensors and columns changed."""
    if isinstance(part, Tensor):
        return values(part)
    if not isinstance(part, Ragged):
        return columns(part)
    return Ragged(values(part.offsets), _each(part.items, values, columns))
