"""The plans of TPC-H read as tests/golden says; TENSORSQL_GOLDEN=1 rewrites them.

Join orders follow the statistics of the data at scale 0.1, which the generator makes the same on
every machine.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from engines import Tensorsql

from tensorsql.tpch.statements import query

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("number", range(1, 23))
def test_plan(number: int, tpch: Tensorsql) -> None:
    path = GOLDEN / f"q{number:02}.txt"
    rows = tpch.execute(f"EXPLAIN {query(number)}").rows
    plan = "\n".join(str(row[-1]).rstrip() for row in rows)
    shown = f"# plan of tpch/queries/q{number:02}.sql at scale 0.1\n{plan}\n"
    if os.environ.get("TENSORSQL_GOLDEN") == "1":
        path.write_text(shown, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == shown
