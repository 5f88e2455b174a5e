"""The blocks of a Cumulative Histogram Index: counts per mask, cell and value bin.

`counts[gy, gx, b, m]` is how many pixels of cell (gy, gx) of mask m have a level of at least
`edges[b + 1]`; for edges[0] that is the cell's area and for the last edge 0, so neither is stored.
Masks of one grid shape share a block of at most `BLOCK_ROWS` rows, whatever their sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tensorsql.errors import IOError as FileError
from tensorsql.storage.columns.masks import Integers, MaskSource, same_size
from tensorsql.storage.files.checked_file import CheckedArray, OpenFiles
from tensorsql.storage.files.plain_files import LargeFile
from tensorsql.storage.masks.counts import chunks, read_block
from tensorsql.storage.masks.levels import bin_edges

Places = Integers | slice  # of masks; a slice has both ends

BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Histogram:
    """How masks are counted: pixels per side of a cell (0 = by size), and the bin edges."""

    cell: int
    bins: int
    scale: int
    element: str

    @cached_property
    def edges(self) -> np.ndarray:
        """Ascending levels; the last lies beyond every pixel."""
        return bin_edges(self.bins, self.scale, self.element)

    def cell_of(self, height: int, width: int) -> int:
        """Pixels per side of a cell: as stated, or so that 4 … 16 cells span the longer side."""
        if self.cell:
            return self.cell
        longest = max(height, width)
        across = min(max(round(longest / 14), 4), 16)
        return max(1, -(-longest // across))


@dataclass(frozen=True, eq=False)
class ChiBlock:
    """Counts [gy, gx, bin, mask] of masks with ascending `row_ids`, their sizes and cell side.

    `stored` is where the counts lie in a file, which checks what is read of them.
    """

    counts: np.ndarray
    row_ids: Integers
    heights: Integers
    widths: Integers
    cell: int
    stored: CheckedArray | None = None

    def check_size(self) -> None:
        """CorruptError if its file was cut short; comes before `compare`."""
        if self.stored is not None:
            self.stored.file.check_size()

    def compare(self, *place: int) -> None:
        """CorruptError unless counts[place] are as they were written."""
        if self.stored is not None:
            self.stored.compare(*place)

    def whole(self) -> np.ndarray:
        """All counts."""
        return self.counts if self.stored is None else self.stored.whole()

    @property
    def grid(self) -> tuple[int, int]:
        """Cells down and across."""
        return self.counts.shape[0], self.counts.shape[1]

    @property
    def key(self) -> tuple[int, int, int]:
        """Blocks of one key may be joined."""
        return (self.cell, *self.grid)

    @cached_property
    def is_regular(self) -> bool:
        """Whether all masks have one size."""
        return all(bool((sizes == sizes[0]).all()) for sizes in (self.heights, self.widths))


def build_blocks(
    histogram: Histogram, source: MaskSource, rows: Integers, row_ids: Integers
) -> list[ChiBlock]:
    """Blocks for masks rows[i] of the source, known as row_ids[i] (ascending)."""
    heights, widths = source.sizes(rows)
    parts: dict[tuple[int, int, int], list[ChiBlock]] = {}
    for height, width, chosen in same_size(heights, widths):
        cell = histogram.cell_of(height, width)
        counts = _count_cells(histogram, source, rows[chosen], (height, width, cell))
        block = ChiBlock(counts, row_ids[chosen], heights[chosen], widths[chosen], cell)
        parts.setdefault(block.key, []).append(block)
    return [piece for blocks in parts.values() for piece in split(join(blocks))]


def join(blocks: list[ChiBlock]) -> ChiBlock:
    """Blocks of one key as one, its rows in ascending order of their ids."""
    if len(blocks) == 1:
        return blocks[0]
    row_ids = np.concatenate([block.row_ids for block in blocks])
    order = np.argsort(row_ids, kind="stable")
    dtype = np.result_type(*(block.counts.dtype for block in blocks))
    counts = np.concatenate([block.whole().astype(dtype) for block in blocks], axis=3)
    heights = np.concatenate([block.heights for block in blocks])
    widths = np.concatenate([block.widths for block in blocks])
    return ChiBlock(
        np.ascontiguousarray(counts[..., order]),
        row_ids[order],
        heights[order],
        widths[order],
        blocks[0].cell,
    )


def split(block: ChiBlock) -> Iterator[ChiBlock]:
    """The block in pieces of at most `BLOCK_ROWS` rows."""
    if len(block.row_ids) <= BLOCK_ROWS:
        yield block
        return
    for start in range(0, len(block.row_ids), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        yield ChiBlock(
            np.ascontiguousarray(block.whole()[..., part]),
            block.row_ids[part],
            block.heights[part],
            block.widths[part],
            block.cell,
        )


def count_dtype(area: int) -> type[np.unsignedinteger | np.signedinteger]:
    """The narrowest dtype for counts up to a cell's area."""
    return np.uint8 if area <= 255 else np.int16 if area <= 32767 else np.int32


def _count_cells(
    histogram: Histogram, source: MaskSource, rows: Integers, shape: tuple[int, int, int]
) -> np.ndarray:
    height, width, cell = shape
    down, across = -(-height // cell), -(-width // cell)
    edges = histogram.edges
    bins = len(edges) - 1
    places = (np.arange(height) // cell)[:, None] * across + np.arange(width) // cell
    cells = (places * bins).astype(np.int64)
    result = np.empty((down, across, bins - 1, len(rows)), count_dtype(cell * cell))
    for part in chunks(len(rows), height * width * 4):
        pixels = read_block(source, rows[part], 0, height)
        count = len(pixels)
        codes = _bins(pixels, edges) + cells
        codes += (np.arange(count) * (down * across * bins))[:, None, None]
        table = np.bincount(codes.reshape(-1), minlength=count * down * across * bins)
        table = table.reshape(count, down, across, bins)
        above = np.cumsum(table[..., :0:-1], axis=3)[..., ::-1]
        result[..., part] = np.moveaxis(above, 0, 3)
    return result


def _bins(pixels: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each pixel, as int64."""
    if pixels.dtype.kind != "f" and pixels.dtype.itemsize <= 2 and edges[-1] <= 1 << 16:
        levels = np.arange(int(edges[-1]))
        bins: np.ndarray = (np.searchsorted(edges, levels, side="right") - 1)[pixels]
        return bins
    return np.searchsorted(edges, pixels, side="right") - 1


def save_block(block: ChiBlock, directory: Path, stem: str) -> None:
    """Write a block as two .npy files."""
    rows = np.stack([block.row_ids, block.heights, block.widths])
    _save(directory / f"{stem}.counts.npy", block.whole())
    _save(directory / f"{stem}.rows.npy", np.hstack([rows, np.full((3, 1), block.cell)]))


def _save(path: Path, array: np.ndarray) -> None:
    try:
        with LargeFile(path) as file:
            np.save(file, array)
    except OSError as error:
        raise FileError(f'index file "{path}" cannot be written: {error}') from None


def load_block(files: OpenFiles, directory: Path, stem: str) -> ChiBlock:
    """A block written by `save_block`, memory-mapped and checked as it is read."""
    stored = files.open(directory / f"{stem}.rows.npy").array()
    counts = files.open(directory / f"{stem}.counts.npy").array()
    rows = stored.copied()
    fits = rows.ndim == 2 and rows.dtype == np.int64 and len(rows) == 3 and rows.shape[1] > 1
    if not fits or counts.values.ndim != 4 or counts.values.shape[3] != rows.shape[1] - 1:
        raise counts.file.damaged("it does not hold the counts of its rows")
    row_ids, heights, widths = rows[:, :-1]
    return ChiBlock(counts.values, row_ids, heights, widths, int(rows[0, -1]), counts)


def locate(block: ChiBlock, ids: Integers, ascending: bool) -> tuple[Places, Places]:
    """Which of the ids the block counts, and at which positions: slices where both are runs."""
    first, last = int(block.row_ids[0]), int(block.row_ids[-1])
    if ascending:
        start, stop = np.searchsorted(ids, [first, last + 1]).tolist()
        near = np.arange(start, stop)
        begin = int(np.searchsorted(block.row_ids, ids[start])) if start < stop else 0
        run = slice(begin, begin + stop - start)
        if np.array_equal(block.row_ids[run], ids[start:stop]):
            return slice(start, stop), run
    else:
        near = np.flatnonzero((ids >= first) & (ids <= last))
    if last - first + 1 == len(block.row_ids):
        return near, ids[near] - first
    places = np.searchsorted(block.row_ids, ids[near])
    stored = block.row_ids[places] == ids[near]
    return near[stored], places[stored]


def located(blocks: Sequence[ChiBlock], ids: Integers) -> Iterator[tuple[ChiBlock, Places, Places]]:
    """Each block that counts some of the ids, with what `locate` says of it."""
    ascending = bool((ids[1:] > ids[:-1]).all())
    for block in blocks:
        rows, positions = locate(block, ids, ascending)
        if length(rows):
            yield block, rows, positions


def length(places: Places) -> int:
    """How many places these are."""
    return places.stop - places.start if isinstance(places, slice) else len(places)
