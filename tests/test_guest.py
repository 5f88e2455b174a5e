"""tensorsql is a guest in the user's process: it leaves torch's settings as they were."""

from __future__ import annotations

import contextlib
import signal
import threading
import warnings

import numpy as np
import pytest
import torch

import tensorsql

QUERIES = (
    "SELECT 1",
    "SELECT sum(i * 2), count(DISTINCT i % 7) FROM numbers",
    "SELECT i % 5 AS k, avg(i) FROM numbers GROUP BY k ORDER BY k",
    "SELECT count(*) FROM numbers a JOIN numbers b ON a.i = b.i + 1 WHERE a.i > 10",
    "SELECT * FROM numbers ORDER BY i DESC LIMIT 3",
    "CREATE OR REPLACE TABLE t AS SELECT i FROM numbers",
    "SELECT nope FROM numbers",
    "SELECT CAST('x' AS INTEGER) FROM numbers",
)


def state() -> tuple[object, ...]:
    """What a user may have set and we might disturb."""
    return (
        torch.get_num_threads(),
        torch.get_num_interop_threads(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.initial_seed(),
        torch.get_rng_state().sum().item(),
        signal.getsignal(signal.SIGINT),
        np.geterr()["divide"],
        tuple(warnings.filters),
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("gradients", [True, False])
def test_settings_of_torch_are_kept(threads: int, gradients: bool) -> None:
    before_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with torch.set_grad_enabled(gradients), tensorsql.connect() as connection:
            connection.register("numbers", {"i": np.arange(3000)})
            before = state()
            for query in QUERIES:
                with contextlib.suppress(tensorsql.Error):
                    connection.execute(query).fetchall()
                assert state() == before, query
    finally:
        torch.set_num_threads(before_threads)


def test_gradients_flow_after_queries() -> None:
    weights = torch.ones(3, requires_grad=True)
    with tensorsql.connect() as connection:
        connection.execute("SELECT sum(a) FROM (VALUES (1), (2)) t(a)").fetchall()
        loss = (weights * 2).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert weights.grad is not None and weights.grad.tolist() == [2, 2, 2]


def test_tensors_given_are_not_written() -> None:
    values = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    before = values.clone()
    with tensorsql.connect() as connection:
        connection.register("given", {"id": torch.arange(3), "x": values[:, 0], "image": values})
        connection.execute("SELECT id, x * 2, image FROM given WHERE x > 1 ORDER BY x").fetchall()
    assert torch.equal(values, before)


def test_no_threads_are_left_behind() -> None:
    before = threading.active_count()
    with tensorsql.connect(config={"threads": 3, "morsel_size": 10}) as connection:
        connection.register("numbers", {"i": np.arange(1000)})
        connection.execute("SELECT sum(i) FROM numbers").fetchall()
    assert threading.active_count() <= before
