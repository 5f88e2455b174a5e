"""128-bit integers as two int64 tensors: hi, and lo holding an unsigned word.

Division and conversion to text beyond a power of ten go through Python integers: they are off every
hot path (AVG divides once per group).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tensorsql.operators.columns.literals import wide_numbers, wide_of
from tensorsql.storage.columns.changes import two_words
from tensorsql.storage.columns.column import Column, Wide, bare
from tensorsql.storage.columns.types import HUGEINT, Type

Words = tuple[Tensor, Tensor]
HALF = 0xFFFFFFFF
SIGN = -(1 << 63)
WORD = 2.0**64


def words(column: Column) -> Words:
    """(hi, lo) of a Wide column, or of an integer one sign-extended; a Constant's have one row."""
    wide = two_words(bare(column))
    return wide.hi, wide.lo


def number(value: int, device: torch.device) -> Words:
    """One number, as one row."""
    one = wide_of([value], HUGEINT, None, device)
    return one.hi, one.lo


def unsigned_less(a: Tensor, b: Tensor) -> Tensor:
    """a < b of unsigned words."""
    return (a ^ SIGN) < (b ^ SIGN)


def equal(a: Words, b: Words) -> Tensor:
    """a = b."""
    return (a[0] == b[0]) & (a[1] == b[1])


def less(a: Words, b: Words) -> Tensor:
    """a < b."""
    return (a[0] < b[0]) | ((a[0] == b[0]) & unsigned_less(a[1], b[1]))


def add(a: Words, b: Words) -> tuple[Words, Tensor]:
    """The sum, wrapped, and where it overflowed."""
    lo = a[1] + b[1]
    hi = a[0] + b[0] + unsigned_less(lo, a[1]).to(torch.int64)
    return (hi, lo), ((a[0] ^ hi) & (b[0] ^ hi)) < 0


def subtract(a: Words, b: Words) -> tuple[Words, Tensor]:
    """The difference, wrapped, and where it overflowed."""
    lo = a[1] - b[1]
    hi = a[0] - b[0] - unsigned_less(a[1], b[1]).to(torch.int64)
    return (hi, lo), ((a[0] ^ b[0]) & (a[0] ^ hi)) < 0


def negate(a: Words) -> Words:
    """-a; the least number stays itself."""
    lo = -a[1]
    return ~a[0] + (lo == 0).to(torch.int64), lo


def absolute(a: Words) -> Words:
    """|a|; the least number stays itself (and is its magnitude as an unsigned number)."""
    negative = a[0] < 0
    hi, lo = negate(a)
    return torch.where(negative, hi, a[0]), torch.where(negative, lo, a[1])


def unsigned_product(a: Tensor, b: Tensor) -> Words:
    """The 128-bit product of two unsigned words, by 32-bit halves."""
    a0, a1, b0, b1 = a & HALF, _upper(a), b & HALF, _upper(b)
    low, cross = a0 * b0, a1 * b0
    middle = cross + _upper(low)
    other = a0 * b1 + (middle & HALF)
    hi = a1 * b1 + _upper(middle) + _upper(other)
    return hi, (other << 32) | (low & HALF)


def _upper(word: Tensor) -> Tensor:
    return (word >> 32) & HALF


def multiply(a: Words, b: Words) -> tuple[Words, Tensor]:
    """The product, wrapped, and where it overflowed.

    A magnitude beyond 1.71e38 is seen in floats; between 2**127 and that, wrapping flips the sign.
    """
    hi, lo = unsigned_product(a[1], b[1])
    hi = hi + a[0] * b[1] + a[1] * b[0]
    estimate = to_double(a) * to_double(b)
    flipped = ((hi < 0) != (estimate < 0)) & ((hi != 0) | (lo != 0)) & (estimate != 0)
    return (hi, lo), (estimate.abs() > 1.71e38) | flipped


def to_double(a: Words) -> Tensor:
    """The nearest double, up to one rounding per word."""
    hi, lo = absolute(a)
    magnitude = _unsigned_double(hi) * WORD + _unsigned_double(lo)
    return torch.where(a[0] < 0, -magnitude, magnitude)


def _unsigned_double(word: Tensor) -> Tensor:
    value = word.to(torch.float64)
    return torch.where(word < 0, value + WORD, value)


def from_double(values: Tensor) -> Words:
    """Whole doubles of magnitude below 2**127, exactly."""
    magnitude = values.abs()
    hi = torch.floor(magnitude / WORD)
    lo = magnitude - hi * WORD
    low = torch.where(lo >= WORD / 2, lo - WORD, lo).to(torch.int64)
    whole = hi.to(torch.int64), low
    negative, minus = values < 0, negate(whole)
    return torch.where(negative, minus[0], whole[0]), torch.where(negative, minus[1], whole[1])


def outside(a: Words, low: int, high: int) -> Tensor:
    """Where a is not within low … high."""
    device = a[0].device
    return less(a, number(low, device)) | less(number(high, device), a)


def scale_up(a: Words, digits: int) -> tuple[Words, Tensor]:
    """a * 10**digits, and where it overflowed."""
    return multiply(a, number(10**digits, a[0].device))


def scale_down(a: Words, digits: int) -> Words:
    """a / 10**digits, rounded half away from zero."""
    magnitude, _ = add(absolute(a), number(10**digits // 2, a[0].device))
    return _signed(_shorten(magnitude, digits), a[0] < 0)


def cut_down(a: Words, digits: int) -> Words:
    """a / 10**digits, cut towards zero."""
    return _signed(_shorten(absolute(a), digits), a[0] < 0)


def _signed(magnitude: Words, negative: Tensor) -> Words:
    minus = negate(magnitude)
    hi = torch.where(negative, minus[0], magnitude[0])
    return hi, torch.where(negative, minus[1], magnitude[1])


def _shorten(magnitude: Words, digits: int) -> Words:
    while digits > 0:
        step = min(digits, 9)
        magnitude = _divide(magnitude, 10**step)
        digits -= step
    return magnitude


def _divide(a: Words, divisor: int) -> Words:
    """Non-negative a // divisor for divisors up to 10**9: long division by 32-bit digits."""
    digits = [_upper(a[0]), a[0] & HALF, _upper(a[1]), a[1] & HALF]
    rest, quotients = torch.zeros_like(a[0]), []
    for digit in digits:
        value = (rest << 32) | digit
        quotient = torch.div(value, divisor, rounding_mode="floor")
        quotients.append(quotient)
        rest = value - quotient * divisor
    return (quotients[0] << 32) | quotients[1], (quotients[2] << 32) | quotients[3]


def by_python(apply: Callable[[int, int], int], a: Words, b: Words, type: Type) -> Wide:
    """Row by row in Python integers: exact, slow, for division and remainder only."""
    count = max(a[0].shape[0], b[0].shape[0])
    left, right = (
        wide_numbers(Wide(HUGEINT, hi.expand(count), lo.expand(count))) for hi, lo in (a, b)
    )
    results = [apply(x, y) for x, y in zip(left, right, strict=True)]
    return wide_of(results, type, None, a[0].device)
