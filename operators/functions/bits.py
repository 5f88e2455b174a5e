"""Kernels of the operators on bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.functions.registry import Extent, Kernel
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import VALUE_DTYPE, Column, Flat


def _of_words(apply: Callable[..., Tensor]) -> Kernel:
    """The kernel of a tensor function of integers that cannot leave the type."""

    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
        dtype = VALUE_DTYPE[call.type.kind]
        return Flat(call.type, apply(*(values_of(column).to(dtype) for column in arguments)))

    return run


def _shifted_right(values: Tensor, places: Tensor) -> Tensor:
    """0 where the places are negative or as many as the type has bits."""
    width = torch.iinfo(values.dtype).bits
    inside = (places >= 0) & (places < width)
    return torch.where(inside, values >> torch.where(inside, places, 0), 0)


conjunction = _of_words(torch.bitwise_and)
disjunction = _of_words(torch.bitwise_or)
difference = _of_words(torch.bitwise_xor)
complement = _of_words(torch.bitwise_not)
shift_right = _of_words(_shifted_right)


def shift_left(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """<<; raises for negative numbers and for bits shifted out of the type."""
    dtype = VALUE_DTYPE[call.type.kind]
    values, places = (values_of(column).to(dtype) for column in arguments)
    width = torch.iinfo(dtype).bits
    inside = (places >= 0) & (places < width)
    shifted = values << torch.where(inside, places, 0)
    lost = (values != 0) & (~inside | ((shifted >> torch.where(inside, places, 0)) != values))
    if extent.failing(lost | (values < 0) | (places < 0)) is not None:
        raise OutOfRangeError(f"a left shift leaves {call.type}; cast the number to a wider type")
    return Flat(call.type, torch.where(inside, shifted, 0))
