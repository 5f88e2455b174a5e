"""Run the readable files under tests/sql on tensorsql, and on DuckDB where they say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from engines import Duckdb, Tensorsql
from sqllogic import Engine, Outcome, Script, read, rewrite, run

ROOT = Path(__file__).parent / "sql"
FILES = sorted(ROOT.glob("**/*.test"))
# 1 writes answers and plans anew, `plans` plans alone.
GOLDEN = os.environ.get("TENSORSQL_GOLDEN")
# The first is the one whose answers golden rewriting takes; 0 is one morsel of all rows.
SETTINGS: tuple[dict[str, int | str], ...] = (
    {},
    {"threads": 1},
    {"threads": 2, "morsel_size": 1},
    {"threads": 2, "morsel_size": 7},
    {"threads": 1, "morsel_size": 0},
)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix(""))


def _check(script: Script, engine: Engine, directory: Path, plans: bool = True) -> Outcome:
    outcome = run(script, engine, directory, plans)
    if GOLDEN:
        rewrite(script, outcome, plans_only=GOLDEN == "plans")
    else:
        assert not outcome.failures, "\n\n".join(["", *outcome.failures])
    return outcome


@pytest.mark.parametrize("path", [path for path in FILES if read(path).oracle], ids=_name)
def test_duckdb_agrees(path: Path, tmp_path: Path) -> None:
    """Comes first: rewriting takes the answers from DuckDB where DuckDB is the oracle."""
    _check(read(path), Duckdb(), tmp_path)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_file(path: Path, tmp_path: Path) -> None:
    """Every file holds, with the same bits at every morsel size, number of threads and setting."""
    script, first = read(path), {}
    also = list(script.also)
    for number, settings in enumerate(SETTINGS[:1] if GOLDEN else (*SETTINGS, *also)):
        directory = tmp_path / str(number)
        directory.mkdir()
        outcome = _check(script, Tensorsql(**settings), directory, settings not in also)
        first = first or outcome.answers
        assert outcome.answers == first, f"not to the bit with {settings}"
