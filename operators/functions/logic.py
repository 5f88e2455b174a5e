"""AND, OR, NOT, IS NULL in three-valued logic.

A BOOLEAN column's values are FALSE under NULL, so `values` alone says where it is TRUE.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from tensorsql.operators.columns.layouts import true_rows, values_of
from tensorsql.operators.functions.registry import Extent, narrowed
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import Column, Constant, Flat, present_rows
from tensorsql.storage.columns.types import BOOLEAN

# Which rows a later operand needs, given an earlier one of the same call.
NARROWING = {"and": "not_false", "or": "not_true", "coalesce": "null"}


def false_rows(column: Column) -> Tensor:
    """Where a BOOLEAN column is FALSE."""
    negative = values_of(column).logical_not()
    return negative if column.validity is None else negative & column.validity


def narrow(name: str, active: Tensor | None, column: Column) -> Tensor | None:
    """The active rows where the operand is "true", "not_true", "not_false" or "null"."""
    match name:
        case "true":
            rows: Tensor | None = true_rows(column)
        case "not_true":
            rows = true_rows(column).logical_not()
        case "not_false":
            rows = false_rows(column).logical_not()
        case _:
            rows = present_rows(column).logical_not()
    return narrowed(active, rows)


def conjunction(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """AND: FALSE if any operand is, else NULL if any is, else TRUE."""
    if all(argument.validity is None for argument in arguments):
        return Flat(BOOLEAN, reduce(operator.and_, map(values_of, arguments)))
    true = reduce(operator.and_, map(true_rows, arguments))
    false = reduce(operator.or_, map(false_rows, arguments))
    return Flat(BOOLEAN, true, true | false)


def disjunction(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """OR: TRUE if any operand is, else NULL if any is, else FALSE."""
    if all(argument.validity is None for argument in arguments):
        return Flat(BOOLEAN, reduce(operator.or_, map(values_of, arguments)))
    true = reduce(operator.or_, map(true_rows, arguments))
    false = reduce(operator.and_, map(false_rows, arguments))
    return Flat(BOOLEAN, true, true | false)


def negation(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """NOT."""
    (operand,) = arguments
    return Flat(BOOLEAN, values_of(operand).logical_not())


def is_null(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """IS NULL; never NULL itself."""
    (operand,) = arguments
    if operand.validity is None:
        return Constant(
            Flat(BOOLEAN, torch.zeros(1, dtype=torch.bool, device=extent.device)), extent.count
        )
    return Flat(BOOLEAN, operand.validity.logical_not())
