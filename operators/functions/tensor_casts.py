"""CAST of TENSORs and lists of numbers. CPU only: numpy, not torch, compares in every dtype."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tensorsql.operators.columns.layouts import (
    values_of,
    with_validity,
)
from tensorsql.operators.functions.numeric_casts import convert_number
from tensorsql.storage.columns.arrow_types import element_type, type_of_arrow
from tensorsql.storage.columns.changes import expand, fetch
from tensorsql.storage.columns.column import (
    VALUE_DTYPE,
    Column,
    Flat,
    List,
    Wide,
    present_rows,
    take,
)
from tensorsql.storage.columns.types import BIGINT, DOUBLE, Kind, Type

Converted = tuple[Column, Tensor | None]


def convert_tensor(column: Column, target: Type) -> Converted:
    """Number by number; a row fails if its target's dtype cannot hold one of them."""
    column = fetch(column)
    if target.kind is Kind.LIST:
        return _to_lists(column, target)
    dtype, stored = getattr(torch, target.element), values_of(column)
    if stored.is_floating_point() and not dtype.is_floating_point:
        stored = stored.round()
    values = stored.to(dtype)
    wrong = _lost(stored, values)
    return Flat(target, values, column.validity), wrong.flatten(1).any(1)


def lists_to_tensor(column: List, target: Type) -> Converted:
    """Lists of exactly the target's shape; a row of another shape, or with a NULL inside, fails."""
    rows = len(column)
    wrong = torch.zeros(rows, dtype=torch.bool)
    owner = torch.arange(rows)  # the row that each list of a level belongs to
    level: Column = column
    for size in target.shape:
        spread = expand(level)
        if not isinstance(spread, List):  # of the type of [], below which nothing is known
            return _none_fits(column, target)
        fits = present_rows(spread) & (spread.offsets.diff() == size)
        wrong[owner[~fits]] = True
        first = torch.where(fits, spread.offsets[:-1], 0)
        level, places = spread.child, (first[:, None] + torch.arange(size)).reshape(-1)
        if not len(level):
            places = places[:0]  # then no list fits
        level = take(level, places.clamp(max=max(len(level) - 1, 0)))
        owner = owner.repeat_interleave(size)[: len(level)]
    values, bad = _elements(expand(level), target)
    wrong[owner[bad]] = True
    if len(values) < rows * torch.Size(target.shape).numel():
        values = torch.zeros(rows, *target.shape, dtype=values.dtype)
    wrong &= present_rows(column)
    hidden = wrong | ~present_rows(column)
    values = values.reshape(rows, *target.shape)
    values = values.masked_fill(hidden.reshape(-1, *[1] * len(target.shape)), 0)
    dtype = getattr(torch, target.element)
    return Flat(target, values.to(dtype), column.validity), wrong


def _none_fits(column: Column, target: Type) -> Converted:
    values = torch.zeros(len(column), *target.shape, dtype=getattr(torch, target.element))
    return Flat(target, values, column.validity), present_rows(column)


def _elements(column: Column, target: Type) -> tuple[Tensor, Tensor]:
    """The numbers, and which of them are NULL or do not fit the target's dtype.

    They come as DOUBLE or BIGINT: torch knows few operations of the unsigned dtypes.
    """
    dtype = getattr(torch, target.element)
    between = DOUBLE if dtype.is_floating_point else BIGINT
    converted, bad = (column, None) if column.type == between else convert_number(column, between)
    values = values_of(converted)
    wrong = ~present_rows(column) | _lost(values, values.to(dtype))
    return values, wrong if bad is None else wrong | bad


def _lost(values: Tensor, result: Tensor) -> Tensor:
    """Where a number did not fit a dtype: floats may be rounded, whole numbers may not change.

    numpy, unlike torch, compares in all dtypes.
    """
    before, after = values.numpy(), result.numpy()
    with np.errstate(all="ignore"):
        if after.dtype.kind == "f":
            return torch.from_numpy(np.isinf(after) & np.isfinite(before))
        changed = (after.astype(before.dtype) != before) | ((after < 0) != (before < 0))
    return torch.from_numpy(changed)


def _to_lists(column: Column, target: Type) -> Converted:
    """A list per dimension around the numbers, which convert as they do outside."""
    numbers = _numbers(column)
    leaf = target
    while leaf.child is not None:
        leaf = leaf.child
    child, bad = (numbers, None) if leaf == numbers.type else convert_number(numbers, leaf)
    result = _wrapped(child, target, tuple(values_of(column).shape))
    per_row = None if bad is None else bad.reshape(len(column), -1).any(1)
    return with_validity(result, column.validity), per_row


def _numbers(column: Column) -> Column:
    """All numbers of a TENSOR column, one after the other."""
    type, values = type_of_arrow(element_type(column.type)), values_of(column).reshape(-1)
    if type.is_wide:  # unsigned 64 bits
        bits = values.view(torch.int64)
        return Wide(type, torch.zeros_like(bits), bits)
    return Flat(type, values.to(VALUE_DTYPE[type.kind]))


def _wrapped(child: Column, target: Type, shape: tuple[int, ...]) -> Column:
    if len(shape) == 1:
        return child
    assert target.child is not None
    inner = _wrapped(child, target.child, (shape[0] * shape[1], *shape[2:]))
    return List(target, torch.arange(shape[0] + 1) * shape[1], inner)
