"""Best-first search, the heart of every index top-k. CPU only: the queue is a numpy array.

Candidates have bounds per sort key and a place, the last tie-breaker. They are verified in order of
(best bound, place); a candidate is skipped only if that comes after the k-th (exact value, place).

So no search with the same bounds verifies fewer, but for the size of its batches (Hjaltason &
Samet, Distance Browsing, TODS 1999). With several keys, ranks compare lexicographically: a bound of
the second key counts only where the first ones are equal, as it does in a sort.

Beside it the published search of DeepEverest, with the same result: an index says which rows to run
next and when to stop, and the threshold takes the place of the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorsql.operators.columns.layouts import take_batch, values_of
from tensorsql.operators.indexes.protocol import SortedAccess
from tensorsql.operators.keys.ordering import Direction, order_codes, sort_rows
from tensorsql.operators.runtime.kept_rows import KeptRows, KeyedBatch
from tensorsql.operators.search.bounds import key_interval
from tensorsql.operators.search.criteria import Criteria
from tensorsql.planner.analysis.intervals import Interval

MIN_BATCH = 16
MAX_BATCH = 4096
SORTED = 1024
# Where a value stands among NULL, numbers and NaN, which is greater than every number.
NULL_FIRST, NAN_FIRST, NUMBER, NAN_LAST, NULL_LAST = 0.0, 1.0, 2.0, 3.0, 4.0

Ranks = NDArray[np.float64]  # [2 * keys + 1, n]: class and value per key, then the place
Rank = NDArray[np.float64]  # one column of ranks


Verify = Callable[[Tensor], KeyedBatch]  # positions (int64) → as Criteria.verified


@dataclass
class Search:
    """The first rows that meet the criteria, among candidates with these best ranks.

    `verified` keeps what was verified, `exact` its ranks.
    """

    criteria: Criteria
    best: Ranks
    verify: Verify
    verified: KeptRows
    exact: Ranks = field(init=False)

    def __post_init__(self) -> None:
        self.exact = np.empty((len(self.best), 0))

    def check(self, candidates: NDArray[np.int64]) -> None:
        """Verify some candidates."""
        rows = self.verify(torch.from_numpy(candidates))
        self.verified.add(rows.batch, rows.keys)
        *keys, places = rows.keys
        intervals = [key_interval(key) for key in keys]
        exact = ranks(intervals, self.criteria.order, values_of(places), best=False)
        self.exact = np.hstack([self.exact, exact])

    def last(self) -> Rank | None:
        """The rank of the last row wanted; None before there are as many."""
        wanted = self.criteria.wanted
        if self.exact.shape[1] < wanted:
            return None
        rank: Rank = self.exact[:, np.lexsort(self.exact[::-1])[wanted - 1]]
        return rank

    def first(self) -> KeptRows:
        """The rows wanted, in exact order, ties by place."""
        if not self.verified.rows:
            return self.verified
        rows, criteria = self.verified.joined(), self.criteria
        codes = order_codes(rows.keys, [*criteria.order, Direction()])
        chosen = sort_rows(codes)[criteria.plan.offset : criteria.wanted]
        return KeptRows.of(self.verified.columns, take_batch(rows.batch, chosen))


def ranks(
    intervals: Sequence[Interval], order: Sequence[Direction], places: Tensor, best: bool
) -> Ranks:
    """The best (or worst) rank each row can have; smaller comes first."""
    rows: list[np.ndarray] = []
    for interval, direction in zip(intervals, order, strict=True):
        rows += _rank(interval, direction, best)
    return np.stack([*rows, places.cpu().numpy().astype(np.float64)])


def ranks_of(all_ranks: Ranks, rows: Tensor) -> Ranks:
    """The ranks of some candidates."""
    return all_ranks[:, rows.numpy()]


def _rank(interval: Interval, direction: Direction, best: bool) -> list[np.ndarray]:
    lower, upper = interval.lower.numpy(), interval.upper.numpy()
    end = upper if direction.descending == best else lower
    value = -end if direction.descending else end
    null_class = NULL_FIRST if direction.nulls_first else NULL_LAST
    nan_class = NAN_FIRST if direction.descending else NAN_LAST
    choose = np.minimum if best else np.maximum
    none = np.inf if best else -np.inf
    classes = np.where(lower <= upper, NUMBER, none)
    for flag, place in ((interval.may_be_nan, nan_class), (interval.may_be_null, null_class)):
        classes = choose(classes, np.where(flag.numpy(), place, none))
    return [classes, np.where(classes == NUMBER, value, 0.0)]


def best_first(search: Search, smallest: int = MIN_BATCH) -> None:
    """Verify candidates until they hold the first rows.

    At least `smallest` are verified at a time: models run that many at the price of one.
    """
    pieces = _in_order(search.best)
    queue = next(pieces, np.empty(0, dtype=np.int64))
    start = 0
    while start < len(queue):
        search.criteria.context.check()
        size = search.criteria.wanted if start == 0 else start // 4
        size = min(max(size, smallest), MAX_BATCH)
        while start + size >= len(queue) and (piece := next(pieces, None)) is not None:
            queue = np.concatenate([queue, piece])
        batch = queue[start : start + size]
        last = search.last()
        if last is not None:
            batch = batch[: _before(search.best[:, batch], last)]
            if len(batch) == 0:
                break
        search.check(batch)
        start += len(batch)


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


def _before(candidates: Ranks, last: Rank) -> int:
    """How many of the candidates, in order, do not come after `last`."""
    after = np.zeros(candidates.shape[1], dtype=np.bool_)
    tied = np.ones(candidates.shape[1], dtype=np.bool_)
    for values, limit in zip(candidates, last, strict=True):
        after |= tied & (values > limit)
        tied &= values == limit
    return int(np.argmax(after)) if after.any() else len(after)


Step = tuple[NDArray[np.bool_], float]  # candidates to run next, the best of the others


def sorted_access(criteria: Criteria) -> tuple[SortedAccess, int] | None:
    """The first key's index, if the session asks for the threshold algorithm and it applies.

    With the id of the column that holds the row ids it speaks of.
    """
    first = criteria.keys[0]
    if criteria.context.settings.get("neuron_search") != "nta":
        return None
    return (first.probe, first.row_id) if isinstance(first.probe, SortedAccess) else None


def walk(search: Search, access: SortedAccess, row_ids: Tensor) -> None:
    """Verify candidates until they hold the first rows; `row_ids` name the candidates' rows."""
    unseen = np.ones(search.best.shape[1], dtype=np.bool_)
    for rows, threshold in _steps(access, row_ids):
        search.criteria.context.check()
        chosen = np.flatnonzero(rows & unseen)
        if len(chosen):
            unseen[chosen] = False
            search.check(chosen)
        if not unseen.any() or _is_done(search, unseen, threshold):
            break


def _steps(access: SortedAccess, row_ids: Tensor) -> Iterator[Step]:
    """Candidates the index does not cover first: no threshold bounds them."""
    yield (~access.covered(row_ids)).numpy(), float("nan")
    for rows, threshold, _ in access.steps():
        yield torch.isin(row_ids, rows).numpy(), threshold


def _is_done(search: Search, unseen: NDArray[np.bool_], threshold: float) -> bool:
    """Whether every unseen candidate, at the threshold, comes after the last exact one wanted."""
    last = search.last()
    if last is None or np.isnan(threshold):
        return False
    limit = search.best[:, unseen]
    descending = search.criteria.order[0].descending
    limit[0], limit[1] = NUMBER, -threshold if descending else threshold
    first = limit[:, np.lexsort(limit[::-1])[0]]
    return tuple(first.tolist()) > tuple(last.tolist())
