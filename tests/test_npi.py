"""NPI blocks, NTA and bound-first search: the published worked examples, the mended rules,

and property tests against running everything.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tensorsql.errors import BindError, DataError, IOError
from tensorsql.operators.indexes.npi.blocks import (
    Block,
    build_block,
    load_blocks,
    partition_sizes,
    save_block,
)
from tensorsql.operators.indexes.npi.budget import (
    Configuration,
    checked_options,
    configure,
    fit,
    partition_bytes,
)
from tensorsql.operators.indexes.npi.nta import BlockWalk
from tensorsql.operators.indexes.npi.probe import NpiProbe, WalkingProbe, probe_of
from tensorsql.operators.models.inference import Question
from tensorsql.operators.models.measures import DISTANCES, SCORES, Cosine, Length, Lp, Measure
from tensorsql.storage.files.checked_file import OpenFiles
from tensorsql.storage.tables.database import Database

EXAMPLE_1 = [
    [2, 2, 2],
    [2, 1.6, 1],
    [1.5, 1.8, 1.6],
    [1.8, 1.7, 1.8],
    [1.2, 1.2, 1.1],
    [1.1, 1.1, 1.2],
]
EXAMPLE_4 = [[2, 2, 1.1], [2, 1.8, 1.1], [1.5, 1.7, 1.6], [1.8, 1.6, 1.8], [1.2, 1.2, 1.5]]


def block_of(rows: list[list[float]] | Tensor, partitions: int, ratio: float = 0.0) -> Block:
    values = torch.as_tensor(rows, dtype=torch.float64)
    return build_block(torch.arange(len(values)), values, partitions, ratio)


def question(block_values: Tensor, target: int | None, dist: str = "l1") -> Question:
    group = torch.arange(block_values.shape[1])
    if target is None:
        return Question(group, SCORES[dist]())
    return Question(group, DISTANCES[dist](block_values[target].double(), None), target)


def comes_after(value: tuple[float, int], other: tuple[float, int], descending: bool) -> bool:
    sign = -1 if descending else 1
    return (sign * value[0], value[1]) > (sign * other[0], other[1])


def search_nta(
    probe: WalkingProbe, values: Tensor, k: int, skip: int | None
) -> tuple[list[int], list[int]]:
    """What the operator does: run each step's rows, stop by (threshold, id) against the k-th."""
    down = probe.measure.descending
    exact = probe.measure.values(values[:, probe.group].T.double())
    ran: list[int] = []
    best: list[int] = []
    unseen = set(range(len(values)))
    for rows, threshold, finished in probe.steps():
        ran += rows.tolist()
        unseen -= set(rows.tolist())
        best = sorted(
            (row for row in ran if row != skip),
            key=lambda row: ((-1 if down else 1) * float(exact[row]), row),
        )[:k]
        if finished or not (unseen - {skip}):
            break
        lowest = min(unseen - {skip})
        if len(best) == k and comes_after(
            (threshold, lowest), (float(exact[best[-1]]), best[-1]), down
        ):
            break
    return best, ran


def search_bounds(
    probe: NpiProbe, values: Tensor, k: int, skip: int | None
) -> tuple[list[int], list[int]]:
    """Best bound first, one row at a time, until the next (bound, id) comes after the k-th."""
    down = probe.measure.descending
    exact = probe.measure.values(values[:, probe.group].T.double())
    found = probe.bounds(torch.arange(len(values)))
    bound = found.upper if down else found.lower
    sign = -1 if down else 1
    order = sorted(
        (r for r in range(len(values)) if r != skip), key=lambda r: (sign * float(bound[r]), r)
    )
    ran: list[int] = []
    best: list[int] = []
    for row in order:
        if len(best) == k and comes_after(
            (float(bound[row]), row), (float(exact[best[-1]]), best[-1]), down
        ):
            break
        ran.append(row)
        best = sorted(ran, key=lambda r: (sign * float(exact[r]), r))[:k]
    return best, ran


def brute(measure: Measure, values: Tensor, k: int, skip: int | None) -> list[int]:
    exact = measure.values(values.T.double())
    sign = -1 if measure.descending else 1
    rows = [row for row in range(len(values)) if row != skip]
    return sorted(rows, key=lambda row: (sign * float(exact[row]), row))[:k]


# The published worked examples


def test_example_3_1_partitions_and_bounds() -> None:
    block = block_of(EXAMPLE_1, 3)
    group = torch.arange(3)
    ids = block.partition_ids(group).T.tolist()
    assert ids == [[0, 0, 0], [0, 1, 2], [1, 0, 1], [1, 1, 0], [2, 2, 2], [2, 2, 1]]
    lower, upper = block.limits(group)
    assert lower.tolist() == [[2, 1.5, 1.1], [1.8, 1.6, 1.1], [1.8, 1.2, 1.0]]
    assert upper.tolist() == [[2, 1.8, 1.2], [2, 1.7, 1.2], [2, 1.6, 1.1]]


def test_example_3_2_distances_of_partitions_and_their_order() -> None:
    values = torch.tensor(EXAMPLE_1, dtype=torch.float64)
    asked = question(values, 5)
    walk = BlockWalk(block_of(EXAMPLE_1, 3), asked.group, asked.measure, 5, 64)
    wanted = [[0.9, 0.4, 0], [0.7, 0.5, 0], [0.6, 0, 0.1]]
    assert np.allclose(walk.distances().numpy(), wanted)
    assert walk.order.tolist() == [[2, 1, 0], [2, 1, 0], [1, 2, 0]]


def test_example_3_3_steps_thresholds_and_answer() -> None:
    values = torch.tensor(EXAMPLE_1, dtype=torch.float64)
    probe = probe_of([block_of(EXAMPLE_1, 3)], question(values, 5), 64)
    steps = probe.steps()
    rows, threshold, finished = next(steps)
    assert (sorted(rows.tolist()), threshold, finished) == ([2, 4, 5], pytest.approx(0.2), False)
    rows, threshold, finished = next(steps)
    assert (sorted(rows.tolist()), threshold, finished) == ([1, 3], pytest.approx(1.7), False)
    best, ran = search_nta(probe, values, 2, skip=5)
    assert best == [4, 2] and sorted(ran) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("dist", "distances"),
    [("l1", [2.6, 1.6, 1.5, 1.9, 0.3]), ("l2", [1.5033, 1.0488, 0.9, 1.1, 0.1732])],
)
def test_example_3_3_distances(dist: str, distances: list[float]) -> None:
    values = torch.tensor(EXAMPLE_1, dtype=torch.float64)
    found = question(values, 5, dist).measure.values(values.T)
    assert np.allclose(found[:5].numpy(), distances, atol=5e-5)


def test_example_3_3_bound_first() -> None:
    values = torch.tensor(EXAMPLE_1, dtype=torch.float64)
    probe = probe_of([block_of(EXAMPLE_1, 3)], question(values, 5), 64)
    bounds = probe.bounds(torch.arange(5)).lower
    assert np.allclose(bounds.numpy(), [2.2, 1.5, 1.1, 1.5, 0.1])
    best, ran = search_bounds(probe, values, 2, skip=5)
    assert best == [4, 2] and 0 not in ran


def test_example_3_4_mai_runs_two_inputs() -> None:
    values = torch.tensor(EXAMPLE_4, dtype=torch.float64)
    block = block_of(EXAMPLE_4, 2, ratio=0.6)
    rows, _ = block.mai(torch.arange(3))
    assert [set(row) for row in rows.tolist()] == [{0, 1, 3}, {0, 1, 2}, {3, 2, 4}]
    probe = probe_of([block], question(values, 0), batch_size=1)
    steps = probe.steps()
    assert next(steps)[0].tolist() == [0]
    rows, threshold, _ = next(steps)
    assert rows.tolist() == [1] and threshold == pytest.approx(0.2)
    assert search_nta(probe, values, 1, skip=0) == ([1], [0, 1])
    exact = probe.measure.values(values.T)
    assert np.allclose(exact.numpy(), [0, 0.2, 1.3, 1.3, 2.0])


def test_example_3_4_bound_first() -> None:
    values = torch.tensor(EXAMPLE_4, dtype=torch.float64)
    probe = probe_of([block_of(EXAMPLE_4, 2, ratio=0.6)], question(values, 0), 1)
    assert search_bounds(probe, values, 1, skip=0)[0] == [1]


# The mended rules


def test_rule_2_a_side_is_dropped_not_multiplied() -> None:
    """∞ · 0 would be NaN: after both ends were visited on one neuron the threshold is infinite."""
    values = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    probe = probe_of([block_of(values, 3)], question(values, 1), 64)
    thresholds = [threshold for _, threshold, _ in probe.steps()]
    assert thresholds[-1] == float("inf") and not any(np.isnan(thresholds))


def test_rule_3_partitions_stay_contiguous_on_ties() -> None:
    values = torch.tensor([[0.0], [2], [2], [3], [2], [0]], dtype=torch.float64)
    probe = probe_of([block_of(values, 4)], question(values, 0), 64)
    best, _ = search_nta(probe, values, 3, skip=0)
    assert probe.measure.values(values.T)[best].tolist() == [0, 2, 2]
    assert best == [5, 1, 2]


def test_rule_4_ties_are_decided_by_id() -> None:
    """Two rows tie for the first place; the one with the lower id is in the farther partition."""
    values = torch.tensor([[0.0], [4.0], [2.0]], dtype=torch.float64)
    for search in (search_nta, search_bounds):
        probe = probe_of([block_of(values, 3)], question(values, 2), 1)
        assert search(probe, values, 1, 2)[0] == [0]


def test_rule_4_ties_in_bounds_need_not_all_run() -> None:
    """With dead neurons every bound is exact: only k rows run."""
    values = torch.zeros(200, 2, dtype=torch.float64)
    probe = probe_of([block_of(values, 8)], question(values, 7), 1)
    best, ran = search_bounds(probe, values, 5, skip=7)
    assert best == [0, 1, 2, 3, 4] and len(ran) == 5


def test_rule_5_cosine_is_never_given_to_nta() -> None:
    values = torch.tensor(EXAMPLE_1)
    for dist, walks in (("cosine", False), ("linf", True)):
        probe = probe_of([block_of(values, 3)], question(values, 1, dist), 1)
        assert isinstance(probe, WalkingProbe) == walks


def test_rule_5_the_norm_is_monotone_only_where_nothing_is_negative() -> None:
    values = torch.tensor([[1.0], [2.0], [3.0]])
    for rows, walks in ((values, True), (-values, False)):
        probe = probe_of([block_of(rows, 2)], question(rows, None, "l2"), 1)
        assert isinstance(probe, WalkingProbe) == walks


@pytest.mark.parametrize(
    ("rows", "budget"), [(10_000, 0.2), (2_000, 0.2), (10_000, 0.15), (500, 0.3)]
)
def test_rule_6_the_budget_counts_all_bytes(rows: int, budget: float) -> None:
    chosen = fit(budget, rows, 64)
    values = torch.rand(rows, 3, generator=torch.Generator().manual_seed(1))
    block = build_block(torch.arange(rows), values, chosen.partitions, chosen.ratio)
    full = rows * 3 * 4
    assert block.bytes <= budget * full * 1.001
    assert chosen.partitions & (chosen.partitions - 1) == 0
    assert chosen.partitions <= max(2, rows // 64)


def test_rule_6_published_rule_would_overshoot() -> None:
    ids_alone = 6 * 10_000 / 8
    assert partition_bytes(10_000, 64) > ids_alone
    assert fit(ids_alone / 40_000, 10_000, 64).partitions < 64


# Blocks


def test_partition_sizes() -> None:
    assert partition_sizes(6, 3, 0) == [2, 2, 2]
    assert partition_sizes(5, 2, 0.6) == [3, 2]
    assert partition_sizes(7, 3, 0) == [3, 2, 2]
    assert partition_sizes(2, 64, 0) == [1, 1]
    assert partition_sizes(10, 1, 0.5) == [5, 5]
    assert partition_sizes(1, 4, 1) == [1]


def test_nan_is_refused_and_names_the_row() -> None:
    values = torch.tensor([[1.0], [float("nan")]])
    with pytest.raises(DataError, match="row 41"):
        build_block(torch.tensor([40, 41]), values, 2, 0)


def test_blocks_survive_the_disk(tmp_path) -> None:  # type: ignore[no-untyped-def]
    block = block_of(EXAMPLE_1, 3, ratio=0.3)
    database = Database.open(tmp_path)
    files = database.store.files
    assert files is not None
    save_block(block, str(tmp_path / "indexes"), 0)
    files.seal(tmp_path / "indexes")
    (loaded,) = load_blocks(OpenFiles(files), str(tmp_path / "indexes"), 1)
    group = torch.tensor([2, 0])
    assert torch.equal(loaded.partition_ids(group), block.partition_ids(group))
    places = torch.tensor([3, 1])
    for ours, theirs in zip(block.boxes(group, places), loaded.boxes(group, places), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(IOError, match="000001"):
        load_blocks(OpenFiles(files), str(tmp_path / "indexes"), 2)


def test_options() -> None:
    assert configure({"partitions": 64, "ratio": 0.05}, 10_000, 64) == Configuration(64, 0.05)
    for options in (
        {"budgte": 1},
        {"ratio": 2},
        {"partitions": 0},
        {"partitions": 1.5},
        {"budget": 0},
    ):
        with pytest.raises(BindError):
            checked_options(options)
    with pytest.raises(BindError, match="not both"):
        checked_options({"budget": 0.1, "ratio": 0.1})


# Properties


def matrices(smallest: int = -3) -> st.SearchStrategy[Tensor]:
    """Few distinct values, so that ties, dead neurons and equal rows are common."""
    shapes = st.tuples(st.integers(1, 24), st.integers(1, 4))
    return shapes.flatmap(
        lambda shape: st.lists(
            st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 1.1, 2.0, 3.7, float(smallest)]),
            min_size=shape[0] * shape[1],
            max_size=shape[0] * shape[1],
        ).map(lambda cells: torch.tensor(cells, dtype=torch.float32).reshape(shape))
    )


def blocks(values: Tensor, partitions: int, ratio: float, cut: int) -> list[Block]:
    ids = torch.arange(len(values))
    pieces = [slice(0, cut), slice(cut, len(values))]
    return [
        build_block(ids[piece], values[piece], partitions, ratio)
        for piece in pieces
        if len(ids[piece])
    ]


@settings(max_examples=120, deadline=None)
@given(
    matrices(),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.1, 0.4, 1.0]),
    st.integers(1, 30),
    st.data(),
)
def test_both_searches_equal_running_everything(
    values: Tensor, partitions: int, ratio: float, k: int, data: st.DataObject
) -> None:
    kind = data.draw(
        st.sampled_from(["l1", "l2", "linf", "cosine", *(f"score {s}" for s in SCORES)])
    )
    target = data.draw(st.integers(0, len(values) - 1))
    keep = data.draw(st.booleans())
    cut = data.draw(st.integers(0, len(values)))
    batch = data.draw(st.sampled_from([1, 3, 64]))
    if kind.startswith("score "):
        asked, skip = question(values, None, kind.split()[1]), None
    else:
        asked, skip = question(values, target, kind), None if keep else target
    probe = probe_of(blocks(values, partitions, ratio, cut), asked, batch)
    wanted = brute(asked.measure, values, k, skip)
    assert search_bounds(probe, values, k, skip)[0] == wanted
    if isinstance(probe, WalkingProbe):
        assert search_nta(probe, values, k, skip)[0] == wanted


@settings(max_examples=60, deadline=None)
@given(matrices(), st.integers(1, 9), st.sampled_from([0.0, 0.3]), st.data())
def test_bounds_enclose_the_exact_value(
    values: Tensor, partitions: int, ratio: float, data: st.DataObject
) -> None:
    target = values[data.draw(st.integers(0, len(values) - 1))].double()
    weights = data.draw(st.sampled_from([None, 0.5, 3.0]))
    factors = None if weights is None else torch.full((len(target),), weights).double()
    measures = [make(target, factors) for make in DISTANCES.values()]
    measures += [make() for make in SCORES.values()]
    group = torch.arange(values.shape[1])
    for measure in measures:
        probe = probe_of([block_of(values, partitions, ratio)], Question(group, measure), 64)
        found = probe.bounds(torch.arange(len(values)))
        exact = measure.values(values.T.double())
        assert bool((found.lower <= exact).all() and (exact <= found.upper).all()), measure


def test_rows_no_block_has_are_unbounded() -> None:
    values = torch.tensor(EXAMPLE_1, dtype=torch.float64)
    probe = probe_of([block_of(EXAMPLE_1, 3)], question(values, 5), 64)
    found = probe.bounds(torch.tensor([2, 99, -1]))
    assert found.lower[1:].tolist() == [-np.inf] * 2 and found.upper[1:].tolist() == [np.inf] * 2
    assert found.may_be_null.tolist() == [False, True, True]
    assert probe.covered(torch.tensor([2, 99])).tolist() == [True, False]


def test_measures() -> None:
    target = torch.tensor([1.0, 0.0]).double()
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [-3.0, 0.0]]).double().T
    assert Cosine(target, None).values(rows).tolist() == [0, 1, 1, 2]
    assert Cosine(target * 0, None).values(rows).tolist() == [1, 1, 0, 1]
    assert DISTANCES["l2"](target, None).values(rows).tolist()[3] == 4
    weighted = DISTANCES["l1"](target, torch.tensor([2.0, 0.5]).double())
    assert isinstance(weighted, Lp) and weighted.values(rows).tolist() == [0, 3, 2, 8]
    assert Length(True).values(rows).tolist() == [1, 2, 0, 3]
    assert [SCORES[s]().values(rows).tolist()[3] for s in ("sum", "mean", "min", "max")] == [
        -3,
        -1.5,
        -3,
        0,
    ]
