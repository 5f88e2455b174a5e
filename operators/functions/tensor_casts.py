"""CAST between TENSORs, from lists of numbers to TENSORs and back."""

from __future__ import annotations

import torch
from torch import Tensor

from tensorsql.operators.functions.numeric_casts import convert_number
from tensorsql.operators.layouts import values_of, with_validity
from tensorsql.storage.arrow_types import element_type, type_of_arrow
from tensorsql.storage.column import VALUE_DTYPE, Column, Flat, List, RowRef, take
from tensorsql.storage.concat import expand
from tensorsql.storage.types import BIGINT, DOUBLE, Kind, Type

Converted = tuple[Column, Tensor | None]


def convert_tensor(column: Column, target: Type) -> Converted:
    """Number by number; a row fails if its target's dtype cannot hold one of them."""
    if isinstance(column, RowRef):
        column = with_validity(column.source.fetch(column.rows), column.validity)
    assert isinstance(column, Flat)
    if target.kind is Kind.LIST:
        return _to_lists(column, target)
    values = column.values.to(getattr(torch, target.element))
    wrong = _lost(column.values, values)
    return Flat(target, values, column.validity), wrong.flatten(1).any(1)


def lists_to_tensor(column: List, target: Type) -> Converted:
    """Lists of exactly the target's shape; a row of another shape, or with a NULL inside, fails."""
    rows = len(column)
    wrong = torch.zeros(rows, dtype=torch.bool)
    owner = torch.arange(rows)  # the row that each list of a level belongs to
    level: Column = column
    for size in target.shape:
        spread = expand(level)
        assert isinstance(spread, List)
        fits = _valid(spread) & (spread.offsets.diff() == size)
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
    wrong &= _valid(column)
    hidden = wrong | ~_valid(column)
    values = values.reshape(rows, *target.shape)
    values = values.masked_fill(hidden.reshape(-1, *[1] * len(target.shape)), 0)
    return Flat(target, values, column.validity), wrong


def _elements(column: Column, target: Type) -> tuple[Tensor, Tensor]:
    """The numbers in the target's dtype, and which of them are NULL or do not fit it."""
    dtype = getattr(torch, target.element)
    between = DOUBLE if dtype.is_floating_point else BIGINT
    converted, bad = (column, None) if column.type == between else convert_number(column, between)
    values = values_of(converted)
    result = values.to(dtype)
    wrong = ~_valid(column) | _lost(values, result)
    return result, wrong if bad is None else wrong | bad


def _lost(values: Tensor, result: Tensor) -> Tensor:
    """Where a number did not fit a dtype: floats may be rounded, whole numbers may not change."""
    if values.is_floating_point():
        return result.isinf() & values.isfinite()
    return result.to(values.dtype) != values


def _to_lists(column: Flat, target: Type) -> Converted:
    """A list per dimension around the numbers, which convert as they do outside."""
    source = type_of_arrow(element_type(column.type))
    numbers = Flat(source, column.values.reshape(-1).to(VALUE_DTYPE[source.kind]))
    leaf = target
    while leaf.child is not None:
        leaf = leaf.child
    child, bad = (numbers, None) if leaf == source else convert_number(numbers, leaf)
    result = _wrapped(child, target, tuple(column.values.shape))
    per_row = None if bad is None else bad.reshape(len(column), -1).any(1)
    return with_validity(result, column.validity), per_row


def _wrapped(child: Column, target: Type, shape: tuple[int, ...]) -> Column:
    if len(shape) == 1:
        return child
    assert target.child is not None
    inner = _wrapped(child, target.child, (shape[0] * shape[1], *shape[2:]))
    return List(target, torch.arange(shape[0] + 1) * shape[1], inner)


def _valid(column: Column) -> Tensor:
    if column.validity is None:
        return torch.ones(len(column), dtype=torch.bool)
    return column.validity
