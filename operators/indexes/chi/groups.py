"""Bounds of CP over a group's masks. CPU only: counts are numpy arrays, mapped from disk.

For INTERSECT and UNION they come from the members' own counts. INTERSECT is the pixelwise minimum:
a pixel reaches a level if all members do, so a cell holds at most the least member count and at
least the sum of counts minus (members - 1) cells. UNION is the maximum: at most the sum, at least
the largest.

Pixels between two levels are those that reach the lower one less those that reach the upper: so
both ends are bounded first, and the least of one is taken from the most of the other. With a
threshold t the combined mask is 0 or 1: its ones are the pixels that reach t, its zeros the others.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tensorsql.operators.indexes.chi.blocks import ChiBlock, Histogram, located
from tensorsql.operators.indexes.chi.bounds import (
    BinRange,
    Bounds,
    CellCounts,
    bin_range,
    interval_of,
)
from tensorsql.operators.indexes.protocol import GroupMembers
from tensorsql.planner.analysis.intervals import INFINITY, Interval
from tensorsql.planner.plans.expressions import AggregateCall, Literal
from tensorsql.storage.columns.column import Column
from tensorsql.storage.columns.masks import Integers, box_values, levels, threshold_dtype
from tensorsql.storage.masks.counts import Levels, Region, at
from tensorsql.storage.masks.levels import lower_levels, successor, upper_level, upper_levels

ROUNDS = 64


@dataclass(frozen=True)
class MemberCells:
    """Masks of some groups in blocks of one key, sorted by group.

    `groups` are the group numbers, whose members start at `starts`; `order` sorts the concatenation
    of all `cells`.
    """

    cells: list[CellCounts]
    order: Integers
    starts: Integers
    groups: Integers

    @cached_property
    def sizes(self) -> Integers:
        """How many members each group has here."""
        return np.diff(np.append(self.starts, len(self.order)))

    @cached_property
    def common_size(self) -> int:
        """How many members every group has, 0 if they differ."""
        return int(self.sizes[0]) if (self.sizes == self.sizes[0]).all() else 0

    def reduce(self, combine: np.ufunc, values: np.ndarray) -> np.ndarray:
        """Each group's values combined; a few rounds over all groups where they are of one size."""
        size = self.common_size
        if 0 < size <= ROUNDS:
            return functools.reduce(combine, (values[place::size] for place in range(size)))
        result: np.ndarray = combine.reduceat(values, self.starts)
        return result

    def reaching(self, gy: int, gx: int, edge: Integers) -> np.ndarray:
        """Member counts of a cell at each group's edge [1 or groups], sorted by group."""
        own = edge if len(edge) == 1 else np.repeat(edge, self.sizes)[np.argsort(self.order)]
        parts, start = [], 0
        for cells in self.cells:
            stop = start + cells.count
            counts = cells.reaching(gy, gx, own if len(own) == 1 else own[start:stop])
            parts.append(np.broadcast_to(counts, (cells.count,)))
            start = stop
        result: np.ndarray = np.concatenate(parts)[self.order].astype(np.int64)
        return result


def bound_groups(
    histogram: Histogram,
    blocks: Sequence[ChiBlock],
    aggregate: AggregateCall,
    groups: GroupMembers,
    arguments: Sequence[Column],
) -> Interval:
    """Bounds per group; groups with a member that is not counted are unbounded above."""
    lower, upper = np.zeros(groups.count), np.full(groups.count, INFINITY)
    null = np.ones(groups.count, dtype=np.bool_)
    *box, low, high = arguments
    region = box_values(box[0]) if box else None
    wanted = _wanted(histogram, aggregate, low, high)
    sizes = np.bincount(groups.codes.numpy(), minlength=groups.count)
    if wanted is None:
        return interval_of(lower, upper, null, arguments)
    for members in _by_key(blocks, groups):
        complete = _complete(members, sizes)
        own, bounds = _bound(histogram, members, region, wanted, aggregate)
        chosen = own[complete]
        lower[chosen], upper[chosen] = bounds[0][complete], bounds[1][complete]
        null[chosen] = False
    return interval_of(lower, upper, null, arguments)


@dataclass(frozen=True)
class Wanted:
    """The levels of the combined mask that count; for a mask of 0 and 1, which of the two."""

    levels: Levels
    binary: bool = False
    zeros: np.ndarray | None = None
    ones: np.ndarray | None = None


def _wanted(
    histogram: Histogram, aggregate: AggregateCall, low: Column, high: Column
) -> Wanted | None:
    """None where the counts say nothing of the aggregate."""
    if aggregate.filter is not None or aggregate.function.name not in COMBINE:
        return None
    if len(aggregate.args) == 1:
        ends = levels(low, histogram, lower_levels), levels(high, histogram, upper_levels)
        return Wanted(Levels(*ends))
    threshold = aggregate.args[1]
    if not isinstance(threshold, Literal) or threshold.value is None:
        return None
    scale, element = histogram.scale, histogram.element
    value = np.array([float(threshold.value)], threshold_dtype(threshold.type))
    above = successor(upper_levels(value, scale, element).tolist()[0], element)
    top = upper_level(1, scale, element)
    dtype: Any = np.dtype(element) if np.dtype(element).kind == "f" else np.int64
    binary = Histogram(0, 1, 1, "bool")
    first, last = levels(low, binary, lower_levels), levels(high, binary, upper_levels)
    zeros, ones = (first <= 0) & (last >= 0), (first <= 1) & (last >= 1)
    between = Levels(np.array([above], dtype=dtype), np.array([top], dtype=dtype))
    return Wanted(between, True, zeros, ones)


def _by_key(blocks: Sequence[ChiBlock], groups: GroupMembers) -> list[MemberCells]:
    codes = groups.codes.numpy()
    keys: dict[tuple[int, int, int], list[tuple[CellCounts, Integers]]] = {}
    for block, rows, positions in located(blocks, groups.row_ids.numpy()):
        part = CellCounts(block, positions), codes[rows]
        keys.setdefault(block.key, []).append(part)
    result = []
    for parts in keys.values():
        owner = np.concatenate([codes for _, codes in parts])
        order = np.argsort(owner, kind="stable")
        present, starts = np.unique(owner[order], return_index=True)
        result.append(MemberCells([cells for cells, _ in parts], order, starts, present))
    return result


def _complete(members: MemberCells, sizes: Integers) -> np.ndarray:
    """Groups all of whose members are here and have one size."""
    result: np.ndarray = members.sizes == sizes[members.groups]
    for height_or_width in ("heights", "widths"):
        values = _member_sizes(members, height_or_width)
        result &= members.reduce(np.minimum, values) == members.reduce(np.maximum, values)
    return result


def _member_sizes(members: MemberCells, name: str) -> Integers:
    parts = [np.broadcast_to(getattr(cells, name), (cells.count,)) for cells in members.cells]
    result: Integers = np.concatenate(parts)[members.order]
    return result


def _bound(
    histogram: Histogram,
    members: MemberCells,
    region: Region,
    wanted: Wanted,
    aggregate: AggregateCall,
) -> tuple[Integers, Bounds]:
    own = members.groups
    sizes = [_member_sizes(members, name)[members.starts] for name in ("heights", "widths")]
    grid = GroupCells(members, *sizes)
    chosen = None if region is None else at(region, own)
    bins = bin_range(histogram, wanted.levels).take(own)
    lower, upper, area = grid.bounds(chosen, bins, aggregate.function.name)
    if not wanted.binary:
        return own, (lower, upper)
    assert wanted.zeros is not None
    assert wanted.ones is not None
    zeros, ones = at(wanted.zeros, own), at(wanted.ones, own)
    both, neither = zeros & ones, ~zeros & ~ones
    low = np.where(ones, lower, area - upper)
    high = np.where(ones, upper, area - lower)
    low, high = (np.where(both, area, np.where(neither, 0, value)) for value in (low, high))
    return own, (low, high)


class GroupCells(CellCounts):
    """Cells of the combined masks, one per group."""

    def __init__(self, members: MemberCells, heights: Integers, widths: Integers) -> None:
        self._members = members
        self.block = members.cells[0].block
        self.count = len(members.groups)
        same = all(bool((sizes == sizes[0]).all()) for sizes in (heights, widths))
        self.heights, self.widths = (heights[:1], widths[:1]) if same else (heights, widths)

    def bounds(self, region: Region, bins: BinRange, how: str) -> tuple[np.ndarray, ...]:
        """Lower and upper bounds of CP, and the region's pixels, per group."""
        lower, upper, pixels = (np.zeros(self.count, dtype=np.int64) for _ in range(3))
        down, across = self.overlap(region)
        on_edges = bins.on_edges
        for gy, tall in enumerate(down):
            for gx, wide in enumerate(across):
                overlap = tall * wide
                if not overlap.any():
                    continue
                inner, outer = self._between((gy, gx), bins.outer, how)
                if not on_edges:
                    inner, _ = self._between((gy, gx), bins.inner, how)
                lower += np.maximum(inner - (self.area(gy, gx) - overlap), 0)
                upper += np.minimum(outer, overlap)
                pixels += overlap
        return lower, upper, pixels

    def _between(
        self, place: tuple[int, int], edges: tuple[Integers, Integers], how: str
    ) -> Bounds:
        """Bounds of a cell's pixels between two edges; equal edges hold none."""
        low, high = edges
        least, most = self._reaching(place, low, how)
        if (high < self.block.counts.shape[2] + 1).any():
            fewer, more = self._reaching(place, high, how)
            least, most = np.maximum(least - more, 0), most - fewer
        nothing = low == high
        return np.where(nothing, 0, least), np.where(nothing, 0, most)

    def _reaching(self, place: tuple[int, int], edge: Integers, how: str) -> Bounds:
        counts = self._members.reaching(*place, edge)
        return COMBINE[how](counts, self._members, self.area(*place))


def _intersect(counts: np.ndarray, members: MemberCells, area: np.ndarray) -> Bounds:
    total = members.reduce(np.add, counts)
    least = np.maximum(total - (members.sizes - 1) * area, 0)
    return least, members.reduce(np.minimum, counts)


def _union(counts: np.ndarray, members: MemberCells, area: np.ndarray) -> Bounds:
    total = members.reduce(np.add, counts)
    return members.reduce(np.maximum, counts), np.minimum(total, area)


COMBINE = {"mask_intersect": _intersect, "mask_union": _union}
