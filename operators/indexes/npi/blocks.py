"""Blocks of the Neural Partition Index. CPU only: they are numpy arrays, mapped from disk.

A block has at most 64 K rows, every neuron of one layer. Per neuron the rows are sorted by
activation, highest first, and cut into partitions. Partition 0 is the MAI, the `ratio` highest with
their exact values, where there is one; the rest has equal depth. Guarantee: lower[j, p] <=
activation of neuron j <= upper[j, p] for every row of partition p.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import DataError
from tensorsql.errors import IOError as FileError
from tensorsql.storage.files.checked_file import CheckedArray, OpenFiles
from tensorsql.storage.files.plain_files import LargeFile
from tensorsql.storage.tables.catalog import IndexEntry

ARRAYS = ("row_ids", "planes", "lower", "upper", "mai_rows", "mai_values")


@dataclass(frozen=True, eq=False)
class Block:
    """Partition ids as bit planes, log2(P) bits an entry; arrays may be memory-mapped.

    row_ids int64 [n], ascending; planes uint8 [bits, neurons, n / 8]; lower, upper [neurons, P];
    mai_rows int32 and mai_values [neurons, m], highest first (m = 0: there is no MAI). `stored` is
    where they lie in files, which check what is read of them.
    """

    row_ids: NDArray[np.int64]
    planes: NDArray[np.uint8]
    lower: np.ndarray
    upper: np.ndarray
    mai_rows: NDArray[np.int32]
    mai_values: np.ndarray
    stored: Mapping[str, CheckedArray] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.row_ids)

    @property
    def partitions(self) -> int:
        """Number of partitions P of each neuron."""
        return int(self.lower.shape[1])

    @property
    def neurons(self) -> int:
        """Number of neurons of the layer."""
        return int(self.lower.shape[0])

    @property
    def bytes(self) -> int:
        """Bytes of everything but the row ids."""
        return sum(int(getattr(self, name).nbytes) for name in ARRAYS[1:])

    @cached_property
    def ids(self) -> Tensor:
        """Row ids as a tensor."""
        return torch.from_numpy(np.array(self.row_ids))

    def places(self, row_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Positions in this block of those row ids that are in it, and which those are (bool)."""
        places = torch.searchsorted(self.ids, row_ids).clamp(max=self.rows - 1)
        inside = self.ids.index_select(0, places) == row_ids
        return places[inside], inside

    def partition_ids(self, group: Tensor, places: Tensor | None = None) -> Tensor:
        """Partition id of each neuron of the group and row: int16 [group, rows or places]."""
        chosen = np.arange(self.rows) if places is None else places.numpy()
        self._check(
            "planes", np.add.outer(np.arange(len(self.planes)) * self.neurons, group.numpy()), 2
        )
        ids = np.zeros((len(group), len(chosen)), np.int16)
        shifts = (chosen & 7).astype(np.uint8)
        for bit, plane in enumerate(self.planes):
            packed = plane[np.ix_(group.numpy(), chosen >> 3)]
            ids |= (packed >> shifts & 1).astype(np.int16) << bit
        return torch.from_numpy(ids)

    def boxes(self, group: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the activations of a group, float64 [group, places]; exact in the MAI."""
        ids = self.partition_ids(group, places).long()
        lower, upper = self.limits(group)
        low, high = lower.gather(1, ids), upper.gather(1, ids)
        if self.mai_rows.shape[1]:
            for position, (rows, values) in enumerate(zip(*self.mai(group), strict=True)):
                exact = torch.full((self.rows,), torch.nan, dtype=torch.float64)
                exact[rows] = values
                stored = exact.index_select(0, places)
                missing = stored.isnan()
                low[position] = torch.where(missing, low[position], stored)
                high[position] = torch.where(missing, high[position], stored)
        return low, high

    def limits(self, group: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper bounds of the partitions: float64 [group, P]."""
        lower, upper = (self._rows_of(name, group) for name in ("lower", "upper"))
        return torch.from_numpy(lower).double(), torch.from_numpy(upper).double()

    def mai(self, group: Tensor) -> tuple[Tensor, Tensor]:
        """Positions (int64) and activations (float64) of the MAI: [group, m], highest first."""
        rows, values = (self._rows_of(name, group) for name in ("mai_rows", "mai_values"))
        return torch.from_numpy(rows).long(), torch.from_numpy(values).double()

    def _rows_of(self, name: str, group: Tensor) -> np.ndarray:
        self._check(name, group.numpy())
        return np.asarray(getattr(self, name)[group.numpy()])

    def _check(self, name: str, numbers: NDArray[np.int64], axes: int = 1) -> None:
        if name in self.stored:
            self.stored[name].check_rows(numbers.reshape(-1), axes)


def build_block(row_ids: Tensor, activations: Tensor, partitions: int, ratio: float) -> Block:
    """The block of rows [n] and their activations [n, neurons].

    DataError if an activation is NaN or infinite: nothing bounds those.
    """
    finite = torch.isfinite(activations).all(1)
    if not bool(finite.all()):
        row = int(row_ids[int(torch.nonzero(~finite)[0])])
        raise DataError(f"an activation of row {row} is NaN or infinite; it cannot be indexed")
    count, neurons = activations.shape
    sizes = partition_sizes(count, partitions, ratio)
    mai = sizes[0] if ratio > 0 else 0
    bits = max(1, math.ceil(math.log2(len(sizes)))) if len(sizes) > 1 else 1
    planes = np.zeros((bits, neurons, (count + 7) // 8), np.uint8)
    lower = np.empty((neurons, len(sizes)), activations.numpy().dtype)
    upper, mai_rows = np.empty_like(lower), np.empty((neurons, mai), np.int32)
    ranks = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    ends = torch.tensor(sizes).cumsum(0)
    mai_values = np.empty((neurons, mai), lower.dtype)
    # Neurons in groups, so that sorting a wide layer needs little memory at a time.
    for start in range(0, neurons, 256):
        check_cancelled()
        part = activations[:, start : start + 256].T.contiguous()
        stop = start + len(part)
        values, order = torch.sort(part, dim=1, descending=True, stable=True)
        ids = torch.empty_like(order).scatter_(1, order, ranks.expand_as(order)).numpy()
        for bit in range(bits):
            planes[bit, start:stop] = np.packbits(ids >> bit & 1, axis=1, bitorder="little")
        upper[start:stop] = values[:, ends - torch.tensor(sizes)].numpy()
        lower[start:stop] = values[:, ends - 1].numpy()
        mai_rows[start:stop], mai_values[start:stop] = order[:, :mai], values[:, :mai]
    return Block(row_ids.numpy(), planes, lower, upper, mai_rows, mai_values)


def partition_sizes(count: int, partitions: int, ratio: float) -> list[int]:
    """How many rows each partition has; none is empty, the first is the MAI if ratio > 0."""
    head = min(count, math.ceil(round(ratio * count, 9))) if ratio > 0 else 0
    rest = count - head
    parts = min(partitions - (1 if head else 0), rest)
    if rest and parts < 1:
        parts = 1
    even = [rest // parts + (1 if number < rest % parts else 0) for number in range(parts)]
    return [head, *even] if head else even


def save_block(block: Block, directory: str, number: int) -> None:
    """Write the block's arrays as `.npy` files, which `load_blocks` maps."""
    try:
        for name in ARRAYS:
            with LargeFile(block_file(directory, number, name)) as file:
                np.save(file, getattr(block, name))
    except OSError as error:
        raise FileError(
            f'cannot write an index to "{directory}": {error.strerror or error}'
        ) from error


def blocks_of(entry: IndexEntry) -> list[Block]:
    """The blocks in memory, or mapped from the index's folder."""
    if entry.state is not None:
        blocks: list[Block] = entry.state
        return blocks
    if entry.directory is None:
        return []
    return load_blocks(entry.files, entry.directory, int(entry.options.get("blocks", 0)))


def load_blocks(files: OpenFiles, directory: str, count: int) -> list[Block]:
    """The first `count` blocks of a folder, memory-mapped and checked as they are read."""
    return [_load_block(files, directory, number) for number in range(count)]


def _load_block(files: OpenFiles, directory: str, number: int) -> Block:
    stored = {name: files.open(block_file(directory, number, name)).array() for name in ARRAYS}
    arrays = {name: array.values for name, array in stored.items()}
    arrays["row_ids"] = stored["row_ids"].copied()
    if [array.ndim for array in arrays.values()] != [1, 3, 2, 2, 2, 2]:
        raise stored["planes"].file.damaged("it does not hold a part of an index")
    return Block(**arrays, stored=stored)


def block_file(directory: str, number: int, name: str) -> Path:
    """Where one array of a block is."""
    return Path(directory) / f"{number:06d}_{name}.npy"
