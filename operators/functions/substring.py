"""Finding a byte string in all texts of a column at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SAMPLE = 65536
FEW = 4096  # texts for which Arrow's own search, one text after another, is good enough
Flags = NDArray[np.bool_]


def containing(array: pa.Array, piece: bytes) -> Flags:
    """Which of the large_string (or large_binary) texts contain a non-empty piece.

    The rarest byte of the piece is looked for in the whole buffer; its neighbours decide.
    """
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset :][: len(array) + 1]
    data = np.frombuffer(array.buffers()[2], np.uint8, offsets[-1])[offsets[0] :]
    positions = _occurrences(data, np.frombuffer(piece, np.uint8)) + offsets[0]
    rows = np.searchsorted(offsets, positions, side="right") - 1
    flags = np.zeros(len(array), np.bool_)
    flags[rows[positions + len(piece) <= offsets[rows + 1]]] = True
    return flags


def _occurrences(data: NDArray[np.uint8], piece: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where the piece begins in the data."""
    frequency = np.bincount(data[:: max(1, len(data) // SAMPLE)], minlength=256)
    rarest_first = np.argsort(frequency[piece], kind="stable")
    first = int(rarest_first[0])
    within = data[first : len(data) - len(piece) + 1 + first]
    starts = np.flatnonzero(within == piece[first])
    for place in rarest_first[1:]:
        starts = starts[data[starts + place] == piece[place]]
    return starts


def screened(array: pa.Array, piece: bytes, test: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`test` of all texts, run only on those that contain the piece: no other can pass."""
    if len(array) < FEW or array.null_count or not pa.types.is_large_string(array.type):
        return test(array)
    flags: Any = containing(array, piece)
    rows = np.flatnonzero(flags)
    flags[rows] = np.asarray(test(array.take(pa.array(rows))))
    return pa.array(flags)
