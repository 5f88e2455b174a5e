"""Random queries over random tables give what DuckDB gives; longer with TENSORSQL_SOAK=1."""

from __future__ import annotations

import os

import pytest
from engines import Duckdb, Tensorsql
from fuzz_sql import FOCUSES, Query, queries
from fuzz_tables import tables
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st
from tally import Tally

from tensorsql.planner.optimizer import REQUIRED, RULES
from tensorsql.tpch.answers import Row, difference

SOAK = 40 if os.environ.get("TENSORSQL_SOAK") == "1" else 1
# Shrinking takes minutes; what hypothesis notes is enough to repeat a failure.
PHASES = (Phase.explicit, Phase.generate)
OPTIONAL_RULES = sorted({rule.__name__ for rule in RULES} - REQUIRED)
SETTINGS = ((1, 2), (7, 2), (7, 1), (1000, 1), (0, 2))  # morsel size and threads
ALL = ",".join(OPTIONAL_RULES)
BOTH = tuple[Tensorsql, Duckdb]


@pytest.fixture(scope="module")
def engines() -> BOTH:
    return Tensorsql(), Duckdb()


def _load(engines: BOTH, statements: list[str]) -> None:
    for statement in statements:
        note(statement)
        for engine in engines:
            engine.execute(statement)


def _expected(engine: Duckdb, query: Query, tally: Tally) -> list[Row] | None:
    """DuckDB's answer, or nothing where it refuses the query."""
    note(query.sql)
    try:
        rows = engine.execute(query.sql).rows
    except engine.error:
        rows = None
    tally.add(query.sql, rows is None)
    return rows


def _check(engines: BOTH, query: Query, expected: list[Row] | None) -> None:
    ours, _ = engines
    if expected is not None:
        rows = ours.execute(query.sql).rows
        assert difference(expected, rows, query.order) == ""


@pytest.mark.parametrize("focus", FOCUSES)
def test_duckdb_agrees(focus: str, engines: BOTH) -> None:
    tally = Tally()

    @settings(max_examples=40 * SOAK, phases=PHASES)
    @given(tables(), st.lists(queries(focus), min_size=1, max_size=3))
    def check(statements: list[str], several: list[Query]) -> None:
        _load(engines, statements)
        for query in several:
            _check(engines, query, _expected(engines[1], query, tally))

    check()
    tally.check()


def _without(rule: str) -> tuple[str, str]:
    """Settings that leave the rule out, and that leave everything else out."""
    return rule, ",".join(other for other in OPTIONAL_RULES if other != rule)


@pytest.mark.parametrize(
    "disabled",
    [*map(_without, OPTIONAL_RULES), (ALL,)],
    ids=[*OPTIONAL_RULES, "all"],
)
def test_no_rule_changes_an_answer(disabled: tuple[str, ...], engines: BOTH) -> None:
    """Each rule alone off, then alone on; and all of them off."""
    tally = Tally()

    @settings(max_examples=6 * SOAK, phases=PHASES)
    @given(tables(), st.tuples(*(queries(focus) for focus in FOCUSES)))
    def check(statements: list[str], several: tuple[Query, ...]) -> None:
        _load(engines, statements)
        for query in several:
            expected = _expected(engines[1], query, tally)
            for rules in disabled:
                engines[0].execute(f"SET disabled_rules = '{rules}'")
                _check(engines, query, expected)

    try:
        check()
    finally:
        engines[0].execute("RESET disabled_rules")
    tally.check()


def test_morsel_sizes_and_threads_agree_to_the_bit(engines: BOTH) -> None:
    tally = Tally()

    @settings(max_examples=15 * SOAK, phases=PHASES)
    @given(tables(), st.tuples(*(queries(focus) for focus in FOCUSES)))
    def check(statements: list[str], several: tuple[Query, ...]) -> None:
        _load(engines, statements)
        for query in several:
            if _expected(engines[1], query, tally) is not None:
                answers = {_shown(engines[0], query, *settings) for settings in SETTINGS}
                assert len(answers) == 1

    check()
    tally.check()


def _shown(engine: Tensorsql, query: Query, morsel_size: int, threads: int) -> tuple[str, ...]:
    engine.execute(f"SET morsel_size = {morsel_size}; SET threads = {threads}")
    try:
        rows = [repr(row) for row in engine.execute(query.sql).rows]
    finally:
        engine.execute("RESET morsel_size; RESET threads")
    return tuple(rows if query.ordered else sorted(rows))
