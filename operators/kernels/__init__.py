"""The few primitives whose best form depends on the device; CPU forms as measured.

Everything else in the engine is plain torch. Each function states its result exactly, so that
another device's form can be tested against the CPU's. None can be cut in the middle: those that
take long for a whole column look first whether the query is cancelled.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled

INT64_MAX = 2**63 - 1
_QUIET_NAN_BITS = 0x7FF8000000000000


def nonzero(mask: Tensor) -> Tensor:
    """Ascending int32 positions of True in a bool tensor [n]."""
    check_cancelled()
    return torch.from_numpy(np.flatnonzero(mask.numpy()).astype(np.int32))


def gather(values: Tensor, rows: Tensor) -> Tensor:
    """values[rows] along the first dimension; int32 rows are the faster ones."""
    return values.index_select(0, rows)


def count_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: how many of the codes (int64 in 0 … groups - 1) are each group's."""
    return torch.bincount(codes, minlength=groups)


def sum_by(codes: Tensor, groups: int, values: Tensor) -> Tensor:
    """Sum per group in the dtype of `values`, added in row order (floats: one fixed result)."""
    check_cancelled()
    table = torch.zeros(groups, dtype=values.dtype)
    return table.scatter_add_(0, codes, values)


def extreme_by(codes: Tensor, groups: int, values: Tensor, largest: bool) -> Tensor:
    """Largest or smallest integer per group; groups without rows hold the dtype's other end."""
    check_cancelled()
    limits = torch.iinfo(values.dtype)
    table = torch.full((groups,), limits.min if largest else limits.max, dtype=values.dtype)
    return table.scatter_reduce_(0, codes, values, "amax" if largest else "amin")


def first_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: the first row with each code, or the number of rows where there is none."""
    check_cancelled()
    rows = int(codes.shape[0])
    first = np.full(groups, rows, dtype=np.int64)
    first[codes.numpy()[::-1]] = np.arange(rows - 1, -1, -1)  # the last of repeated writes stays
    return torch.from_numpy(first)


def last_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: the last row with each code, or -1 where there is none."""
    check_cancelled()
    table = torch.full((groups,), -1, dtype=torch.int64)
    return table.scatter_reduce_(0, codes, torch.arange(int(codes.shape[0])), "amax")


def argsort(values: Tensor) -> Tensor:
    """The stable ascending order of an integer tensor [n], as int64 rows."""
    check_cancelled()
    return torch.sort(values, stable=True).indices


def distinct(values: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct values of an int64 tensor [n], ascending, and the place of each row's value."""
    check_cancelled()
    found, places = torch.unique(values, return_inverse=True)
    return found, places


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
    array = values.numpy()
    narrow = array.dtype != np.int64 and low >= -(2**31) and low + size <= 2**31 > size
    signed, unsigned = (np.int32, np.uint32) if narrow else (np.int64, np.uint64)
    array = array.astype(signed, copy=False)
    # A negative difference is a large unsigned one, and no difference wraps around into the range.
    found = np.subtract(array, signed(low)).view(unsigned) if low else array.view(unsigned)
    found = np.minimum(found, unsigned(size)).view(signed)
    return torch.from_numpy(found.astype(np.int32, copy=False) if size < 2**31 else found)


def hashes(values: Tensor, bits: int) -> Tensor:
    """int32 in 0 … 2**bits - 1 (bits < 32) for each int64, spread by Fibonacci hashing."""
    check_cancelled()
    mixed = values.numpy().view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return torch.from_numpy((mixed >> np.uint64(64 - bits)).astype(np.int32))


def mark(table: Tensor, rows: Tensor) -> None:
    """Set table[rows] to True in a bool tensor; safe from several threads at once."""
    check_cancelled()
    table.numpy()[rows.numpy()] = True


def write(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """table[rows] = values; of repeated rows the last value stays."""
    check_cancelled()
    table.numpy()[rows.numpy()] = values.numpy()


def ascending(values: Tensor) -> bool:
    """Whether no value is less than the one before it."""
    check_cancelled()
    array = values.numpy()
    head = array[:1025]  # unsorted values mostly show it soon
    if bool((head[1:] < head[:-1]).any()):
        return False
    return not bool((array[1:] < array[:-1]).any())


def run_starts(values: Tensor) -> Tensor:
    """int32 positions at which a value differs from the one before it, the first included."""
    check_cancelled()
    array = values.numpy()
    changed = np.ones(len(array), np.bool_)
    np.not_equal(array[1:], array[:-1], out=changed[1:])
    return torch.from_numpy(np.flatnonzero(changed).astype(np.int32))


def run_numbers(starts: Tensor, rows: int) -> Tensor:
    """int64 [rows]: the number of each row's run, from where the runs begin."""
    check_cancelled()
    lengths = np.diff(starts.numpy(), append=rows)
    return torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))


def run_sums(values: Tensor, starts: Tensor) -> Tensor:
    """int64 sum of each run of an int64 tensor; runs are not empty."""
    check_cancelled()
    if int(starts.shape[0]) == 1:
        return values.sum().reshape(1)
    if starts.shape == values.shape:
        return values
    return torch.from_numpy(np.add.reduceat(values.numpy(), starts.numpy()))


def ranges(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """For each i, counts[i] elements starts[i], starts[i] + 1, …: (i repeated, elements), int32."""
    lengths = counts.numpy()
    before = np.cumsum(lengths, dtype=np.int64) - lengths
    owner = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    shift = np.repeat((starts.numpy() - before).astype(np.int32), lengths)
    shift += np.arange(len(shift), dtype=np.int32)
    return torch.from_numpy(owner), torch.from_numpy(shift)
