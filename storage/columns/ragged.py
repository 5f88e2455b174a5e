"""Parts of columns with some elements for each row: text, bytes, lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor


class Ragged(NamedTuple):
    """The elements of row i are items[offsets[i]:offsets[i + 1]]; offsets[0] may be > 0."""

    offsets: Tensor
    items: Any  # a Tensor or a Column


def cumulated(lengths: Tensor) -> Tensor:
    """The offsets of rows with so many elements each."""
    ends = torch.cumsum(lengths, 0)
    return torch.cat([ends.new_zeros(1), ends])


def ragged_take(offsets: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """New offsets and the element positions for gathering `rows` of a ragged column."""
    starts = offsets.index_select(0, rows)
    lengths = offsets[1:].index_select(0, rows) - starts
    new = cumulated(lengths)
    inside = torch.arange(int(new[-1]), dtype=torch.int64, device=new.device)
    return new, inside + torch.repeat_interleave(starts - new[:-1], lengths)


def take_bytes(part: Ragged, rows: Tensor) -> Ragged:
    """Gather rows of bytes; Arrow copies row by row, a tensor gather would byte by byte."""
    taken = binary_array(part.offsets, part.items).take(pa.array(rows.numpy()))
    if len(taken) == 0:
        return Ragged(part.offsets.new_zeros(1), part.items.new_zeros(0))
    _, offsets, data = taken.buffers()
    places = np.frombuffer(offsets, np.int64, len(taken) + 1)
    arrays = places, np.frombuffer(data, np.uint8, places[-1])
    return Ragged(*(torch.from_numpy(array).to(rows.device) for array in arrays))


def binary_array(offsets: Tensor, data: Tensor, type: pa.DataType | None = None) -> pa.Array:
    """Bytes (or text) as a large Arrow array without NULLs, sharing memory on the CPU."""
    buffers = [None, *(pa.py_buffer(each.contiguous().cpu().numpy()) for each in (offsets, data))]
    return pa.Array.from_buffers(type or pa.large_binary(), len(offsets) - 1, buffers)


def joined_offsets(all_offsets: Sequence[Tensor]) -> tuple[Tensor, list[tuple[int, int]]]:
    """Offsets of all rows in order, and which elements each part of them has."""
    pieces, ranges, total = [all_offsets[0].new_zeros(1)], [], 0
    for offsets in all_offsets:
        start, stop = int(offsets[0]), int(offsets[-1])
        pieces.append(offsets[1:] + (total - start))
        ranges.append((start, stop))
        total += stop - start
    return torch.cat(pieces), ranges
