"""Every function gives what DuckDB gives, at the edges of every type and in every place.

Constants, columns and long columns; longer with TENSORSQL_SOAK=1.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence

import duckdb
import pytest
from function_differences import Answer, Failure, Outcome, intended
from fuzz_functions import ROLES, Case, cases, scalar_names
from tally import Tally

import tensorsql
from tensorsql.errors import Error, InternalError

SOAK = os.environ.get("TENSORSQL_SOAK") == "1"
ROWS, MIXED, SHAPES = (12, 4, 1000) if SOAK else (5, 1, 1)
SEEDS = range(20) if SOAK else (1,)
LONG = 3000


class Engines:
    """The same statements in both."""

    def __init__(self) -> None:
        self.ours = tensorsql.connect()
        self.theirs = duckdb.connect(config={"threads": 1})
        self.tally = Tally()

    def of_theirs(self, query: str) -> Outcome:
        try:
            return _pairs(self.theirs.execute(query).fetchall())
        except duckdb.Error as error:
            return Failure(type(error).__name__, str(error))

    def of_ours(self, query: str) -> Outcome:
        try:
            return _pairs(self.ours.execute(query).fetchall())
        except InternalError as error:
            raise AssertionError(f"{query}: {error}") from error
        except Error as error:
            return Failure(type(error).__name__, str(error))

    def create(self, select: str) -> bool:
        """A table t in both; False where one refuses it."""
        try:
            for each in (self.ours, self.theirs):
                each.execute(f"CREATE OR REPLACE TABLE t AS {select}")
        except (Error, duckdb.Error):
            return False
        return True


def _pairs(rows: Sequence[tuple[str | None, ...]]) -> Answer:
    return tuple((row[n], str(row[n + 1])) for row in rows for n in range(0, len(row), 2))


@pytest.fixture(scope="module")
def engines() -> Engines:
    return Engines()


@pytest.mark.parametrize("name", scalar_names())
def test_function(name: str, engines: Engines) -> None:
    found = []
    for seed in SEEDS:
        draw = random.Random(f"{name} {seed}")
        several = list(cases(name, draw, ROWS, MIXED))
        for case in draw.sample(several, min(SHAPES, len(several))):
            found += _differences(case, engines)
    assert not found, f"{len(found)} differences:\n" + "\n".join(found)


def _differences(case: Case, engines: Engines) -> Iterator[str]:
    """Row by row as constants; then together, and repeated, as columns."""
    asked = [f"SELECT {_item(case.sql(row))}" for row in case.rows]
    theirs = [engines.of_theirs(query) for query in asked]
    plain = [n for n, each in enumerate(theirs) if not isinstance(each, Failure)]
    engines.tally.add(asked[0], not plain)
    together = ", ".join(asked[n].removeprefix("SELECT ") for n in plain)
    whole = engines.of_ours(f"SELECT {together}") if plain else ()
    expected = tuple(pair for n in plain for pair in theirs[n])
    apart = range(len(asked)) if whole != expected else set(range(len(asked))) - set(plain)
    for n in apart:
        yield from _difference(case.name, asked[n], engines.of_ours(asked[n]), theirs[n])
    yield from _in_columns(case, plain, engines)


def _item(call: str) -> str:
    return f"({call})::VARCHAR, typeof({call})"


def _difference(name: str, query: str, ours: Outcome, theirs: Outcome) -> Iterator[str]:
    failed = isinstance(ours, Failure) and isinstance(theirs, Failure)
    if ours != theirs and not failed and intended(name, ours, theirs) is None:
        yield f"{query}\n  {ours}\n  is not {theirs}"


def _in_columns(case: Case, plain: Sequence[int], engines: Engines) -> Iterator[str]:
    """Rows that DuckDB answers, as a column: short, and long, where a row's place changes."""
    places = [n for n in range(len(case.types)) if not case.constant(n)]
    constants = {tuple(row[n] for n in range(len(row)) if n not in places) for row in case.rows}
    if not places or not plain:
        return
    for chosen in sorted(constants):
        rows = [case.rows[n] for n in plain]
        rows = [
            row
            for row in rows
            if tuple(row[n] for n in range(len(row)) if n not in places) == chosen
        ]
        if not rows or not engines.create(_table(case, rows, places)):
            continue
        given = iter(chosen)
        call = case.sql([f"c{n}" if n in places else next(given) for n in range(len(case.types))])
        query = f"SELECT {_item(call)} FROM t ORDER BY i"
        ours = engines.of_ours(query)
        title = f"{query} of {rows}"
        yield from _difference(case.name, title, ours, engines.of_theirs(query))
        if not isinstance(ours, Failure):
            yield from _repeated(call, ours, engines, title)


def _table(case: Case, rows: Sequence[Sequence[str]], places: Sequence[int]) -> str:
    values = ", ".join(f"({n}, {', '.join(row[p] for p in places)})" for n, row in enumerate(rows))
    names = ", ".join(f"c{n}" for n in places)
    typed = ", ".join(
        f"c{n}" if (case.name, n) in ROLES else f"c{n}::{case.types[n]} AS c{n}" for n in places
    )
    return f"SELECT i, {typed} FROM (VALUES {values}) v(i, {names})"


def _repeated(call: str, once: Answer, engines: Engines, title: str) -> Iterator[str]:
    """A row's value does not depend on where it stands."""
    times = LONG // len(once)
    query = (
        f"SELECT DISTINCT i, {_item(call)} FROM t, range({times}) r(k) WHERE k >= 0 ORDER BY ALL"
    )
    rows = engines.ours.execute(query).fetchall()
    if tuple((row[1], row[2]) for row in rows) != once:
        yield f"{title}: {rows} in {times} copies is not {once}"


def test_duckdb_answers_most(engines: Engines) -> None:
    """Comes last: calls that both refuse are compared in nothing else."""
    engines.tally.check()
