"""Counting pixels: the exact kernel behind CP and every comparison of masks. CPU only.

A region is None (the whole mask) or the corners x0, y0, x1, y1 as arrays of length 1 (one box for
all masks) or one per mask; levels likewise. Only the region's lines are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tensorsql.cancellation import check_cancelled
from tensorsql.storage.columns.masks import Integers, MaskSource, clip, same_size

CHUNK_PIXELS = 1 << 22
Region = np.ndarray | None  # float64 [1 or n, 4]


@dataclass(frozen=True)
class Levels:
    """The closed range of stored levels that counts: arrays of length 1 or one per mask."""

    lower: np.ndarray
    upper: np.ndarray

    def take(self, rows: Integers) -> Levels:
        """The levels of these masks."""
        return Levels(at(self.lower, rows), at(self.upper, rows))


def at(values: np.ndarray, rows: Integers | slice) -> np.ndarray:
    """values[rows]; a single value stands for every row."""
    return values if len(values) == 1 else values[rows]


def count_pixels(source: MaskSource, rows: Integers, region: Region, levels: Levels) -> Integers:
    """How many pixels of each mask lie in its region and have a level within the range."""
    result = np.zeros(len(rows), dtype=np.int64)
    heights, widths = source.sizes(rows)
    for height, width, chosen in same_size(heights, widths):
        boxes = None if region is None else at(region, chosen)
        counted = levels.take(chosen)
        if boxes is None or len(boxes) == 1:
            result[chosen] = _count_slice(source, rows[chosen], (height, width), boxes, counted)
        else:
            result[chosen] = _count_boxes(source, rows[chosen], (height, width), boxes, counted)
    return result


def read_block(source: MaskSource, rows: Integers, top: int, bottom: int) -> np.ndarray:
    """Lines top … bottom - 1 of masks of one size: pixels [n, bottom - top, width]."""
    height = bottom - top
    ys = np.tile(np.arange(top, bottom), len(rows))
    lines = source.lines(np.repeat(rows, height), ys)
    return lines.reshape(len(rows), height, lines.shape[1])


def chunks(count: int, pixels: int) -> Iterator[slice]:
    """Slices of so many masks that they hold about `CHUNK_PIXELS` pixels.

    InterruptedError between two of them once the statement is cancelled.
    """
    step = max(1, CHUNK_PIXELS // max(pixels, 1))
    for start in range(0, count, step):
        check_cancelled()
        yield slice(start, min(start + step, count))


def corners(box: np.ndarray, height: int | Integers, width: int | Integers) -> tuple[Integers, ...]:
    """x0, x1, y0, y1 in pixels, half-open, clipped to the mask(s); arrays as long as `box`."""
    x0, x1 = clip(box[:, 0], box[:, 2], width)
    y0, y1 = clip(box[:, 1], box[:, 3], height)
    return x0, x1, y0, y1


def _count_slice(
    source: MaskSource,
    rows: Integers,
    size: tuple[int, int],
    box: Region,
    levels: Levels,
) -> Integers:
    height, width = size
    x0, x1, y0, y1 = 0, width, 0, height
    if box is not None:
        x0, x1, y0, y1 = (int(value[0]) for value in corners(box, height, width))
    result = np.zeros(len(rows), dtype=np.int64)
    if x0 >= x1 or y0 >= y1:
        return result
    everything = np.arange(len(rows))
    for part in chunks(len(rows), (y1 - y0) * width):
        pixels = read_block(source, rows[part], y0, y1)[:, :, x0:x1]
        inside = _within(pixels, levels.take(everything[part]), source.element)
        result[part] = _sum_inside(inside)
    return result


def _count_boxes(
    source: MaskSource,
    rows: Integers,
    size: tuple[int, int],
    boxes: np.ndarray,
    levels: Levels,
) -> Integers:
    height, width = size
    x0, x1, y0, y1 = corners(boxes, height, width)
    lengths = np.where(x0 < x1, y1 - y0, 0)  # no line of an empty box is read
    result = np.zeros(len(rows), dtype=np.int64)
    columns = np.arange(width)
    for part in chunks(len(rows), int(lengths.max(initial=0)) * width):
        owner = np.repeat(np.arange(part.start, part.stop), lengths[part])
        if len(owner) == 0:
            continue
        first = np.cumsum(lengths[part]) - lengths[part]
        ys = np.arange(len(owner)) - np.repeat(first - y0[part], lengths[part])
        lines = source.lines(rows[owner], ys)[:, None, :]
        inside = _within(lines, levels.take(owner), source.element)[:, 0, :]
        inside &= (columns >= x0[owner][:, None]) & (columns < x1[owner][:, None])
        counts = np.count_nonzero(inside, axis=1)
        result[part] += np.bincount(owner - part.start, counts, part.stop - part.start).astype(
            np.int64
        )
    return result


def _within(pixels: np.ndarray, levels: Levels, element: str) -> np.ndarray:
    """bool, the shape of pixels [n, lines, width]: lower <= pixel <= upper."""
    lower, upper = levels.lower, levels.upper
    if len(lower) == 1 and len(upper) == 1:
        # Python scalars of any size compare exactly with any integer dtype.
        low, high = lower[0].item(), upper[0].item()
        if np.dtype(element).kind == "f":
            low, high = pixels.dtype.type(low), pixels.dtype.type(high)
        result: np.ndarray = (pixels >= low) & (pixels <= high)
        return result
    return (pixels >= lower[:, None, None]) & (pixels <= upper[:, None, None])


def _sum_inside(inside: np.ndarray) -> Integers:
    """True per mask: adding up lines as bytes first is the fastest form (at most 255 of them)."""
    bytes_ = inside.view(np.uint8)
    total = np.zeros(len(inside), dtype=np.int64)
    for top in range(0, inside.shape[1], 255):
        total += bytes_[:, top : top + 255].sum(axis=1, dtype=np.uint8).sum(axis=1, dtype=np.int64)
    return total
