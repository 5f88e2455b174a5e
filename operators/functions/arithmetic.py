"""Arithmetic on numbers.

Integers and decimals are exact: where neither the plan's ranges nor the values' own prove that a
result fits, it is computed in 128 bits and checked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators import kernels
from tensorsql.operators.columns import wide
from tensorsql.operators.columns.layouts import operand, values_of
from tensorsql.operators.columns.literals import to_python
from tensorsql.operators.functions.ranges import always_fits
from tensorsql.operators.functions.registry import Extent
from tensorsql.planner.analysis.intervals import Interval
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import (
    VALUE_DTYPE,
    Column,
    Flat,
    Wide,
    bare,
    slice_column,
)
from tensorsql.storage.columns.types import HUGEINT, Kind, Type

Operation = Callable[[Any, Any], Any]
Checked = Callable[[wide.Words, wide.Words], tuple[wide.Words, Tensor]]
WIDE: dict[str, Checked] = {"+": wide.add, "-": wide.subtract, "*": wide.multiply}
PLAIN: dict[str, Operation] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
NOUNS = {
    "+": "addition",
    "-": "subtraction",
    "*": "multiplication",
    "//": "division",
    "negate": "negation",
    "abs": "abs",
}


def add(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """+."""
    return _apply("+", arguments, call, extent)


def subtract(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """-."""
    return _apply("-", arguments, call, extent)


def multiply(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """*; the scales of decimals add up."""
    return _apply("*", arguments, call, extent)


def divide(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """/ of floats: by zero gives infinity or NaN."""
    a, b = _tensors(arguments)
    return Flat(call.type, a / b)


def float_quotient(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """// of floats, which divides as / does but raises by zero."""
    a, b = _tensors(arguments)
    _refuse_zero(b, extent)
    return Flat(call.type, a / b)


def float_remainder(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """% of floats, with the sign of the dividend; by zero gives NaN."""
    return Flat(call.type, kernels.remainder(*_tensors(arguments)))


def checked_remainder(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """% of decimals as floats, where 38 digits do not hold both; raises by zero."""
    _refuse_zero(_tensors(arguments)[1], extent)
    return float_remainder(arguments, call, extent)


def integer_divide(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """// of integers, towards zero; raises by zero."""
    if call.type.is_wide:
        return _divide_wide(_quotient, arguments, call, extent)
    a, b = _tensors(arguments)
    _refuse_zero(b, extent)
    minus = b == -1
    # INT_MIN / -1 traps in hardware, so division by -1 is negation.
    result = torch.div(a, b.masked_fill(minus | (b == 0), 1), rounding_mode="trunc")
    if bool(minus.any()):
        bad = minus & (a == torch.iinfo(a.dtype).min)
        _refuse(bad, arguments, call, extent)
        result = torch.where(minus, -a, result)
    return Flat(call.type, result)


def remainder(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """% of integers or decimals of one scale, with the sign of the dividend; raises by zero."""
    if call.type.is_wide:
        return _divide_wide(_remainder, arguments, call, extent)
    a, b = _tensors(arguments)
    _refuse_zero(b, extent)
    safe = b.masked_fill((b == 0) | (b == -1), 1)
    return Flat(call.type, torch.fmod(a, safe))


def negate(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Unary -."""
    (column,) = arguments
    if isinstance(column, Wide):
        bad = (column.hi == wide.SIGN) & (column.lo == 0)
        _refuse(bad, arguments, call, extent)
        return Wide(call.type, *wide.negate((column.hi, column.lo)))
    values = operand(column)
    if call.type.is_integer and not extent.proven:
        _refuse(values == torch.iinfo(values.dtype).min, arguments, call, extent)
    return Flat(call.type, -values)


def _apply(name: str, arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    if call.type.is_wide:
        a, b = (wide.words(argument) for argument in arguments)
        result, bad = WIDE[name](a, b)
        if call.type.kind is Kind.DECIMAL:
            bad = bad | _outside(result, call.type)
        _refuse(bad, arguments, call, extent)
        return Wide(call.type, *result)
    left, right = operand(arguments[0]), operand(arguments[1])
    if call.type.is_float:
        dtype = VALUE_DTYPE[call.type.kind]
        return Flat(call.type, _tensor(PLAIN[name](left, right), dtype, extent.device))
    if extent.proven or always_fits(name, call.type, _extremes(left), _extremes(right)):
        dtype = VALUE_DTYPE[call.type.kind]
        return Flat(call.type, _integers(name, left, right, dtype, extent.device))
    return _checked(name, arguments, call, extent)


def _integers(name: str, a: Any, b: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    if isinstance(a, Tensor):
        return kernels.elementwise(a, PLAIN[name], b)
    if isinstance(b, Tensor):
        return kernels.elementwise(b, lambda right, left: PLAIN[name](left, right), a)
    return _tensor(PLAIN[name](a, b), dtype, device)


def _checked(name: str, arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """In 128 bits, then back."""
    result, bad = WIDE[name](wide.words(arguments[0]), wide.words(arguments[1]))
    _refuse(bad | _outside(result, call.type), arguments, call, extent)
    return Flat(call.type, result[1].to(VALUE_DTYPE[call.type.kind]))


def _outside(numbers: wide.Words, type: Type) -> Tensor:
    assert type.limits is not None
    return wide.outside(numbers, *type.limits)


def _extremes(values: Any) -> Interval:
    if not isinstance(values, Tensor):
        return Interval(values, values)
    if not values.numel():
        return Interval(0, 0)
    low, high = torch.aminmax(values)
    return Interval(int(low), int(high))


def _tensor(value: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    is_tensor = isinstance(value, Tensor)
    return value if is_tensor else torch.tensor([value], dtype=dtype, device=device)


def _tensors(arguments: Sequence[Column]) -> tuple[Tensor, Tensor]:
    """Both operands as tensors that broadcast (a constant is one row)."""
    a, b = (values_of(bare(argument)) for argument in arguments)
    return a, b


def _refuse_zero(divisor: Tensor, extent: Extent) -> None:
    zero = divisor == 0
    if bool(zero.any()) and extent.failing(zero.expand(extent.count)) is not None:
        raise OutOfRangeError("division by zero; use NULLIF(divisor, 0) to get NULL instead")


def _refuse(bad: Tensor, arguments: Sequence[Column], call: Call, extent: Extent) -> None:
    """Raise for the first active row where `bad`."""
    if not bool(bad.any()):
        return
    row = extent.failing(bad.expand(extent.count))
    if row is None:
        return
    values = " and ".join(str(_value(argument, row)) for argument in arguments)
    name = call.function.name
    raise OutOfRangeError(
        f"overflow in {NOUNS.get(name, name)} of {values}: the result does not fit {call.type};"
        " cast an operand to a wider type"
    )


def _value(column: Column, row: int) -> Any:
    """The row's value, for messages."""
    return to_python(slice_column(column, row, row + 1))[0]


def _divide_wide(
    apply: Callable[[int, int], int], arguments: Sequence[Column], call: Call, extent: Extent
) -> Column:
    a, b = (wide.words(argument) for argument in arguments)
    zero = (b[0] == 0) & (b[1] == 0)
    _refuse_zero(zero.logical_not(), extent)
    one = wide.number(1, b[0].device)
    unsafe = zero
    if apply is _quotient:
        over = (a[0] == wide.SIGN) & (a[1] == 0) & (b[0] == -1) & (b[1] == -1)
        _refuse(over, arguments, call, extent)
        unsafe = zero | over
    safe = torch.where(unsafe, one[0], b[0]), torch.where(unsafe, one[1], b[1])
    result = wide.by_python(apply, a, safe, HUGEINT)
    return Wide(call.type, result.hi, result.lo)


def _quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a: int, b: int) -> int:
    return abs(a) % abs(b) * (-1 if a < 0 else 1)
