"""CPU only: the primitives for which numpy, on the tensors' own memory, beats torch there.

Each gives what the function of its name in `portable` says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled


def nonzero(mask: Tensor) -> Tensor:
    check_cancelled()
    return torch.from_numpy(np.flatnonzero(mask.numpy()).astype(np.int32))


def first_by(codes: Tensor, groups: int) -> Tensor:
    check_cancelled()
    rows = int(codes.shape[0])
    first = np.full(groups, rows, dtype=np.int64)
    first[codes.numpy()[::-1]] = np.arange(rows - 1, -1, -1)  # the last of repeated writes stays
    return torch.from_numpy(first)


def places(values: Tensor, low: int, size: int) -> Tensor:
    check_cancelled()
    array = values.numpy()
    narrow = array.dtype != np.int64 and low >= -(2**31) and low + size <= 2**31 > size
    signed, unsigned = (np.int32, np.uint32) if narrow else (np.int64, np.uint64)
    array = array.astype(signed, copy=False)
    # A negative difference is a large unsigned one, and no difference wraps around into the range.
    offsets = np.subtract(array, signed(low)).view(unsigned) if low else array.view(unsigned)
    offsets = np.minimum(offsets, unsigned(size)).view(signed)
    return torch.from_numpy(offsets.astype(np.int32, copy=False) if size < 2**31 else offsets)


def hashes(values: Tensor, bits: int) -> Tensor:
    check_cancelled()
    mixed = values.numpy().view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return torch.from_numpy((mixed >> np.uint64(64 - bits)).astype(np.int32))


def mark(table: Tensor, rows: Tensor) -> None:
    check_cancelled()
    table.numpy()[rows.numpy()] = True


def write(table: Tensor, rows: Tensor, values: Tensor) -> None:
    check_cancelled()
    table.numpy()[rows.numpy()] = values.numpy()


def ascending(values: Tensor) -> bool:
    check_cancelled()
    array = values.numpy()
    head = array[:1025]  # unsorted values mostly show it soon
    if bool((head[1:] < head[:-1]).any()):
        return False
    return not bool((array[1:] < array[:-1]).any())


def run_starts(values: Tensor) -> Tensor:
    check_cancelled()
    array = values.numpy()
    changed = np.ones(len(array), np.bool_)
    np.not_equal(array[1:], array[:-1], out=changed[1:])
    return torch.from_numpy(np.flatnonzero(changed).astype(np.int32))


def run_numbers(starts: Tensor, rows: int) -> Tensor:
    check_cancelled()
    lengths = np.diff(starts.numpy(), append=rows)
    return torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))


def run_sums(values: Tensor, starts: Tensor) -> Tensor:
    check_cancelled()
    if int(starts.shape[0]) == 1:
        return values.sum().reshape(1)
    if starts.shape == values.shape:
        return values
    return torch.from_numpy(np.add.reduceat(values.numpy(), starts.numpy()))


def ranges(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    lengths = counts.numpy()
    before = np.cumsum(lengths, dtype=np.int64) - lengths
    owner = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    shift = np.repeat((starts.numpy() - before).astype(np.int32), lengths)
    shift += np.arange(len(shift), dtype=np.int32)
    return torch.from_numpy(owner), torch.from_numpy(shift)


def elementwise(values: Tensor, operation: Callable[[Any, Any], Any], other: Any) -> Tensor:
    right = other.numpy() if isinstance(other, Tensor) else other
    return torch.from_numpy(operation(values.numpy(), right))


def remainder(a: Tensor, b: Tensor) -> Tensor:
    return _by_numpy(np.fmod, a, b)  # torch's is not exact in the rows that it computes as a vector


def power(a: Tensor, b: Tensor) -> Tensor:
    return _by_numpy(np.power, a, b)


def cube_root(values: Tensor) -> Tensor:
    return _by_numpy(np.cbrt, values)


def arcsine(values: Tensor) -> Tensor:
    return _by_numpy(np.arcsin, values)


def arccosine(values: Tensor) -> Tensor:
    return _by_numpy(np.arccos, values)


def arctangent(y: Tensor, x: Tensor) -> Tensor:
    return _by_numpy(np.arctan2, y, x)


def _by_numpy(function: Callable[..., Any], *operands: Tensor) -> Tensor:
    """torch ends a vector's last rows by other code: numpy gives equal values equal bits.

    Its shortcuts for a repeated exponent give other bits too, so operands are spread out.
    """
    with np.errstate(all="ignore"):
        return torch.from_numpy(function(*(each.contiguous().numpy() for each in operands)))


def quotient(hi: Tensor, lo: Tensor, counts: Tensor, scale: int) -> Tensor:
    exact = np.asarray(lo.numpy(), np.longdouble)
    if not bool((hi == lo >> 63).all()):
        low = np.asarray(lo.numpy().view(np.uint64), np.longdouble)
        exact = np.asarray(hi.numpy(), np.longdouble) * np.longdouble(2**64) + low
    divisor = np.asarray(counts.numpy(), np.longdouble) * np.longdouble(scale)
    return torch.from_numpy((exact / divisor).astype(np.float64))
