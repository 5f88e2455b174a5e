"""Where MASK columns keep their pixels, in memory or mapped. CPU only: pixels are numpy arrays.

Blocks are of masks of any sizes.

A block is one flat array of pixels in their stored dtype with, per mask, where it starts, its
height and its width; an [n, h, w] array is the regular case and is never copied. Reading fetches
only the lines asked for. Pixels are numpy arrays, which unlike tensors calculate in every stored
dtype.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.storage.columns.column import Column, Constant, Flat, RowRef, Wide, bare
from tensorsql.storage.columns.types import Kind, Type, mask
from tensorsql.storage.files.checked_file import CheckedArray, Opener
from tensorsql.storage.files.plain_files import LargeFile

Integers = NDArray[np.int64]

PACKED_PIXELS = 1 << 22  # copied between two looks at whether that is cancelled


class Scaled(Protocol):
    """What turns a threshold into a stored level."""

    @property
    def scale(self) -> int:
        """The stored value that means 1."""

    @property
    def element(self) -> str:
        """The numpy dtype name of the stored pixels."""


class MaskSource(Protocol):
    """Masks by row. Rows are int64 arrays in any order, repeats allowed."""

    scale: int
    element: str  # numpy dtype name of the stored pixels

    @property
    def rows(self) -> int:
        """How many masks there are."""

    @property
    def bytes_read(self) -> int:
        """Bytes of pixels fetched by this thread so far."""

    def sizes(self, rows: Integers) -> tuple[Integers, Integers]:
        """Heights and widths of these masks."""

    def lines(self, rows: Integers, ys: Integers) -> np.ndarray:
        """Line ys[i] of mask rows[i], all of one width w: stored pixels [len(rows), w]."""

    def fetch(self, rows: Tensor) -> Column:
        """These masks in memory."""


@dataclass(frozen=True, eq=False)
class MaskBlock:
    """Masks of any sizes: mask i is pixels[offsets[i]:][: heights[i] * widths[i]], line by line.

    `stored` is where the pixels lie in a file, which checks what is read of them.
    """

    pixels: np.ndarray
    offsets: Integers
    heights: Integers
    widths: Integers
    stored: CheckedArray | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def lines(self, starts: Integers, width: int) -> np.ndarray:
        """The lines of pixels that begin at these places."""
        if self.stored is not None:
            self.stored.check_runs(starts, width)
        return _gather(self.pixels, starts, width)

    def whole(self) -> np.ndarray:
        """All pixels."""
        return self.pixels if self.stored is None else self.stored.whole()


class StoredMasks:
    """Masks held in blocks; row numbers run through the blocks in order."""

    def __init__(self, blocks: Sequence[MaskBlock], scale: int, element: str) -> None:
        self.scale = scale
        self.element = element
        self._blocks = tuple(blocks)
        self._starts = np.cumsum([0, *(len(block) for block in blocks)])
        self._offsets = _joined(block.offsets for block in blocks)
        self._heights = _joined(block.heights for block in blocks)
        self._widths = _joined(block.widths for block in blocks)
        self._read = threading.local()

    @property
    def rows(self) -> int:
        """How many masks there are."""
        return int(self._starts[-1])

    @property
    def bytes_read(self) -> int:
        """Bytes of pixels fetched by this thread so far."""
        return getattr(self._read, "bytes", 0)

    def sizes(self, rows: Integers) -> tuple[Integers, Integers]:
        """Heights and widths of these masks."""
        return self._heights[rows], self._widths[rows]

    def lines(self, rows: Integers, ys: Integers) -> np.ndarray:
        """Line ys[i] of mask rows[i], all of one width."""
        width = int(self._widths[rows[0]]) if len(rows) else 0
        starts = self._offsets[rows] + ys * width
        if len(self._blocks) == 1:
            result = self._blocks[0].lines(starts, width)
        else:
            result = np.empty((len(rows), width), np.dtype(self.element))
            owner = np.searchsorted(self._starts, rows, side="right") - 1
            for number in np.unique(owner):
                chosen = owner == number
                result[chosen] = self._blocks[number].lines(starts[chosen], width)
        self._read.bytes = self.bytes_read + result.nbytes
        return result.view(np.uint8) if result.dtype == np.bool_ else result

    def fetch(self, rows: Tensor) -> Column:
        """These masks in memory."""
        source = StoredMasks([pack(self, rows.numpy())], self.scale, self.element)
        return mask_column(source)

    def __reduce__(self) -> tuple[Any, ...]:
        block = pack(self, np.arange(self.rows))
        return StoredMasks, ([block], self.scale, self.element)


def mask_column(source: MaskSource, validity: Tensor | None = None) -> RowRef:
    """All masks of a source as a column."""
    rows = torch.arange(source.rows, dtype=torch.int64)
    return RowRef(mask(source.scale, source.element), source, rows, validity)


def regular_block(array: np.ndarray) -> MaskBlock:
    """The block over an [n, h, w] array (native byte order), without copying a contiguous one."""
    count, height, width = array.shape
    offsets = np.arange(count, dtype=np.int64) * (height * width)
    shape = np.ones(count, dtype=np.int64)
    return MaskBlock(array.reshape(-1), offsets, shape * height, shape * width)


def joined_block(arrays: Sequence[np.ndarray]) -> MaskBlock:
    """The masks of contiguous [n, h, w] arrays of one dtype in one block; one is not copied."""
    blocks = [regular_block(array) for array in arrays]
    if len(blocks) == 1:
        return blocks[0]
    sizes = [block.pixels.size for block in blocks]
    starts = np.cumsum([0, *sizes])
    return MaskBlock(
        np.concatenate([block.pixels for block in blocks]) if blocks else np.zeros(0, np.uint8),
        _joined(b.offsets + start for b, start in zip(blocks, starts[:-1].tolist(), strict=True)),
        _joined(block.heights for block in blocks),
        _joined(block.widths for block in blocks),
    )


def pack(source: MaskSource, rows: Integers) -> MaskBlock:
    """Copies of these masks in one block, in this order."""
    heights, widths = source.sizes(rows)
    areas = heights * widths
    offsets = np.cumsum(areas) - areas
    pixels = np.empty(int(areas.sum()), np.dtype(source.element))
    stored = pixels.view(np.uint8) if pixels.dtype == np.bool_ else pixels
    for height, width, places in same_size(heights, widths):
        each = max(1, PACKED_PIXELS // (height * width))
        for start in range(0, len(places), each):
            check_cancelled()
            chosen = places[start : start + each]
            lines = np.repeat(rows[chosen], height), np.tile(np.arange(height), len(chosen))
            into = offsets[chosen][:, None] + np.arange(height * width)
            stored[into] = source.lines(*lines).reshape(len(chosen), -1)
    return MaskBlock(pixels, offsets, heights, widths)


def same_size(heights: Integers, widths: Integers) -> Iterable[tuple[int, int, Integers]]:
    """(height, width, positions) for every size that occurs and has pixels."""
    if len(heights) == 0:
        return
    if (heights == heights[0]).all() and (widths == widths[0]).all():
        if heights[0] * widths[0]:
            yield int(heights[0]), int(widths[0]), np.arange(len(heights))
        return
    codes = heights * (int(widths.max()) + 1) + widths
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    for start, positions in zip(first, groups, strict=True):
        height, width = int(heights[start]), int(widths[start])
        if height * width:
            yield height, width, positions


def save_block(block: MaskBlock, directory: Path, stem: str) -> tuple[Path, Path]:
    """Write `stem.pixels.npy` and `stem.shapes.npy`; the caller makes them durable and visible."""
    pixels, shapes = directory / f"{stem}.pixels.npy", directory / f"{stem}.shapes.npy"
    with LargeFile(pixels) as file:
        np.save(file, block.whole())
    np.save(shapes, np.stack([block.offsets, block.heights, block.widths]))
    return pixels, shapes


def load_block(files: Opener, directory: Path, stem: str, type: Type) -> MaskBlock:
    """The block written by `save_block`, its pixels memory-mapped and checked as they are read."""
    shapes = files.open(directory / f"{stem}.shapes.npy").array()
    pixels = files.open(directory / f"{stem}.pixels.npy").array()
    places = shapes.copied()
    if places.ndim != 2 or len(places) != 3 or places.dtype != np.int64:
        raise shapes.file.damaged("it does not hold the places and sizes of masks")
    offsets, heights, widths = places
    if pixels.values.ndim != 1 or pixels.values.dtype != np.dtype(type.element or "uint8"):
        raise pixels.file.damaged(f"it does not hold pixels of {type.element}")
    if _outside(places, len(pixels.values)):
        raise shapes.file.damaged("it places masks outside their pixels")
    return MaskBlock(pixels.values, offsets, heights, widths, pixels)


def _outside(places: Integers, pixels: int) -> bool:
    """Whether some mask does not lie within its pixels; nothing overflows on the way."""
    offsets, heights, widths = places
    if places.min(initial=0) < 0 or places.max(initial=0) > pixels:
        return True
    areas = heights.astype(object) * widths if pixels > 1 << 31 else heights * widths
    return bool((areas > pixels - offsets).any())


def levels(column: Column, source: Scaled, rule: Callable[..., np.ndarray]) -> np.ndarray:
    """Thresholds of a numeric column as stored levels: [1] for a constant, else one per row.

    `rule` is `lower_levels` or `upper_levels`. Each distinct value is converted once; rows that
    are NULL get some level.
    """
    if isinstance(column, Constant):
        return levels(column.one, source, rule)[:1]
    table, inverse = _distinct(column)
    return rule(table, source.scale, source.element)[inverse]


def _distinct(column: Column) -> tuple[np.ndarray, Integers]:
    """The different values, float32 if REAL, else float64, and which of them each row has."""
    if isinstance(column, Wide):
        pairs = torch.stack([column.hi, column.lo], 1).numpy()
        different, inverse = np.unique(pairs, axis=0, return_inverse=True)
        values = [int(hi) * 2**64 + (int(lo) & (2**64 - 1)) for hi, lo in different]
    else:
        assert isinstance(column, Flat)
        different, inverse = np.unique(column.values.numpy(), return_inverse=True)
        if column.type.kind is not Kind.DECIMAL:
            return different.astype(threshold_dtype(column.type)), inverse
        values = different.tolist()
    power = 10**column.type.scale  # python divides integers correctly rounded, numpy does not
    return np.array([value / power for value in values], np.float64), inverse.reshape(-1)


def threshold_dtype(type: Type) -> np.dtype[Any]:
    """In which type a threshold is compared with pixels."""
    return np.dtype(np.float32 if type.kind is Kind.REAL else np.float64)


def box_values(column: Column) -> NDArray[np.float64]:
    """The corners x0, y0, x1, y1 of a BOX column: [1, 4] for a constant, else [n, 4]."""
    one = bare(column)
    assert isinstance(one, Flat)
    return one.values.numpy()


def clip(low: NDArray[np.float64], high: NDArray[np.float64], size: Any) -> tuple[Any, Any]:
    """Pixels c with low <= c < high, clipped to 0 … size, as first and one past the last.

    Empty ranges, and ranges with a NaN end, come out with both ends equal.
    """
    first = np.clip(np.ceil(np.where(np.isnan(low), np.inf, low)), 0, size).astype(np.int64)
    last = np.clip(np.ceil(np.where(np.isnan(high), -np.inf, high)), 0, size).astype(np.int64)
    return first, np.maximum(first, last)


def _joined(parts: Iterable[Integers]) -> Integers:
    arrays = list(parts)
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate([np.zeros(0, dtype=np.int64), *arrays])


def _gather(pixels: np.ndarray, starts: Integers, width: int) -> np.ndarray:
    if len(starts) == 0 or width == 0:
        return np.empty((len(starts), width), pixels.dtype)
    step = width
    if len(starts) > 1 and (np.diff(starts) == step).all():
        begin = int(starts[0])
        return pixels[begin : begin + len(starts) * width].reshape(len(starts), width)
    item = pixels.strides[0]
    windows = np.lib.stride_tricks.as_strided(
        pixels, (pixels.shape[0] - width + 1, width), (item, item), writeable=False
    )
    return windows[starts]
