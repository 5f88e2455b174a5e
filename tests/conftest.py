"""What tests share: hypothesis profiles, and TPC-H data made once per run."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from engines import Duckdb, Tensorsql
from hypothesis import HealthCheck, settings

from tensorsql.tpch.generate import tables
from tensorsql.tpch.load import load

# A shell that starts the tests in the background has the interrupts ignored that they send.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Shared machines stall: a deadline or a slow-generation check would fail at random.
settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile(
    "soak", deadline=None, max_examples=2000, suppress_health_check=list(HealthCheck)
)
settings.load_profile("soak" if os.environ.get("TENSORSQL_SOAK") == "1" else "ci")


@pytest.fixture(scope="session")
def tpch_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The Parquet files of TPC-H at scale 0.1; TENSORSQL_TPCH names a directory to keep them in."""
    kept = os.environ.get("TENSORSQL_TPCH")
    return tables(0.1, Path(kept) if kept else tmp_path_factory.mktemp("tpch"))


@pytest.fixture(scope="session")
def tpch(tpch_files: dict[str, Path]) -> Tensorsql:
    """tensorsql with the tables of TPC-H loaded."""
    engine = Tensorsql()
    load(engine.connection, tpch_files)
    return engine


@pytest.fixture(scope="session")
def tpch_oracle(tpch_files: dict[str, Path]) -> Iterator[Duckdb]:
    """DuckDB with the tables of TPC-H loaded."""
    engine = Duckdb()
    load(engine.connection, tpch_files)
    yield engine
    engine.connection.close()


_FOR_NEWER_TORCH = re.compile(r"fashion\.pt2.* which PyTorch \S+ cannot read")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The example's archive is of the layout of PyTorch 2.8: with an older one its tests skip."""
    report = yield
    error = call.excinfo
    if report.failed and error is not None and _FOR_NEWER_TORCH.search(str(error.value)):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {error.value}")
    return report
