"""Arrays belong to who made them: writing to one does not write to what was read from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tensorsql
from tensorsql import Connection

ARRAYS = {
    "whole": np.arange(2000) + 2**40,
    "double": np.arange(2000) / 2,
    "real": np.arange(2000, dtype=np.float32),
    "time": np.arange(2000).astype("datetime64[us]"),
    "tensor": np.arange(4000, dtype=np.float32).reshape(2000, 2),
}
OUTSIDE = {"i": 2**62, "f": np.nan, "M": np.datetime64("2020-01-01")}
MADE = [(name, make) for name in ARRAYS for make in (np.array, torch.tensor)]
MADE.remove(("time", torch.tensor))


@pytest.fixture
def connection() -> Iterator[Connection]:
    with tensorsql.connect() as connection:
        yield connection


@pytest.mark.parametrize(("name", "make"), MADE)
@pytest.mark.parametrize("insert", [False, True], ids=["create", "insert"])
def test_tables_keep_what_came_in(
    connection: Connection, name: str, make: Any, insert: bool
) -> None:
    """Who goes on writing to an array does not write to the tables that took its values."""
    values = make(ARRAYS[name])
    connection.register("o", {"value": values})
    connection.execute("CREATE TABLE kept AS SELECT * FROM o")
    if insert:
        connection.execute("DELETE FROM kept; INSERT INTO kept SELECT value FROM o")
    values[:] = 0
    found = [row[0] for row in connection.execute("SELECT value FROM kept").fetchall()]
    assert np.array_equal(np.array(found), ARRAYS[name])


FEWER = "SELECT o.value, count(*) FROM o JOIN many ON o.value = many.value GROUP BY o.value"


@pytest.mark.parametrize("name", ["whole", "double", "real", "time"])
def test_scalars_of_objects_are_what_statistics_say(connection: Connection, name: str) -> None:
    """Plans rest on statistics: values that change after these were taken are not read."""
    values = ARRAYS[name].copy()
    connection.register("o", {"value": values})
    connection.execute("CREATE TABLE many AS SELECT value FROM o, range(20) r(i)")
    before = sorted(connection.execute(FEWER).fetchall())
    values[:1000] = values[0]
    values[1000] = OUTSIDE[values.dtype.kind]
    assert sorted(connection.execute(FEWER).fetchall()) == before
    assert connection.execute("SELECT max(value) FROM o").fetchall() == [(before[-1][0],)]
    connection.register("o", {"value": values})
    assert len(connection.execute(FEWER).fetchall()) == 1000


@pytest.mark.parametrize("name", ["whole", "double", "real", "tensor"])
def test_tables_keep_what_files_had(connection: Connection, name: str, tmp_path: Path) -> None:
    """Files that are mapped into memory and written in place."""
    path = tmp_path / "values.npy"
    np.save(path, ARRAYS[name])
    connection.execute(f"CREATE TABLE kept AS SELECT * FROM read_npy('{path}')")
    np.load(path, mmap_mode="r+")[:] = 0
    found = [row[-1] for row in connection.execute("SELECT * FROM kept").fetchall()]
    assert np.array_equal(np.array(found), ARRAYS[name])
