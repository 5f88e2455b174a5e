"""Ranks within many overlapping frames: a wavelet tree, walked a level at a time by all frames.

Level by level, from the highest bit, the rows are parted by that bit of their code, in row order
within each part; a frame stays a range of rows in every part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import null_column, take_or_null
from tensorsql.operators.keys.grouping import Grouped
from tensorsql.operators.keys.key_codes import group_rows
from tensorsql.storage.columns.column import Column
from tensorsql.storage.columns.ragged import cumulated


@dataclass(frozen=True)
class FramedRows:
    """What a `Ranking` aggregate asks of groups, of frames: low … high - 1 of the rows each."""

    low: Tensor
    high: Tensor

    @property
    def count(self) -> int:
        """How many frames there are."""
        return int(self.low.shape[0])

    @cached_property
    def sizes(self) -> Tensor:
        """int64 rows per frame."""
        return self.high - self.low

    @cached_property
    def present(self) -> Tensor | None:
        """bool per frame: whether it has rows; None = all have."""
        filled = self.sizes > 0
        return None if bool(filled.all()) else filled

    def first(self) -> Tensor:
        """int64 first row of each frame, -1 where it has none."""
        return self.low.masked_fill(self.sizes == 0, -1)

    def pick(self, column: Column, rows: Tensor) -> Column:
        """The column at one row per frame, NULL where it is -1."""
        if len(column) == 0:
            return null_column(column.type, self.count, self.low.device)
        return take_or_null(column, rows)

    def ranked(self, column: Column) -> Callable[[Tensor], Tensor]:
        """From places in each frame's ascending order to rows, -1 where the frame has none."""
        rows = len(column)
        everything = Grouped(self.low.new_zeros(rows), 1)
        order = everything.sorted_by(column)
        ranks = torch.empty_like(order)
        ranks[order] = torch.arange(rows, device=order.device)

        def row(place: Tensor) -> Tensor:
            if rows == 0:
                return order.new_full((self.count,), -1)
            codes = nth(ranks, self.low, self.high, place).clamp(max=rows - 1)
            return order.index_select(0, codes).masked_fill(self.sizes == 0, -1)

        return row

    def distinct(self, columns: Sequence[Column]) -> Tensor:
        """int64 different values per frame: rows whose value last was before the frame."""
        return below(previous(columns) + 1, self.low, self.high, self.low + 1)


def previous(columns: Sequence[Column]) -> Tensor:
    """int64 row before each one that has the same values, -1 where there is none."""
    numbers = group_rows(columns).numbers
    order = kernels.argsort(numbers)
    sorted_numbers = numbers.index_select(0, order)
    before = order.roll(1)
    before[:1] = -1
    before[1:].masked_fill_(sorted_numbers[1:] != sorted_numbers[:-1], -1)
    earlier = torch.empty_like(order)
    earlier[order] = before
    return earlier


def nth(codes: Tensor, low: Tensor, high: Tensor, place: Tensor) -> Tensor:
    """The code at a place in each frame's ascending order; codes are 0 … rows - 1."""
    codes_at = torch.zeros_like(low)
    for bit, before in _levels(codes):
        first, last = before.index_select(0, low), before.index_select(0, high)
        zeros, all_zeros = last - first, before[-1]
        ones = place >= zeros
        low = torch.where(ones, all_zeros + low - first, first)
        high = torch.where(ones, all_zeros + high - last, last)
        place = place - zeros.masked_fill(~ones, 0)
        codes_at += ones.to(torch.int64) << bit
    return codes_at


def below(codes: Tensor, low: Tensor, high: Tensor, limit: Tensor) -> Tensor:
    """How many of each frame's codes, of 0 … rows - 1, are below its limit, of 0 … rows + 1."""
    counts = torch.zeros_like(low)
    for bit, before in _levels(codes):
        first, last = before.index_select(0, low), before.index_select(0, high)
        ones, all_zeros = (limit >> bit & 1).bool(), before[-1]
        counts += (last - first).masked_fill(~ones, 0)
        low = torch.where(ones, all_zeros + low - first, first)
        high = torch.where(ones, all_zeros + high - last, last)
    return counts


def _levels(codes: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each bit, and how many of the first 0, 1, … codes, as the bits above part them, lack it."""
    for bit in reversed(range((int(codes.shape[0]) + 1).bit_length())):
        check_cancelled()
        zero = (codes >> bit & 1) == 0
        yield bit, cumulated(zero)
        codes = torch.cat([codes[zero], codes[~zero]])
