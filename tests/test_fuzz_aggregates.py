"""Every aggregate and window function gives what DuckDB gives, at the edges of every type.

In groups, filtered, DISTINCT, ordered and over frames; longer with TENSORSQL_SOAK=1.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence

import pytest
from aggregate_differences import intended
from function_differences import Failure
from fuzz_aggregates import SOURCES, Call, aggregates, calls, names_of, windows
from test_fuzz_functions import Engines

SOAK = os.environ.get("TENSORSQL_SOAK") == "1"
ROWS, MIXED, SHAPES, FRAMES = (14, 4, 1000, 12) if SOAK else (9, 1, 1, 3)
SEEDS = range(3) if SOAK else (1,)
LONG = 70  # rows, so that frames are long enough for trees and ranks
SHOWN = 3


@pytest.fixture(scope="module")
def engines() -> Engines:
    return Engines()


@pytest.mark.parametrize("name", names_of("aggregate"))
def test_aggregate(name: str, engines: Engines) -> None:
    found = []
    for call in _calls(name, engines, ROWS):
        for source in SOURCES if SOAK else random.Random(name).sample(SOURCES, 3):
            if call.types or "a0" not in source:
                found += _differences(call, aggregates(call), source, engines)
    _report(found)


@pytest.mark.parametrize("name", names_of("window") + names_of("aggregate"))
def test_window(name: str, engines: Engines) -> None:
    found = []
    for call in (each for rows in (ROWS, LONG) for each in _calls(name, engines, rows)):
        asked = windows(call, random.Random(str(call)), FRAMES)
        found += _differences(call, asked, "FROM t ORDER BY i", engines)
    _report(found)


def _report(found: Sequence[str]) -> None:
    if found:
        pytest.fail(f"{len(found)} differences:\n" + "\n".join(found[:SHOWN]), pytrace=False)


def _calls(name: str, engines: Engines, rows: int) -> Iterator[Call]:
    for seed in SEEDS:
        draw = random.Random(f"{name} {rows} {seed}")
        several = list(calls(name, draw, rows, MIXED))
        for call in draw.sample(several, min(SHAPES, len(several))):
            if engines.create(call.table()):
                yield call


def _differences(call: Call, asked: Sequence[str], source: str, engines: Engines) -> Iterator[str]:
    """Together, and apart where something differs."""
    together = f"SELECT {', '.join(map(_item, asked))} {source}"
    ours, theirs = engines.of_ours(together), engines.of_theirs(together)
    engines.tally.add(together, isinstance(theirs, Failure))
    answered = not isinstance(ours, Failure) and not isinstance(theirs, Failure)
    if answered and (ours == theirs or intended(call.name, ours, theirs) is not None):
        return
    for each in asked:
        query = f"SELECT {_item(each)} {source}"
        ours, theirs = engines.of_ours(query), engines.of_theirs(query)
        failed = isinstance(ours, Failure) and isinstance(theirs, Failure)
        if ours != theirs and not failed and intended(call.name, ours, theirs) is None:
            yield f"{query}\n  of {call.table()}\n  {ours}\n  is not {theirs}"


def _item(call: str) -> str:
    return f"({call})::VARCHAR, typeof({call})"


def test_duckdb_answers_most(engines: Engines) -> None:
    """Comes last: calls that both refuse are compared in nothing else."""
    engines.tally.check()
