"""Run the readable files under tests/sql on tensorsql, and on DuckDB where they say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from engines import Duckdb, Tensorsql
from sqllogic import Engine, Script, read, rewrite, run

ROOT = Path(__file__).parent / "sql"
FILES = sorted(ROOT.glob("**/*.test"))
GOLDEN = os.environ.get("TENSORSQL_GOLDEN") == "1"
MORSEL_SIZES = [1, 7, None, 0]


def _name(value: object) -> str:
    if isinstance(value, Path):
        return str(value.relative_to(ROOT).with_suffix(""))
    return {None: "default", 0: "whole"}.get(value, str(value))  # type: ignore[call-overload]


def _check(script: Script, engine: Engine, directory: Path, golden: bool) -> None:
    outcome = run(script, engine, directory)
    if golden:
        rewrite(script, outcome)
        return
    assert not outcome.failures, "\n\n".join(["", *outcome.failures])


@pytest.mark.parametrize("path", [path for path in FILES if read(path).oracle], ids=_name)
def test_duckdb_agrees(path: Path, tmp_path: Path) -> None:
    """Comes first: rewriting takes the answers from DuckDB where DuckDB is the oracle."""
    _check(read(path), Duckdb(), tmp_path, GOLDEN)


@pytest.mark.parametrize("morsel_size", MORSEL_SIZES, ids=_name)
@pytest.mark.parametrize("path", FILES, ids=_name)
def test_file(path: Path, morsel_size: int | None, tmp_path: Path) -> None:
    """Every file holds at every morsel size."""
    golden = GOLDEN and morsel_size is None
    _check(read(path), Tensorsql(morsel_size), tmp_path, golden)
