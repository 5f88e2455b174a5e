"""CEIL, FLOOR, ROUND and TRUNC, half away from zero; of decimals and integers exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators.columns import wide
from tensorsql.operators.columns.layouts import retype, values_of
from tensorsql.operators.functions.numeric_casts import convert_number
from tensorsql.operators.functions.registry import Extent, Kernel
from tensorsql.planner.functions.casts import MAX_DIGITS
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import CPU, VALUE_DTYPE, Column, Flat, Wide, bare
from tensorsql.storage.columns.rounding import halves
from tensorsql.storage.columns.types import Kind, Type, decimal

LAST_POWER = 308
# As the C library has them, which is what DuckDB scales by; beyond the last all are infinite.
POWERS = torch.tensor(
    [*(10.0**power for power in range(LAST_POWER + 1)), math.inf], dtype=torch.float64, device=CPU
)
EXACT_POWERS = 22


def _rounding(apply: Callable[[Tensor], Tensor], up: int) -> Kernel:
    """CEIL (up = 1) and FLOOR (up = -1) of floats and decimals."""

    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
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

    return wide.by_python(
        divide, (column.hi, column.lo), wide.number(1, column.hi.device), call.type
    )


ceil = _rounding(torch.ceil, 1)
floor = _rounding(torch.floor, -1)


def _half_away(values: Tensor) -> Tensor:
    whole = torch.floor(values.abs() + 0.5)
    # 0.49999999999999994 + 0.5 rounds up to 1.
    whole = torch.where(values.abs() < 0.5, 0.0, whole)
    whole = torch.where(values.abs() < 2.0**52, whole, values.abs())
    return torch.copysign(whole, values)


def round(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """To a whole number, half away from zero."""
    (column,) = arguments
    if call.type.is_float:
        values = values_of(column)
        return Flat(call.type, _half_away(values.to(torch.float64)).to(values.dtype))
    if call.type.is_integer:
        return column
    return (
        convert_number(bare(column), decimal(38, 0))[0]
        if call.type.is_wide
        else _rescaled(column, call)
    )


def _rescaled(column: Column, call: Call) -> Column:
    result, _ = convert_number(bare(column), decimal(18, 0))
    return retype(result, call.type)


def trunc(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Towards zero."""
    (column,) = arguments
    if call.type.is_float:
        return Flat(call.type, torch.trunc(values_of(column)))
    if call.type.is_integer:
        return column
    return _decimal_to_digits(column, 0, call, extent, cut=True)


def round_to(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """To a number of digits after the point (before it, if negative), half away from zero."""
    return _to_digits(arguments, call, extent, cut=False)


def trunc_to(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Cut to a number of digits after the point (before it, if negative)."""
    return _to_digits(arguments, call, extent, cut=True)


def _to_digits(arguments: Sequence[Column], call: Call, extent: Extent, cut: bool) -> Column:
    column, digits = arguments
    places = values_of(bare(digits)).to(torch.int64)
    if call.type.is_float:
        values = values_of(column)
        result = _float_to_digits(values.to(torch.float64), places, cut)
        return Flat(call.type, result.to(values.dtype))
    if call.type.kind is Kind.DECIMAL:
        place = int(places[0]) if len(places) else 0
        return _decimal_to_digits(column, place, call, extent, cut)
    return _integer_to_digits(column, places, call, extent, cut)


def _float_to_digits(values: Tensor, places: Tensor, cut: bool) -> Tensor:
    """Scaled by a power of ten, rounded and scaled back; what cannot be scaled stays as it is."""
    before = places < 0
    unit = POWERS.to(places.device)[places.clamp(-LAST_POWER - 1, LAST_POWER + 1).abs()]
    scaled = torch.where(before, values / unit, values * unit)
    if cut:
        whole = scaled.trunc()
    else:
        below = _is_below_half(values, unit, scaled, places)
        whole = torch.where(below, scaled.trunc(), _half_away(scaled))
    result = torch.where(before, whole * unit, whole / unit)
    if not cut:
        result = torch.where(before & result.isnan(), 0.0, result)
    return torch.where(result.isfinite() & values.isfinite(), result, values)


def _is_below_half(values: Tensor, unit: Tensor, scaled: Tensor, places: Tensor) -> Tensor:
    """Where the product was rounded up to a half: the DOUBLE 0.35 is less than 7/20.

    As DuckDB does, for the powers of ten that a float holds exactly.
    """
    half = (places > 0) & (places <= EXACT_POWERS) & ((scaled - scaled.trunc()).abs() == 0.5)
    if not bool(half.any()):
        return half
    error = _product_error(values * half, unit * half, scaled)
    return half & (error * scaled < 0)


def _product_error(a: Tensor, b: Tensor, product: Tensor) -> Tensor:
    """a * b less its rounded product, exactly (Dekker); zeros in both give 0."""
    a_high, a_low = halves(a)
    b_high, b_low = halves(b)
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _decimal_to_digits(column: Column, place: int, call: Call, extent: Extent, cut: bool) -> Column:
    column = bare(column)
    dropped, zeros = column.type.scale - place, max(-place, 0)
    if dropped <= 0:
        return retype(column, call.type)
    words, bad = _shortened(wide.words(column), dropped, zeros, cut)
    if zeros:
        limit = 10**MAX_DIGITS - 1
        _refuse(bad | wide.outside(words, -limit, limit), call, extent)
    return _of_words(words, call.type)


def _integer_to_digits(
    column: Column, places: Tensor, call: Call, extent: Extent, cut: bool
) -> Column:
    """Integers change only for negative digits."""
    words = wide.words(column)
    bad = torch.zeros_like(places[:1], dtype=torch.bool)
    for place in torch.unique(places[places < 0].clamp(min=-MAX_DIGITS - 1)).tolist():
        here = places.clamp(min=-MAX_DIGITS - 1) == place
        shorter, failed = _shortened(words, -place, -place, cut)
        bad = bad | (here & failed)
        hi, lo = words
        words = torch.where(here, shorter[0], hi), torch.where(here, shorter[1], lo)
    allowed = call.type.limits
    if allowed is not None:
        bad = bad | wide.outside(words, *allowed)
    _refuse(bad, call, extent)
    return _of_words(words, call.type)


def _shortened(words: wide.Words, dropped: int, zeros: int, cut: bool) -> tuple[wide.Words, Tensor]:
    """Without the last `dropped` digits, then with zeros put back; and where that overflows."""
    if dropped > MAX_DIGITS:  # even a half of that is more than any number
        nothing = torch.zeros_like(words[0])
        return (nothing, nothing), nothing != 0
    shorter = wide.cut_down(words, dropped) if cut else wide.scale_down(words, dropped)
    return wide.scale_up(shorter, zeros)


def _refuse(bad: Tensor, call: Call, extent: Extent) -> None:
    if extent.failing(bad.expand(extent.count)) is not None:
        raise OutOfRangeError(
            f"rounding gives a number that does not fit {call.type}; cast it to a wider type"
        )


def _of_words(words: wide.Words, type: Type) -> Column:
    if type.is_wide:
        return Wide(type, *words)
    return Flat(type, words[1].to(VALUE_DTYPE[type.kind]))
