"""The threshold algorithm over candidates: an index says which rows to run next and when to stop.

The published search of DeepEverest, beside best-first search and with the same result: a candidate
is skipped only if (threshold, place) comes after the k-th (exact value, place).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorsql.operators.indexes.protocol import SortedAccess
from tensorsql.operators.keys.ordering import Direction
from tensorsql.operators.runtime.program import Context
from tensorsql.operators.search.best_first import NUMBER, Ranks, Verified, Verify, ranks
from tensorsql.operators.search.bounds import Bounds, Probed

Step = tuple[NDArray[np.bool_], float]  # candidates to run next, the best of the others


def sorted_access(keys: Sequence[Bounds], context: Context) -> tuple[SortedAccess, int] | None:
    """The first key's index, if the session asks for the threshold algorithm and it applies.

    With the id of the column that holds the row ids it speaks of.
    """
    first = keys[0]
    if context.settings.get("neuron_search") != "nta" or not isinstance(first, Probed):
        return None
    return (first.probe, first.row_id) if isinstance(first.probe, SortedAccess) else None


def walk(
    access: SortedAccess,
    row_ids: Tensor,
    best: Ranks,
    count: int,
    verify: Verify,
    order: Sequence[Direction],
    context: Context,
) -> list[Verified]:
    """Verified candidates that hold the first `count`; `row_ids` name the candidates' rows."""
    unseen = np.ones(best.shape[1], dtype=np.bool_)
    exact: Ranks = np.empty((len(best), 0))
    found: list[Verified] = []
    for rows, threshold in _steps(access, row_ids):
        context.check()
        chosen = np.flatnonzero(rows & unseen)
        if len(chosen):
            unseen[chosen] = False
            checked = verify(torch.from_numpy(chosen))
            found.append(checked)
            exact = np.hstack([exact, ranks(checked.intervals, order, checked.places, best=False)])
        if not unseen.any() or _is_done(best[:, unseen], exact, threshold, count, order[0]):
            break
    return found


def _steps(access: SortedAccess, row_ids: Tensor) -> Iterator[Step]:
    """Candidates the index does not cover first: no threshold bounds them."""
    yield (~access.covered(row_ids)).numpy(), float("nan")
    for rows, threshold, _ in access.steps():
        yield torch.isin(row_ids, rows).numpy(), threshold


def _is_done(
    unseen: Ranks, exact: Ranks, threshold: float, count: int, direction: Direction
) -> bool:
    """Whether every unseen candidate, at the threshold, comes after the k-th exact one."""
    if exact.shape[1] < count or np.isnan(threshold):
        return False
    last = exact[:, np.lexsort(exact[::-1])[count - 1]]
    limit = unseen.copy()
    limit[0], limit[1] = NUMBER, -threshold if direction.descending else threshold
    first = limit[:, np.lexsort(limit[::-1])[0]]
    return tuple(first.tolist()) > tuple(last.tolist())
