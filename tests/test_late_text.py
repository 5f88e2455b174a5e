"""Text that scans name and do not read gives the same answers: every readable file again, so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from engines import Tensorsql
from sqllogic import read, run
from test_sqllogic import FILES, _name
from torch import Tensor

from tensorsql.storage.columns.changes import with_nulls
from tensorsql.storage.columns.column import Column, RowRef, take
from tensorsql.storage.tables.table import SegmentsReader


@dataclass
class Stored:
    """A stored column as a source of rows."""

    column: Column
    fetched: list[int]

    @property
    def rows(self) -> int:
        return len(self.column)

    def fetch(self, rows: Tensor) -> Column:
        self.fetched.append(len(rows))
        return take(self.column, rows)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Scans give references to text; how many rows were fetched each time."""
    counts: list[int] = []

    def late(self: SegmentsReader, name: str, start: int, stop: int) -> Column:
        column = self.read(name, start, stop)
        if not column.type.is_text:
            return column
        found = RowRef(column.type, Stored(column, counts), torch.arange(len(column)))
        return found if column.validity is None else with_nulls(found, ~column.validity)

    monkeypatch.setattr(SegmentsReader, "late", late, raising=False)
    return counts


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_answers_are_the_same(path: Path, tmp_path: Path, fetched: list[int]) -> None:
    outcome = run(read(path), Tensorsql(threads=1, morsel_size=64), tmp_path)
    assert not outcome.failures, "\n\n".join(["", *outcome.failures])


# What is asked of 5000 rows with a text `s` each, and how many texts are read for it.
FETCHED = {
    "SELECT s FROM t WHERE i % 1000 = 7": 5,
    "SELECT s, i + 1 FROM t WHERE i % 1000 = 7": 5,
    "SELECT s FROM (SELECT s, i * 2 AS j FROM t) WHERE j % 2000 = 14": 5,
    "SELECT s, i FROM t ORDER BY i DESC LIMIT 3": 3,
    "SELECT s, i * 2 AS j FROM t ORDER BY j DESC LIMIT 3": 3,
    "SELECT s, i + 1 FROM t LIMIT 4 OFFSET 2": 4,
    "SELECT s, j FROM (SELECT s, i + 1 AS j FROM t ORDER BY i % 9, i) LIMIT 2": 2,
    "SELECT t.s FROM t JOIN (VALUES (4), (9)) AS v(i) ON t.i = v.i": 2,
    "SELECT t.s, t.i + v.i FROM t JOIN (VALUES (4), (9)) AS v(i) ON t.i = v.i": 2,
    "SELECT t.s FROM (VALUES (4), (9)) AS v(i) LEFT JOIN t ON t.i = v.i + 1": 2,
    "SELECT s FROM t WHERE i IN (SELECT i * 7 FROM t WHERE i < 3)": 3,
    "SELECT s FROM t WHERE NOT EXISTS (SELECT 1 FROM t AS u WHERE u.i = t.i + 2)": 2,
    "SELECT s, i + 1 FROM t WHERE i < 2 UNION ALL SELECT s, i FROM t WHERE i > 4997": 4,
    "SELECT s FROM (SELECT s, row_number() OVER (ORDER BY i DESC) AS n FROM t) WHERE n < 3": 2,
    "SELECT DISTINCT ON (i % 3) s, i + 1 FROM t ORDER BY i % 3, i": 3,
    "SELECT count(*), max(j) FROM (SELECT s, i + 1 AS j FROM t)": 0,
    "WITH w AS MATERIALIZED (SELECT s, i + 1 AS j FROM t) SELECT s FROM w WHERE j = 3": 1,
}


@pytest.mark.parametrize("query", FETCHED)
def test_rows_that_are_left_out_are_not_fetched(query: str, fetched: list[int]) -> None:
    """Neither by a filter, a limit or a join, nor because another column is computed."""
    engine = Tensorsql(threads=1)
    engine.execute("CREATE TABLE t AS SELECT i, 'text ' || i AS s FROM range(5000) AS r(i)")
    fetched.clear()
    engine.execute(query)
    assert sum(fetched) == FETCHED[query]
