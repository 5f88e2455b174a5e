"""Bounds of CP from cell counts. CPU only: they are numpy arrays, mapped from disk.

As in MaskSearch (He et al., arXiv 2305.02375). Guarantee: lower <= CP <= upper for every region and
every range of levels. Bins are half-open, the closed range [l, u] is [l, successor(u)); its outer
bins enclose it, its inner bins lie within. A cell that overlaps the region in o of its a pixels
holds at most min(count, o) and at least max(0, count - (a - o)) of the pixels that count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tensorsql.operators.indexes.chi.blocks import ChiBlock, Histogram, Places, length
from tensorsql.planner.analysis.intervals import INFINITY, Interval
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Column, valid_rows
from tensorsql.storage.columns.masks import Integers, clip
from tensorsql.storage.masks.counts import Levels, Region, at

Bounds = tuple[np.ndarray, np.ndarray]  # lower and upper per mask, whole numbers of any width


@dataclass(frozen=True)
class BinRange:
    """Edge numbers: outer[0] … outer[1] encloses the levels, inner lies within; arrays [1 or n]."""

    outer: tuple[Integers, Integers]
    inner: tuple[Integers, Integers]

    @property
    def on_edges(self) -> bool:
        """Whether all levels lie on edges, so that outer and inner bins are the same."""
        pairs = zip(self.outer, self.inner, strict=True)
        return all(np.array_equal(outer, inner) for outer, inner in pairs)

    @property
    def is_single(self) -> bool:
        """Whether one range holds for all masks."""
        return all(len(edge) == 1 for edge in (*self.outer, *self.inner))

    def take(self, rows: Places) -> BinRange:
        """The ranges of these masks."""
        first, second = ((at(low, rows), at(high, rows)) for low, high in (self.outer, self.inner))
        return BinRange(first, second)


def bin_range(histogram: Histogram, levels: Levels) -> BinRange:
    """The bins around a closed range of levels; an empty range has empty bins."""
    edges = histogram.edges
    last = len(edges) - 1
    lower, upper = np.broadcast_arrays(levels.lower, levels.upper)
    if edges.dtype.kind == "f":
        beyond = np.nextafter(upper, np.array(np.inf, dtype=upper.dtype)).astype(np.float64)
        lower = lower.astype(np.float64)
    else:
        beyond = upper + 1
    empty = lower >= beyond
    low = np.clip(np.searchsorted(edges, lower, side="right") - 1, 0, last)
    high = np.clip(np.searchsorted(edges, beyond, side="left"), 0, last)
    start = np.searchsorted(edges, lower, side="left")
    stop = np.maximum(np.searchsorted(edges, beyond, side="right") - 1, 0)
    high = np.where(empty, low, np.maximum(low, high))
    start = np.minimum(start, last)
    stop = np.where(empty, start, np.maximum(start, np.minimum(stop, last)))
    return BinRange((low, high), (start, stop))


class CellCounts:
    """Cumulative counts of chosen masks of one block, cell by cell.

    Everything stays in the counts' own width: a cell's area, and so every count and overlap, fits.
    """

    def __init__(self, block: ChiBlock, positions: Places) -> None:
        self.block = block
        self.count = length(positions)
        self._positions = positions
        chosen: Places = slice(1) if block.is_regular else positions
        self.heights, self.widths = block.heights[chosen], block.widths[chosen]
        block.check_size()
        self._counts = np.asarray(block.counts).view(self.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Unsigned, of the counts' width."""
        return np.dtype(f"u{self.block.counts.itemsize}")

    def area(self, gy: int, gx: int) -> np.ndarray:
        """Pixels of the cell, [1 or n]: cells at the right and lower edge are smaller."""
        cell = self.block.cell
        tall = np.clip(self.heights - gy * cell, 0, cell).astype(self.dtype)
        wide = np.clip(self.widths - gx * cell, 0, cell).astype(self.dtype)
        product: np.ndarray = tall * wide
        return product

    def reaching(self, gy: int, gx: int, edge: Integers) -> np.ndarray:
        """How many pixels of the cell reach the level of edge `edge` [1 or n]."""
        last = self._counts.shape[2] + 1
        nothing = np.zeros(1, dtype=self.dtype)
        if len(edge) == 1:
            number = int(edge[0])
            if number in (0, last):
                return self.area(gy, gx) if number == 0 else nothing
            self.block.compare(gy, gx, number - 1)
            one: np.ndarray = self._counts[gy, gx, number - 1][self._positions]
            return one
        self.block.compare(gy, gx)
        inside = np.clip(edge - 1, 0, max(last - 2, 0))
        masks = np.arange(len(self.block.row_ids))[self._positions]
        counts = self._counts[gy, gx][inside, masks] if last > 1 else nothing
        full = np.where(edge == 0, self.area(gy, gx), counts)
        return np.where(edge == last, nothing, full)

    def between(self, gy: int, gx: int, edges: tuple[Integers, Integers]) -> np.ndarray:
        """How many pixels of the cell lie between two ascending edges, [1 or n]."""
        low, high = edges
        if np.array_equal(low, high):
            return np.zeros(1, dtype=self.dtype)
        if (high == self._counts.shape[2] + 1).all():
            return self.reaching(gy, gx, low)
        # Counts fall from edge to edge: an unsigned difference does not wrap.
        result: np.ndarray = self.reaching(gy, gx, low) - self.reaching(gy, gx, high)
        return result

    def overlap(self, region: Region) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The region's lines per row of cells and its columns per column of cells, [1 or n]."""
        down, across = self.block.grid
        if region is None:
            zero = np.zeros(1, dtype=np.int64)
            x0, x1, y0, y1 = zero, self.widths, zero, self.heights
        else:
            x0, x1 = clip(region[:, 0], region[:, 2], self.widths)
            y0, y1 = clip(region[:, 1], region[:, 3], self.heights)
        return self._overlaps(y0, y1, down), self._overlaps(x0, x1, across)

    def _overlaps(self, first: Integers, last: Integers, cells: int) -> list[np.ndarray]:
        cell = self.block.cell
        dtype = np.min_scalar_type(-cells * cell - 1)
        starts = np.arange(0, cells * cell, cell, dtype=dtype)[:, None]
        before, until = (
            np.clip(end.astype(dtype), starts, starts + dtype.type(cell)) for end in (first, last)
        )
        return list((until - before).astype(self.dtype))


def cell_bounds(cells: CellCounts, region: Region, bins: BinRange) -> Bounds:
    """Lower and upper bounds of CP: the sum of each cell's own bounds.

    Every cell is a few operations on contiguous rows of counts, added up in 16 bits where no bound
    can be larger.
    """
    down, across = cells.overlap(region)
    heights, widths = cells.overlap(None)
    largest = sum(int(tall.max(initial=0)) for tall in down)
    largest *= sum(int(wide.max(initial=0)) for wide in across)
    narrow = largest < 1 << 16 and cells.dtype.itemsize <= 2
    dtype: Any = np.uint16 if narrow else np.uint32
    inside, lower, upper = (np.zeros(cells.count, dtype) for _ in range(3))
    on_edges = bins.on_edges
    rows = [(gy, tall) for gy, tall in enumerate(down) if tall.any()]
    columns = [(gx, wide) for gx, wide in enumerate(across) if wide.any()]
    for gy, tall in rows:
        for gx, wide in columns:
            overlap, area = tall * wide, heights[gy] * widths[gx]
            outer = cells.between(gy, gx, bins.outer)
            inner = outer if on_edges else cells.between(gy, gx, bins.inner)
            covered = len(overlap) == len(area) == 1 and overlap[0] == area[0]
            if covered and on_edges:
                inside += outer
                continue
            upper += outer if covered else np.minimum(outer, _row(overlap, outer))
            lower += inner if covered else _beyond(inner, area - overlap)
    lower += inside
    upper += inside
    return lower, upper


def _beyond(counts: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """max(counts - outside, 0) in unsigned numbers."""
    result: np.ndarray = np.maximum(counts, _row(outside, counts)) - outside
    return result


def _row(value: np.ndarray, row: np.ndarray) -> np.ndarray:
    """One value as a whole row: numpy's minimum with a scalar takes ten times as long."""
    return value if len(value) > 1 else np.full(len(row), value[0], value.dtype)


def interval_of(
    lower: np.ndarray, upper: np.ndarray, null: np.ndarray, arguments: Sequence[Column]
) -> Interval:
    """The bounds as an interval; a NULL argument makes the value NULL."""
    low, high, may_be_null = (torch.from_numpy(part) for part in (lower, upper, null))
    valid = valid_rows([_expanded(each) for each in arguments])
    if valid is not None:
        low = torch.where(valid, low, INFINITY)
        high = torch.where(valid, high, -INFINITY)
        may_be_null = may_be_null | ~valid
    return Interval(low, high, may_be_null)


def _expanded(column: Column) -> Column:
    """The column in a layout whose validity has one entry a row."""
    return column if column.validity is None else expand(column)
