"""Run the readable files under tests/sql on tensorsql, and on DuckDB where they say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from engines import Duckdb, Tensorsql
from sqllogic import Engine, Outcome, Script, read, rewrite, run

ROOT = Path(__file__).parent / "sql"
FILES = sorted(ROOT.glob("**/*.test"))
GOLDEN = os.environ.get("TENSORSQL_GOLDEN") == "1"
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


def _check(script: Script, engine: Engine, directory: Path) -> Outcome:
    outcome = run(script, engine, directory)
    if GOLDEN:
        rewrite(script, outcome)
    else:
        assert not outcome.failures, "\n\n".join(["", *outcome.failures])
    return outcome


@pytest.mark.parametrize("path", [path for path in FILES if read(path).oracle], ids=_name)
def test_duckdb_agrees(path: Path, tmp_path: Path) -> None:
    """Comes first: rewriting takes the answers from DuckDB where DuckDB is the oracle."""
    _check(read(path), Duckdb(), tmp_path)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_file(path: Path, tmp_path: Path) -> None:
    """Every file holds, with the same bits at every morsel size and number of threads."""
    answers = []
    for number, settings in enumerate(SETTINGS[:1] if GOLDEN else SETTINGS):
        directory = tmp_path / str(number)
        directory.mkdir()
        outcome = _check(read(path), Tensorsql(**settings), directory)
        answers.append(outcome.answers)
    for settings, other in zip(SETTINGS[1:], answers[1:], strict=False):
        assert other == answers[0], f"not to the bit with {settings}"
