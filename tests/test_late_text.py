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


def test_rows_that_are_left_out_are_not_fetched(fetched: list[int]) -> None:
    """Neither by a filter, nor by a limit, nor by a join."""
    engine = Tensorsql(threads=1)
    engine.execute("CREATE TABLE t AS SELECT i, 'text ' || i AS s FROM range(5000) AS r(i)")
    fetched.clear()
    for query, rows in [
        ("SELECT s FROM t WHERE i % 1000 = 7", 5),
        ("SELECT s, i FROM t ORDER BY i DESC LIMIT 3", 3),
        ("SELECT t.s FROM t JOIN (VALUES (4), (9)) AS v(i) ON t.i = v.i", 2),
    ]:
        assert len(engine.execute(query).rows) == rows
        assert sum(fetched) == rows, query
        fetched.clear()
