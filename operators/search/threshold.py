"""The threshold algorithm over candidates. CPU only: they lie in numpy arrays.

An index says which rows to run next and when to stop. The published search of DeepEverest, beside
best-first search and with the same result: a candidate is skipped only if (threshold, place) comes
after the k-th (exact value, place).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorsql.operators.indexes.protocol import SortedAccess
from tensorsql.operators.search.best_first import NUMBER, Search
from tensorsql.operators.search.criteria import Criteria

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
