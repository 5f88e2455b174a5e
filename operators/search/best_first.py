"""Best-first search for the first k candidates: the heart of every index top-k.

Candidates have bounds per sort key and a place, the last tie-breaker. They are verified in order of
(best bound, place); a candidate is skipped only if that comes after the k-th (exact value, place).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorsql.operators.keys.ordering import Direction
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.analysis.intervals import Interval
from tensorsql.storage.columns.column import Batch, Column

MIN_BATCH = 16
MAX_BATCH = 4096
SORTED = 1024
# Where a value stands among NULL, numbers and NaN, which is greater than every number.
NULL_FIRST, NAN_FIRST, NUMBER, NAN_LAST, NULL_LAST = 0.0, 1.0, 2.0, 3.0, 4.0

Ranks = NDArray[np.float64]  # [2 * keys + 1, n]: class and value per key, then the place


@dataclass(frozen=True)
class Verified:
    """Exact rows: their places, columns, key columns and the keys as (degenerate) bounds."""

    places: Tensor
    batch: Batch
    keys: Sequence[Column]
    intervals: Sequence[Interval]


Verify = Callable[[Tensor], Verified]  # positions among the candidates (int64) → those that count


def ranks(
    intervals: Sequence[Interval], order: Sequence[Direction], places: Tensor, best: bool
) -> Ranks:
    """The best (or worst) rank each row can have; smaller comes first."""
    rows: list[np.ndarray] = []
    for interval, direction in zip(intervals, order, strict=True):
        rows += _rank(interval, direction, best)
    return np.stack([*rows, places.numpy().astype(np.float64)])


def _rank(interval: Interval, direction: Direction, best: bool) -> list[np.ndarray]:
    lower, upper = interval.lower.numpy(), interval.upper.numpy()
    end = upper if direction.descending == best else lower
    value = -end if direction.descending else end
    null_class = NULL_FIRST if direction.nulls_first else NULL_LAST
    nan_class = NAN_FIRST if direction.descending else NAN_LAST
    choose = np.minimum if best else np.maximum
    none = np.inf if best else -np.inf
    found = np.where(lower <= upper, NUMBER, none)
    for flag, place in ((interval.may_be_nan, nan_class), (interval.may_be_null, null_class)):
        found = choose(found, np.where(flag.numpy(), place, none))
    return [found, np.where(found == NUMBER, value, 0.0)]


def search(
    best: Ranks,
    count: int,
    verify: Verify,
    order: Sequence[Direction],
    context: Context,
    smallest: int = MIN_BATCH,
) -> list[Verified]:
    """Verified candidates that hold the first `count` of those that count.

    At least `smallest` are verified at a time: models run that many at the price of one.
    """
    pieces = _in_order(best)
    queue = next(pieces, np.empty(0, dtype=np.int64))
    found: list[Verified] = []
    exact: Ranks = np.empty((len(best), 0))
    start = 0
    while start < len(queue):
        context.check()
        size = count if start == 0 else start // 4
        size = min(max(size, smallest), MAX_BATCH)
        while start + size >= len(queue) and (piece := next(pieces, None)) is not None:
            queue = np.concatenate([queue, piece])
        batch = queue[start : start + size]
        if exact.shape[1] >= count:
            last = exact[:, np.lexsort(exact[::-1])[count - 1]]
            batch = batch[: _before(best[:, batch], last)]
            if len(batch) == 0:
                break
        checked = verify(torch.from_numpy(batch))
        found.append(checked)
        exact = np.hstack([exact, ranks(checked.intervals, order, checked.places, best=False)])
        start += len(batch)
    return found


def _in_order(best: Ranks) -> Iterator[NDArray[np.int64]]:
    """The candidates in order, in pieces: most are never asked for and need no sorting."""
    rest, size = np.arange(best.shape[1]), SORTED
    while len(rest):
        head, rest, size = *_split(best, rest, size), size * 8
        yield head[np.lexsort(best[::-1, head])]


def _split(best: Ranks, rows: NDArray[np.int64], size: int) -> Sequence[NDArray[np.int64]]:
    """The first `size` rows and their ties by the first key, and the others; both unsorted."""
    classes, values = best[0, rows], best[1, rows]
    if len(rows) <= size or (classes != classes[0]).any():
        return rows, rows[:0]
    near = values <= np.partition(values, size)[size]
    return rows[near], rows[~near]


def _before(candidates: Ranks, last: np.ndarray) -> int:
    """How many of the candidates, in order, do not come after `last`."""
    after = np.zeros(candidates.shape[1], dtype=np.bool_)
    tied = np.ones(candidates.shape[1], dtype=np.bool_)
    for values, limit in zip(candidates, last, strict=True):
        after |= tied & (values > limit)
        tied &= values == limit
    return int(np.argmax(after)) if after.any() else len(after)
