"""Functions of numbers. A function outside its domain gives NaN or an infinity, as in IEEE 754."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators import wide
from tensorsql.operators.frame import Frame
from tensorsql.operators.functions.numeric_casts import convert_number
from tensorsql.operators.functions.registry import Kernel
from tensorsql.operators.layouts import retype, values_of
from tensorsql.operators.literals import constant
from tensorsql.operators.ranges import type_range
from tensorsql.planner.expressions import Call
from tensorsql.storage.column import Column, Constant, Flat, Wide
from tensorsql.storage.rounding import square_root
from tensorsql.storage.types import DOUBLE, HUGEINT, Kind, decimal


def _of_floats(apply: Callable[..., Tensor]) -> Kernel:
    """The kernel of a tensor function of floats."""

    def run(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
        return Flat(call.type, apply(*(values_of(argument) for argument in arguments)))

    return run


def _cube_root(values: Tensor) -> Tensor:
    root = torch.copysign(values.abs().pow(1.0 / 3.0), values)
    nearest = torch.round(root)  # exact for cubes of whole numbers
    return torch.where(nearest**3 == values, nearest, root)


def _log(base: Tensor, values: Tensor) -> Tensor:
    return torch.log10(values) / torch.log10(base)


sqrt = _of_floats(square_root)
cbrt = _of_floats(_cube_root)
exp = _of_floats(torch.exp)
ln = _of_floats(torch.log)
log2 = _of_floats(torch.log2)
log10 = _of_floats(torch.log10)
log = _of_floats(_log)
pow = _of_floats(torch.pow)
sin = _of_floats(torch.sin)
cos = _of_floats(torch.cos)
tan = _of_floats(torch.tan)
asin = _of_floats(torch.asin)
acos = _of_floats(torch.acos)
atan = _of_floats(torch.atan)
atan2 = _of_floats(torch.atan2)
degrees = _of_floats(lambda values: values * (180.0 / math.pi))
radians = _of_floats(lambda values: values * (math.pi / 180.0))
isnan = _of_floats(torch.isnan)
isinf = _of_floats(torch.isinf)
isfinite = _of_floats(torch.isfinite)


def pi(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
    """π."""
    return constant(math.pi, DOUBLE, frame.count)


def abs(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
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
    if call.type.is_integer and frame.failing(bad) is not None:
        raise OutOfRangeError(f"abs of the least {call.type} does not fit; cast it to a wider type")
    return result


def sign(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
    """-1, 0 or 1; 0 for NaN."""
    (column,) = arguments
    if isinstance(column, Wide):
        positive = ((column.hi > 0) | ((column.hi == 0) & (column.lo != 0))).to(torch.int8)
        return Flat(call.type, positive - (column.hi < 0).to(torch.int8))
    values = values_of(column)
    return Flat(call.type, (values > 0).to(torch.int8) - (values < 0).to(torch.int8))


def _rounding(apply: Callable[[Tensor], Tensor], up: int) -> Kernel:
    """CEIL (up = 1) and FLOOR (up = -1) of floats and decimals."""

    def run(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
        (column,) = arguments
        if call.type.is_float:
            return Flat(call.type, apply(values_of(column)))
        if isinstance(column, Wide):
            return _whole_words(column, call, up)
        unit = 10**column.type.scale
        values = values_of(column)
        whole = torch.div(values, unit, rounding_mode="floor")
        if up > 0:
            whole = -torch.div(-values, unit, rounding_mode="floor")
        return Flat(call.type, whole)

    return run


def _whole_words(column: Wide, call: Call, up: int) -> Column:
    unit: int = 10**column.type.scale

    def divide(value: int, _: int) -> int:
        return -(-value // unit) if up > 0 else value // unit

    return wide.by_python(divide, (column.hi, column.lo), wide.number(1), call.type)


ceil = _rounding(torch.ceil, 1)
floor = _rounding(torch.floor, -1)


def _half_away(values: Tensor) -> Tensor:
    whole = torch.floor(values.abs() + 0.5)
    # 0.49999999999999994 + 0.5 rounds up to 1.
    whole = torch.where(values.abs() < 0.5, 0.0, whole)
    whole = torch.where(values.abs() < 2.0**52, whole, values.abs())
    return torch.copysign(whole, values)


def round(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
    """To a whole number, half away from zero."""
    (column,) = arguments
    if call.type.is_float:
        return Flat(call.type, _half_away(values_of(column)))
    if call.type.is_integer:
        return column
    return (
        convert_number(_bare(column), decimal(38, 0))[0]
        if call.type.is_wide
        else _rescaled(column, call)
    )


def _rescaled(column: Column, call: Call) -> Column:
    result, _ = convert_number(_bare(column), decimal(18, 0))
    return retype(result, call.type)


def _bare(column: Column) -> Column:
    return column.one if isinstance(column, Constant) else column


def trunc(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
    """Towards zero."""
    (column,) = arguments
    if call.type.is_float:
        return Flat(call.type, torch.trunc(values_of(column)))
    if call.type.is_integer:
        return column
    return _cut(column, column.type.scale, 0, call)


def round_to(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
    """To a number of digits after the point (before it, if negative), half away from zero."""
    return _to_digits(arguments, call, frame, _half_away)


def trunc_to(arguments: Sequence[Column], call: Call, frame: Frame) -> Column:
    """Cut to a number of digits after the point (before it, if negative)."""
    return _to_digits(arguments, call, frame, torch.trunc)


def _to_digits(
    arguments: Sequence[Column], call: Call, frame: Frame, apply: Callable[[Tensor], Tensor]
) -> Column:
    column, digits = arguments
    if call.type.is_float:
        values = values_of(column).to(torch.float64)
        unit = torch.pow(10.0, values_of(digits).to(torch.float64))
        rounded = apply(values * unit) / unit
        rounded = torch.where(torch.isfinite(rounded), rounded, values)
        return Flat(call.type, rounded.to(values_of(column).dtype))
    places = values_of(digits)
    if call.type.kind is Kind.DECIMAL:
        place = int(places[0]) if len(places) else 0
        dropped = max(column.type.scale - place, 0)
        if apply is torch.trunc:
            return _cut(column, dropped, max(-place, 0), call)
        return _round_decimal(column, dropped, max(-place, 0), call)
    return _round_integer(column, places, call, frame, apply)


def _cut(column: Column, dropped: int, zeros: int, call: Call) -> Column:
    """A decimal without its last `dropped` digits, then with `zeros` zeros put back."""
    unit: int = 10**dropped
    factor: int = 10**zeros
    if isinstance(column, Wide):

        def divide(value: int, _: int) -> int:
            magnitude = (-value if value < 0 else value) // unit * factor
            return -magnitude if value < 0 else magnitude

        return wide.by_python(divide, (column.hi, column.lo), wide.number(1), call.type)
    values = values_of(column)
    if dropped > 18:
        return Flat(call.type, torch.zeros_like(values))
    return Flat(call.type, torch.div(values, unit, rounding_mode="trunc") * factor)


def _round_decimal(column: Column, dropped: int, zeros: int, call: Call) -> Column:
    column = _bare(column)
    words = wide.scale_down(wide.words(column), dropped) if dropped else wide.words(column)
    if zeros:
        words, _ = wide.scale_up(words, zeros)
    if call.type.is_wide:
        return Wide(call.type, *words)
    return Flat(call.type, words[1])


def _round_integer(
    column: Column, places: Tensor, call: Call, frame: Frame, apply: Callable[[Tensor], Tensor]
) -> Column:
    """Integers change only for negative digits."""
    halves = apply is not torch.trunc

    def rounded(value: int, place: int) -> int:
        unit: int = 10 ** min(max(-place, 0), 40)
        magnitude = -value if value < 0 else value
        magnitude = (magnitude + (unit // 2 if halves else 0)) // unit * unit
        return -magnitude if value < 0 else magnitude

    if not bool((places < 0).any()):
        return column
    digits = places.to(torch.int64)
    found = wide.by_python(rounded, wide.words(column), (digits >> 63, digits), HUGEINT)
    if call.type.is_wide:
        return found
    allowed = type_range(call.type)
    assert allowed is not None
    if frame.failing(wide.outside((found.hi, found.lo), *allowed)) is not None:
        raise OutOfRangeError(
            f"rounding gives a number that does not fit {call.type}; cast it first"
        )
    return Flat(call.type, found.lo.to(values_of(column).dtype))
