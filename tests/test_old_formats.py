"""Databases of older versions: what was in them is there, what followed other rules is unused.

`databases/format_1.zip` was written by the last version of that format: tables with keys, NULL, NaN
and deleted rows, masks of REAL with a CHI whose edges lie one step beside today's, a model that was
never probed with an NPI, and one that a probe would have refused.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from zipfile import ZipFile

import pytest

import tensorsql
from tensorsql import errors

EDGE = 36.42856979370117 / 255  # the REAL that every mask has in its first row of pixels
HIGHEST = (
    "SELECT input_id, rank FROM TOPK_HIGHEST(data => points, model => tiny, layer => '1',"
    " neurons => [1, 3], k => 3, id => rowid)"
)
NOTHING = "SELECT id FROM maps WHERE CP(mask, -, (0.9, 1.0)) > 63"  # decided by bounds alone
QUERIES = {
    "SELECT count(*), count(name), count(height), max(price) FROM people": 1,
    "SELECT name FROM people WHERE id = 35": 1,
    "SELECT count(*) FROM people WHERE height = 'nan'": 1,
    "SELECT count(*) FROM tall": 1,
    "SELECT id, CP(mask, -, (0.5, 1.0)) FROM maps": 12,
    f"SELECT id FROM maps WHERE CP(mask, ((1, 1), (8, 1)), (0, {EDGE})) >= 8": 12,
    "SELECT id FROM maps WHERE CP(mask, ((1, 1), (8, 1)), (1 / 7, 1)) > 0": 0,
    "SELECT count(PREDICT(tiny, point)) FROM points": 1,
    HIGHEST: 3,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with ZipFile(Path(__file__).parent / "databases" / "format_1.zip") as archive:
        archive.extractall(tmp_path / "db")
    return tmp_path / "db"


def ask(connection: tensorsql.Connection) -> None:
    """The same with bounds and without, and as the older version answered."""
    for sql, rows in QUERIES.items():
        found = {}
        for setting in ("false", "true"):
            connection.execute(f"SET use_indexes = {setting}")
            found[setting] = connection.execute(sql).fetchall()
        assert found["true"] == found["false"] and len(found["true"]) == rows, sql
    assert connection.execute(HIGHEST).fetchall() == [(7, 1), (4, 2), (30, 3)]
    people = connection.execute(next(iter(QUERIES))).fetchone()
    assert people is not None and [*map(str, people)] == ["91", "90", "90", "24.75"]


@pytest.mark.parametrize("read_only", [True, False])
def test_an_old_database_is_read(folder: Path, read_only: bool) -> None:
    for _ in range(2):
        with tensorsql.connect(folder, read_only=read_only) as connection:
            ask(connection)
    with sqlite3.connect(folder / "catalog.sqlite") as catalog:
        (found,) = catalog.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    assert found == ("1" if read_only else "2")


def test_an_old_database_goes_on(folder: Path) -> None:
    """Keys hold, CHECKPOINT makes the indexes anew, and from then on all files are checked."""
    with tensorsql.connect(folder) as connection:
        assert "rejected 0" in plan(connection, NOTHING)
        for values in ("(35, 'new')", "(2000, 'n7')"):
            with pytest.raises(errors.IntegrityError):
                connection.execute(f"INSERT INTO people (id, name) VALUES {values}")
        connection.execute("UPDATE people SET height = 1 WHERE id = 35")
        connection.execute("CHECKPOINT")
        ask(connection)
        findings = connection.execute("PRAGMA integrity_check").fetchall()
        assert {row[-1] for row in findings} == {"ok"}
        assert "using points_npi" in plan(connection, HIGHEST)
        assert "rejected 12" in plan(connection, NOTHING)


def plan(connection: tensorsql.Connection, sql: str) -> str:
    return "".join(row[0] for row in connection.execute(f"EXPLAIN ANALYZE {sql}"))


def test_an_old_model_is_probed_when_it_is_used(folder: Path) -> None:
    refused = pytest.raises(errors.UnsupportedError, match=r'model "centred": .* depend')
    with tensorsql.connect(folder) as connection, refused:
        connection.execute("SELECT PREDICT(centred, point) FROM points").fetchall()
