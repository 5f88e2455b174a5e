"""Helpers over column layouts that kernels share: operands, validity, NULLs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tensorsql.errors import InternalError
from tensorsql.operators.columns.building import null_column
from tensorsql.storage.columns.changes import with_nulls
from tensorsql.storage.columns.column import Column, Constant, Flat
from tensorsql.storage.columns.types import Type


def operand(column: Column) -> Any:
    """The values tensor of a Flat column, or a Constant's Python number."""
    if isinstance(column, Constant):
        assert isinstance(column.one, Flat)
        return column.one.values[0].item()
    if isinstance(column, Flat):
        return column.values
    raise InternalError(f"a {type(column).__name__} column where numbers are expected")


def values_of(column: Column) -> Tensor:
    """The values tensor of a Flat column or of a Constant spread out (without copying)."""
    if isinstance(column, Constant):
        assert isinstance(column.one, Flat)
        return column.one.values.expand(column.length, *column.one.values.shape[1:])
    assert isinstance(column, Flat)
    return column.values


def true_rows(column: Column) -> Tensor:
    """bool per row of a BOOLEAN column: TRUE, not FALSE and not NULL."""
    values = values_of(column)
    return values if column.validity is None else values & column.validity


def is_null_constant(column: Column) -> bool:
    """Whether the column is one NULL, repeated."""
    if not isinstance(column, Constant) or column.one.validity is None:
        return False
    return not bool(column.one.validity[0])


def null_constant(kind: Type, count: int, device: torch.device) -> Constant:
    """`count` NULLs of a type, as one repeated row."""
    return Constant(null_column(kind, 1, device), count)


def with_validity(column: Column, validity: Tensor | None) -> Column:
    """The column valid only where `validity` is too; values under NULL become zeros."""
    return column if validity is None else with_nulls(column, validity.logical_not())


def retype(column: Column, kind: Type) -> Column:
    """The same stored values under another type of the same layout."""
    if column.type == kind:
        return column
    if isinstance(column, Constant):
        return Constant(retype(column.one, kind), column.length)
    return replace(column, type=kind)
