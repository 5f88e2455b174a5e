"""Bounds of CP per row and per group from a CHI. CPU only: its blocks are numpy arrays on disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from tensorsql.operators.indexes.chi.blocks import ChiBlock, Histogram, Places, located
from tensorsql.operators.indexes.chi.bounds import (
    BinRange,
    Bounds,
    CellCounts,
    bin_range,
    cell_bounds,
    interval_of,
)
from tensorsql.operators.indexes.chi.groups import bound_groups
from tensorsql.operators.indexes.protocol import GroupMembers
from tensorsql.planner.analysis.intervals import INFINITY, Interval
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.column import Column
from tensorsql.storage.columns.masks import box_values, levels
from tensorsql.storage.masks.counts import Levels, Region, at
from tensorsql.storage.masks.levels import lower_levels, upper_levels

Arguments = Sequence[Column]
DENSE = 4  # reading a run of so many masks for one costs no more than a gather


class ChiProbe:
    """Bounds of cp(mask, lv, uv) and cp(mask, box, lv, uv)."""

    def __init__(self, histogram: Histogram, blocks: Sequence[ChiBlock]) -> None:
        self._histogram = histogram
        self._blocks = blocks

    def bounds(self, row_ids: Tensor, arguments: Arguments) -> Interval:
        """Bounds per row; rows without counts (NULL masks among them) are unbounded above."""
        ids = row_ids.numpy()
        lower, upper = np.zeros(len(ids)), np.full(len(ids), INFINITY)
        null = np.ones(len(ids), dtype=np.bool_)
        *box, low, high = arguments
        bins = bin_range(self._histogram, self._levels(low, high))
        region = box_values(box[0]) if box else None
        for block, rows, positions in located(self._blocks, ids):
            chosen = None if region is None else at(region, rows)
            lower[rows], upper[rows] = _bounds(block, positions, chosen, bins.take(rows))
            null[rows] = False
        return interval_of(lower, upper, null, arguments)

    def group_bounds(
        self, aggregate: AggregateCall, members: GroupMembers, arguments: Arguments
    ) -> Interval:
        """Bounds per group of CP over INTERSECT, UNION or AVG of the members' masks."""
        return bound_groups(self._histogram, self._blocks, aggregate, members, arguments)

    def _levels(self, low: Column, high: Column) -> Levels:
        return Levels(
            levels(low, self._histogram, lower_levels), levels(high, self._histogram, upper_levels)
        )


def _bounds(block: ChiBlock, positions: Places, region: Region, bins: BinRange) -> Bounds:
    """Where one region and range hold for many of the masks in a run, the whole run is bounded."""
    single = bins.is_single and (region is None or len(region) == 1)
    if isinstance(positions, slice) or not single:
        return cell_bounds(CellCounts(block, positions), region, bins)
    first, last = int(positions.min()), int(positions.max())
    if last - first >= DENSE * len(positions):
        return cell_bounds(CellCounts(block, positions), region, bins)
    lower, upper = cell_bounds(CellCounts(block, slice(first, last + 1)), region, bins)
    return lower[positions - first], upper[positions - first]
