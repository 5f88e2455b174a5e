"""Best-first search sorts only what it visits, and visits in the same order as a full sort."""

from __future__ import annotations

import numpy as np
import pytest

from tensorsql.operators.search.best_first import SORTED, _in_order


@pytest.mark.parametrize("count", [0, 1, SORTED, SORTED + 1, 20 * SORTED])
@pytest.mark.parametrize("distinct", [1, 3, 1_000_000])
@pytest.mark.parametrize("classes", [1, 2])
def test_pieces_are_the_sorted_candidates(count: int, distinct: int, classes: int) -> None:
    random = np.random.default_rng(count + distinct + classes)
    best = np.stack(
        [
            random.integers(0, classes, count).astype(np.float64),
            random.integers(0, distinct, count).astype(np.float64),
            random.integers(0, 2, count).astype(np.float64),
            random.permutation(count).astype(np.float64),
        ]
    )
    best[1, random.random(count) < 0.1] = -np.inf
    pieces = [np.empty(0, dtype=np.int64), *_in_order(best)]
    assert np.concatenate(pieces).tolist() == np.lexsort(best[::-1]).tolist()
