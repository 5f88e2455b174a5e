"""The order of many texts, from parts that are sorted one by one.

Arrow sorts texts by comparing them, which takes long for millions and cannot be cut. So they are
dealt out first, by a few of them, to parts that follow one another: that compares each text with
few others, and small parts are sorted in less time.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tensorsql.cancellation import check_cancelled

PART = 1 << 17  # texts sorted at a time
FAN_OUT = 8  # parts that texts are dealt out to at a time
SAMPLE = 64  # texts looked at for each of them


def text_order(values: pa.LargeBinaryArray) -> NDArray[np.int64]:
    """The places of distinct texts in ascending order."""
    check_cancelled()
    if len(values) <= PART:
        return np.asarray(pc.sort_indices(values), np.int64)
    owners = _owners(values, _separators(values))
    parts = []
    for owner in range(FAN_OUT):
        places = np.flatnonzero(owners == owner)
        parts.append(places[text_order(values.take(pa.array(places)))])
    return np.concatenate(parts)


def _separators(values: pa.LargeBinaryArray) -> list[pa.Scalar]:
    """Texts that part the others into about equal shares."""
    places = np.linspace(0, len(values) - 1, FAN_OUT * SAMPLE).astype(np.int64)
    some = values.take(pa.array(places))
    some = some.take(pc.sort_indices(some))
    return [some[SAMPLE * number] for number in range(1, FAN_OUT)]


def _owners(values: pa.LargeBinaryArray, separators: list[pa.Scalar]) -> NDArray[np.int8]:
    """The part of each text: how many separators are not behind it."""
    owners = np.zeros(len(values), np.int8)
    for separator in separators:
        check_cancelled()
        owners += pc.greater_equal(values, separator).to_numpy(zero_copy_only=False)
    return owners
