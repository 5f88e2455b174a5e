"""The few primitives whose best form depends on the device; CPU forms as measured.

Everything else in the engine is plain torch. Each function states its result exactly, so that
another device's form can be tested against the CPU's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

INT64_MAX = 2**63 - 1
_QUIET_NAN_BITS = 0x7FF8000000000000


def nonzero(mask: Tensor) -> Tensor:
    """Ascending int32 positions of True in a bool tensor [n]."""
    return torch.from_numpy(np.flatnonzero(mask.numpy()).astype(np.int32))


def gather(values: Tensor, rows: Tensor) -> Tensor:
    """values[rows] along the first dimension; int32 rows are the faster ones."""
    return values.index_select(0, rows)


def count_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: how many of the codes (int64 in 0 … groups - 1) are each group's."""
    return torch.bincount(codes, minlength=groups)


def sum_by(codes: Tensor, groups: int, values: Tensor) -> Tensor:
    """Sum per group in the dtype of `values`, added in row order (floats: one fixed result)."""
    table = torch.zeros(groups, dtype=values.dtype)
    return table.scatter_add_(0, codes, values)


def extreme_by(codes: Tensor, groups: int, values: Tensor, largest: bool) -> Tensor:
    """Largest or smallest integer per group; groups without rows hold the dtype's other end."""
    limits = torch.iinfo(values.dtype)
    table = torch.full((groups,), limits.min if largest else limits.max, dtype=values.dtype)
    return table.scatter_reduce_(0, codes, values, "amax" if largest else "amin")


def first_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: the first row with each code, or the number of rows where there is none."""
    rows = int(codes.shape[0])
    if groups <= rows // 4 + 1024:
        table = torch.full((groups,), rows, dtype=torch.int64)
        return table.scatter_reduce_(0, codes, torch.arange(rows), "amin")
    # Large sparse tables: scatter_reduce is slow there, numpy keeps the last of repeated writes.
    sparse = np.full(groups, rows, dtype=np.int64)
    sparse[codes.numpy()[::-1]] = np.arange(rows - 1, -1, -1)
    return torch.from_numpy(sparse)


def last_by(codes: Tensor, groups: int) -> Tensor:
    """int64 [groups]: the last row with each code, or -1 where there is none."""
    table = torch.full((groups,), -1, dtype=torch.int64)
    return table.scatter_reduce_(0, codes, torch.arange(int(codes.shape[0])), "amax")


def argsort(values: Tensor) -> Tensor:
    """The stable ascending order of an integer tensor [n], as int64 rows."""
    return torch.sort(values, stable=True).indices


def float_bits(values: Tensor) -> Tensor:
    """int64 that order and equal as SQL wants of floats: -0.0 = 0.0, all NaN equal and greatest."""
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


def find_sorted(values: Tensor, sorted_values: Tensor) -> Tensor:
    """int64 place of each value in ascending distinct `sorted_values`, -1 where it is not there."""
    count = int(sorted_values.shape[0])
    if count == 0:
        return torch.full_like(values, -1, dtype=torch.int64)
    place = torch.searchsorted(sorted_values, values).clamp_(max=count - 1)
    return place.masked_fill_(sorted_values.index_select(0, place) != values, -1)


def ranges(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """For each i, counts[i] elements starts[i], starts[i] + 1, …: (i repeated, elements)."""
    total = int(counts.sum())
    owner = torch.repeat_interleave(counts, output_size=total)
    before = torch.cumsum(counts, 0) - counts
    return owner, torch.arange(total) + (starts - before).index_select(0, owner)
