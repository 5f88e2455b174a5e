"""INTERSECT, UNION and AVG of masks, pixelwise. CPU only: masks' pixels lie in numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from tensorsql.errors import DataError
from tensorsql.operators.columns.layouts import null_column
from tensorsql.operators.functions.masks import above_levels
from tensorsql.operators.keys.grouping import Collecting, Grouped
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.changes import expand, to_device
from tensorsql.storage.columns.column import CPU, Column, RowRef
from tensorsql.storage.columns.masks import Integers, MaskSource, StoredMasks, regular_block
from tensorsql.storage.masks.counts import CHUNK_PIXELS, at, chunks, read_block


class Pixelwise(Collecting):
    """One mask per group from the masks of its rows, which must have one size."""

    def __init__(self, combine: np.ufunc, mean: bool = False) -> None:
        self._combine = combine
        self._mean = mean

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        """A mask per group, NULL for groups without one."""
        arguments = [to_device(argument, CPU) for argument in arguments]
        masks = expand(arguments[0])
        assert isinstance(masks, RowRef)
        if len(masks) == 0:
            return null_column(call.type, rows.count, rows.numbers.device)
        source: MaskSource = masks.source
        least = above_levels(arguments[1], source) if len(arguments) > 1 else None
        order = np.argsort(rows.numbers.cpu().numpy(), kind="stable")
        sizes = rows.sizes.cpu().numpy()
        grouped = GroupedMasks(source, masks.rows.numpy(), least, order)
        blocks, places = [], np.zeros(rows.count, dtype=np.int64)
        done = 0
        for groups in grouped.batches(sizes):
            pixels = self._groups(grouped, groups, sizes, call)
            blocks.append(regular_block(np.ascontiguousarray(pixels)))
            places[groups] = np.arange(done, done + len(groups))
            done += len(groups)
        stored = StoredMasks(blocks, call.type.scale, call.type.element)
        chosen = torch.from_numpy(places).to(rows.numbers.device)
        return RowRef(call.type, stored, chosen, rows.present)

    def _groups(
        self, grouped: GroupedMasks, groups: Integers, sizes: Integers, call: AggregateCall
    ) -> np.ndarray:
        """Of each group one mask [groups, h, w], its members combined some at a time."""
        result, last = np.zeros(0), -1
        for owner, pixels in grouped.pieces(groups, sizes):
            if self._mean:
                pixels = pixels.astype(np.float64 if pixels.dtype.kind == "f" else np.int64)
            starts = np.flatnonzero(np.diff(owner, prepend=-1))
            combined, numbers = self._combine.reduceat(pixels, starts, axis=0), owner[starts]
            if last < 0:
                result = np.empty((len(groups), *combined.shape[1:]), combined.dtype)
            elif numbers[0] == last:  # the group goes on
                combined[0] = self._combine(result[last], combined[0])
            result[numbers], last = combined, int(numbers[-1])
        if self._mean:
            result = result / (sizes[groups] * grouped.source.scale)[:, None, None]
        return result.astype(np.dtype(call.type.element), copy=False)


class GroupedMasks:
    """The masks of all groups: `order` sorts them by group."""

    def __init__(
        self, source: MaskSource, rows: Integers, least: np.ndarray | None, order: Integers
    ) -> None:
        self.source = source
        self._rows = rows[order]
        self._least = None if least is None else at(least, order)
        self._heights, self._widths = source.sizes(self._rows)

    def batches(self, sizes: Integers) -> Iterator[Integers]:
        """Numbers of groups with members, all of one size, about a chunk of pixels at a time."""
        present = np.flatnonzero(sizes)
        starts = (np.cumsum(sizes) - sizes)[present]
        height, width = self._one_size(starts, present)
        codes = height * (int(width.max()) + 1) + width
        for code in np.unique(codes):
            chosen = np.flatnonzero(codes == code)
            area = max(int(height[chosen[0]] * width[chosen[0]]), 1)
            filled = np.cumsum(sizes[present[chosen]]) * area // CHUNK_PIXELS
            for part in np.split(chosen, np.flatnonzero(np.diff(filled)) + 1):
                yield present[part]

    def _one_size(self, starts: Integers, groups: Integers) -> tuple[Integers, Integers]:
        result = []
        for values in (self._heights, self._widths):
            low, high = (f.reduceat(values, starts) for f in (np.minimum, np.maximum))
            if (low != high).any():
                place = int(np.flatnonzero(low != high)[0])
                raise DataError(
                    f"masks of different sizes ({low[place]} and {high[place]} pixels a side) in "
                    f"group {groups[place] + 1} of a mask aggregate; group them by size as well"
                )
            result.append(low)
        return result[0], result[1]

    def pieces(self, groups: Integers, sizes: Integers) -> Iterator[tuple[Integers, np.ndarray]]:
        """Members of these groups, in order: the place of each one's group, and its pixels.

        Pixels are 0 and 1 where there is a threshold.
        """
        starts = np.cumsum(sizes) - sizes
        first = np.cumsum(sizes[groups]) - sizes[groups]
        places = np.arange(int(sizes[groups].sum()))
        places += np.repeat(starts[groups] - first, sizes[groups])
        owner = np.repeat(np.arange(len(groups)), sizes[groups])
        height, width = int(self._heights[places[0]]), int(self._widths[places[0]])
        for piece in chunks(len(places), height * width):
            rows = places[piece]
            pixels = read_block(self.source, self._rows[rows], 0, height)
            if self._least is not None:
                pixels = (pixels >= at(self._least, rows)[:, None, None]).view(np.uint8)
            yield owner[piece], pixels


intersect = Pixelwise(np.minimum)
union = Pixelwise(np.maximum)
mean = Pixelwise(np.add, mean=True)
