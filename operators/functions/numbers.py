"""Functions of numbers. A function outside its domain gives NaN or an infinity, as in IEEE 754."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators import kernels
from tensorsql.operators.columns import wide
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.columns.literals import constant
from tensorsql.operators.functions.registry import Extent, Kernel
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import Column, Flat, Wide
from tensorsql.storage.columns.rounding import square_root
from tensorsql.storage.columns.types import DOUBLE


def _of_floats(apply: Callable[..., Tensor]) -> Kernel:
    """The kernel of a tensor function of floats."""

    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
        return Flat(call.type, apply(*(values_of(argument) for argument in arguments)))

    return run


def _log(base: Tensor, values: Tensor) -> Tensor:
    return torch.log10(values) / torch.log10(base)


sqrt = _of_floats(square_root)
cbrt = _of_floats(kernels.cube_root)
exp = _of_floats(torch.exp)
ln = _of_floats(torch.log)
log2 = _of_floats(torch.log2)
log10 = _of_floats(torch.log10)
log = _of_floats(_log)
pow = _of_floats(kernels.power)
sin = _of_floats(torch.sin)
cos = _of_floats(torch.cos)
tan = _of_floats(torch.tan)
asin = _of_floats(kernels.arcsine)
acos = _of_floats(kernels.arccosine)
atan = _of_floats(torch.atan)
atan2 = _of_floats(kernels.arctangent)
degrees = _of_floats(lambda values: values * (180.0 / math.pi))
radians = _of_floats(lambda values: values * (math.pi / 180.0))
isnan = _of_floats(torch.isnan)
isinf = _of_floats(torch.isinf)
isfinite = _of_floats(torch.isfinite)


def pi(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """π."""
    return constant(math.pi, DOUBLE, extent.count, extent.device)


def abs(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """The magnitude; raises for the least integer of a type."""
    (column,) = arguments
    if isinstance(column, Wide):
        hi, lo = wide.absolute((column.hi, column.lo))
        bad = hi < 0
        result: Column = Wide(call.type, hi, lo)
    else:
        values = values_of(column)
        bad = values == torch.iinfo(values.dtype).min if call.type.is_integer else values != values
        result = Flat(call.type, values.abs())
    if call.type.is_integer and extent.failing(bad) is not None:
        raise OutOfRangeError(f"abs of the least {call.type} does not fit; cast it to a wider type")
    return result


def sign(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """-1, 0 or 1; 0 for NaN."""
    (column,) = arguments
    if isinstance(column, Wide):
        positive = ((column.hi > 0) | ((column.hi == 0) & (column.lo != 0))).to(torch.int8)
        return Flat(call.type, positive - (column.hi < 0).to(torch.int8))
    values = values_of(column)
    return Flat(call.type, (values > 0).to(torch.int8) - (values < 0).to(torch.int8))
