"""Every primitive in plain torch: for tensors on any device, and what other forms must equal.

None can be cut in the middle: those that take long for a whole column look first whether the query
is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled

INT64_MAX = 2**63 - 1
_QUIET_NAN_BITS = 0x7FF8000000000000
_FIBONACCI = 0x9E3779B97F4A7C15 - 2**64


def nonzero(mask: Tensor) -> Tensor:
    """Ascending int32 positions of True in a bool tensor [n]."""
    check_cancelled()
    return torch.nonzero(mask).reshape(-1).to(torch.int32)


def count_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: how many of the codes (int64 in 0 … groups - 1) are each group's."""
    return torch.bincount(codes, minlength=groups)


def sum_by(codes: Tensor, groups: int, values: Tensor) -> Tensor:
    """Sum per group in the dtype of `values`, added in row order (floats: one fixed result)."""
    check_cancelled()
    if values.is_floating_point() and not values.is_cpu:  # no other device keeps the order of rows
        return sum_by(codes.cpu(), groups, values.cpu()).to(values.device)
    table = values.new_zeros(groups)
    return table.scatter_add_(0, codes, values)


def extreme_by(codes: Tensor, groups: int, values: Tensor, largest: bool) -> Tensor:
    """Largest or smallest integer per group; groups without rows hold the dtype's other end."""
    check_cancelled()
    limits = torch.iinfo(values.dtype)
    table = values.new_full((groups,), limits.min if largest else limits.max)
    return table.scatter_reduce_(0, codes, values, "amax" if largest else "amin")


def first_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: the first row with each code, or the number of rows where there is none."""
    check_cancelled()
    rows = int(codes.shape[0])
    table = codes.new_full((groups,), rows)
    return table.scatter_reduce_(0, codes, torch.arange(rows, device=codes.device), "amin")


def last_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: the last row with each code, or -1 where there is none."""
    check_cancelled()
    rows = torch.arange(codes.shape[0], device=codes.device)
    return codes.new_full((groups,), -1).scatter_reduce_(0, codes, rows, "amax")


def argsort(values: Tensor) -> Tensor:
    """The stable ascending order of an integer tensor [n], as int64 rows."""
    check_cancelled()
    return torch.sort(values, stable=True).indices


def distinct(values: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct values of an int64 tensor [n], ascending, and the place of each row's value."""
    check_cancelled()
    values_once, places = torch.unique(values, return_inverse=True)
    return values_once, places


def float_bits(values: Tensor) -> Tensor:
    """int64 that order and equal as SQL wants of floats: -0.0 = 0.0, all NaN equal and greatest."""
    check_cancelled()
    wide = values.double() + 0.0  # -0.0 + 0.0 is 0.0
    bits = wide.view(torch.int64)
    missing = torch.isnan(wide)
    if bool(missing.any()):
        bits = bits.masked_fill(missing, _QUIET_NAN_BITS)
    return bits ^ ((bits >> 63) & INT64_MAX)


def bits_to_float(bits: Tensor) -> Tensor:
    """The float64 values `float_bits` was made of."""
    return (bits ^ ((bits >> 63) & INT64_MAX)).view(torch.float64)


def bounds(values: Tensor) -> tuple[int, int]:
    """Smallest and largest of a non-empty integer tensor, as Python integers."""
    low, high = torch.aminmax(values)
    return int(low), int(high)


def places(values: Tensor, low: int, size: int) -> Tensor:
    """int32 (or int64, for a size beyond it) value - low where that is in 0 … size - 1, else size.

    For integer tensors [n] and low … low + size - 1 in the range of int64.
    """
    check_cancelled()
    wide = values.to(torch.int64)
    inside = (wide >= low) & (wide <= low + size - 1)
    offsets = torch.where(inside, wide - low, size)
    return offsets.to(torch.int32) if size < 2**31 else offsets


def hashes(values: Tensor, bits: int) -> Tensor:
    """int32 in 0 … 2**bits - 1 (bits < 32) for each int64, spread by Fibonacci hashing."""
    check_cancelled()
    mixed = (values * _FIBONACCI) >> (64 - bits)  # the sign's copies go
    return (mixed & ((1 << bits) - 1)).to(torch.int32)


def mark(table: Tensor, rows: Tensor) -> None:
    """Set table[rows] to True in a bool tensor; safe from several threads at once."""
    check_cancelled()
    table.index_fill_(0, rows.to(torch.int64), True)


def write(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """table[rows] = values; of repeated rows the last value stays."""
    check_cancelled()
    last = last_by(rows.to(torch.int64), int(table.shape[0]))
    written = torch.nonzero(last >= 0).reshape(-1)
    table[written] = values.index_select(0, last.index_select(0, written)).to(table.dtype)


def ascending(values: Tensor) -> bool:
    """Whether no value is less than the one before it."""
    check_cancelled()
    return not bool((values[1:] < values[:-1]).any())


def run_starts(values: Tensor) -> Tensor:
    """int32 positions at which a value differs from the one before it, the first included."""
    changed = torch.ones(values.shape[0], dtype=torch.bool, device=values.device)
    torch.ne(values[1:], values[:-1], out=changed[1:])
    return nonzero(changed)


def run_numbers(starts: Tensor, rows: int) -> Tensor:
    """int64 [rows]: the number of each row's run, from where the runs begin."""
    check_cancelled()
    count = int(starts.shape[0])
    ends = torch.cat([starts[1:], starts.new_full((min(count, 1),), rows)])
    return torch.repeat_interleave(torch.arange(count, device=starts.device), ends - starts)


def run_sums(values: Tensor, starts: Tensor) -> Tensor:
    """int64 sum of each run of an int64 tensor; runs are not empty."""
    check_cancelled()
    before = torch.cat([values.new_zeros(1), values.cumsum(0)])  # what wraps there wraps back
    ends = torch.cat([starts[1:], starts.new_full((1,), values.shape[0])])
    return before.index_select(0, ends) - before.index_select(0, starts)


def ranges(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """For each i, counts[i] elements starts[i], starts[i] + 1, …: (i repeated, elements), int32."""
    check_cancelled()
    owner = torch.arange(counts.shape[0], dtype=torch.int32, device=counts.device)
    before = torch.cumsum(counts, 0) - counts
    shift = torch.repeat_interleave(starts - before, counts).to(torch.int32)
    own = torch.arange(shift.shape[0], dtype=torch.int32, device=counts.device)
    return torch.repeat_interleave(owner, counts), shift + own


def elementwise(values: Tensor, operation: Callable[[Any, Any], Any], other: Any) -> Tensor:
    """operation(values, other), which compares or calculates, for a tensor or a number."""
    result: Tensor = operation(values, other)
    return result


def remainder(a: Tensor, b: Tensor) -> Tensor:
    """a % b of floats, with the sign of a; NaN where b is 0."""
    return torch.fmod(a, b)


def power(a: Tensor, b: Tensor) -> Tensor:
    """a to the b of floats, equal values with equal bits; so are the next four."""
    return torch.pow(a, b)


def cube_root(values: Tensor) -> Tensor:
    """The real third root."""
    size = values.abs()
    root = size.pow(1.0 / 3.0)  # as a third is no float, a step of Newton's has to mend the digits
    nearer = root - (root - size / (root * root)) / 3.0
    return torch.copysign(torch.where(nearer.isfinite(), nearer, root), values)


def arcsine(values: Tensor) -> Tensor:
    """NaN outside -1 … 1."""
    return torch.asin(values)


def arccosine(values: Tensor) -> Tensor:
    """NaN outside -1 … 1."""
    return torch.acos(values)


def arctangent(y: Tensor, x: Tensor) -> Tensor:
    """The angle of the point (x, y)."""
    return torch.atan2(y, x)


def quotient(hi: Tensor, lo: Tensor, counts: Tensor, scale: int) -> Tensor:
    """128-bit integers, as two words each, divided by counts * scale: the nearest double or so."""
    narrow = hi == lo >> 63
    unsigned = lo.double() + (lo < 0) * 2.0**64
    exact = torch.where(narrow, lo.double(), hi.double() * 2.0**64 + unsigned)
    return exact / (counts.double() * float(scale))
