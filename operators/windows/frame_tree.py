"""Aggregates of many overlapping frames: a tree of states, of which each frame reads a few.

Level k holds the state of each 2**k rows; a frame of n rows is at most 2 log n of them, in row
order (Leis et al., VLDB 2015). Any aggregate whose states combine can be computed so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.operators.aggregate.calls import ReducingCall
from tensorsql.operators.kernels import argsort
from tensorsql.operators.keys.grouping import Grouped
from tensorsql.operators.keys.key_codes import Groups
from tensorsql.storage.columns.column import Column, take
from tensorsql.storage.columns.concat import concat

FRAMES = 1 << 16  # at a time


@dataclass(frozen=True)
class FrameTree:
    """The states of all levels end to end, and where each level begins."""

    call: ReducingCall
    columns: Sequence[Column]
    starts: Sequence[int]

    @classmethod
    def of(cls, call: ReducingCall, columns: Sequence[Column], places: Tensor) -> FrameTree:
        """From the call's arguments, one row for each place."""
        rows, device = len(places), places.device
        level = call.state(columns, Grouped.of(Groups.single(rows, device)))
        levels, starts, size = [level], [0], rows
        while size > 1:
            check_cancelled()
            starts.append(starts[-1] + size)
            places = torch.arange(size, device=device)
            pairs = places[::2]
            groups = Groups(places // 2, len(pairs), pairs, ordered=True)
            level, size = call.combined(groups, level), len(pairs)
            levels.append(level)
        return cls(call, [concat(parts) for parts in zip(*levels, strict=True)], starts)

    def results(self, low: Tensor, high: Tensor) -> Column:
        """The aggregate of each frame low … high - 1."""
        parts = []
        for start in range(0, int(low.shape[0]), FRAMES):
            check_cancelled()
            parts.append(self._some(low[start : start + FRAMES], high[start : start + FRAMES]))
        return concat(parts)

    def _some(self, low: Tensor, high: Tensor) -> Column:
        owners, nodes = self._cover(low, high)
        groups = Groups(owners, int(low.shape[0]), owners)
        states = [take(column, nodes) for column in self.columns]
        return self.call.final(self.call.combined(groups, states, sparse=True))

    def _cover(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """(frame, node) for each node that frames consist of, by frame, in row order."""
        before: list[tuple[Tensor, Tensor]] = []
        after: list[tuple[Tensor, Tensor]] = []
        for start in self.starts:
            left = torch.nonzero((low & 1).bool() & (low < high)).flatten()
            before.append((left, low[left] + start))
            low = low + (low & 1)
            right = torch.nonzero((high & 1).bool() & (low < high)).flatten()
            after.append((right, high[right] - 1 + start))
            low, high = low >> 1, high >> 1
        parts = [*before, *reversed(after)]
        owners, nodes = (torch.cat(part) for part in zip(*parts, strict=True))
        order = argsort(owners)
        return owners.index_select(0, order), nodes.index_select(0, order)
