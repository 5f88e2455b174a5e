"""CHECKPOINT brings indexes up to their tables; answers are the same before and after."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import tensorsql

MASKS = "SELECT id FROM maps WHERE CP(mask, -, (0.5, 1.0)) > 20 ORDER BY id"
NEAREST = """
SELECT * FROM TOPK_HIGHEST(data => inputs, model => m, layer => '1', neurons => [0, 2], k => 5)
"""


def masks(seed: int, count: int) -> np.ndarray:
    """Masks that are mostly dark or mostly bright, so that bounds decide most of them."""
    generator = np.random.default_rng(seed)
    bright = generator.random((count, 1, 1)) < 0.5
    return np.where(bright, 0.9, 0.1).repeat(8, 1).repeat(8, 2).astype(np.float32)


def verified(connection: tensorsql.Connection, sql: str) -> int:
    """Rows that EXPLAIN ANALYZE says were verified."""
    text = connection.execute(f"EXPLAIN ANALYZE {sql}").fetchall()[0][0]
    found = re.search(r"verified\s+(\d+)", text)
    assert found is not None, text
    return int(found.group(1))


def add_masks(connection: tensorsql.Connection, first: int, count: int) -> None:
    """Rows with ids from `first`, from a fresh array."""
    ids = np.arange(first, first + count)
    connection.register_masks(f"fresh{first}", masks(first, count), columns={"id": ids})
    connection.execute(f"INSERT INTO maps SELECT id, mask FROM fresh{first}")


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "folder"])
def test_chi(kept: bool, tmp_path: Path) -> None:
    where = str(tmp_path / "db.tsql") if kept else ":memory:"
    connection = tensorsql.connect(where)
    connection.register_masks("first", masks(7, 50), columns={"id": np.arange(50)})
    connection.execute("CREATE TABLE maps AS SELECT id, mask FROM first")
    connection.execute("CREATE INDEX maps_chi ON maps USING CHI (mask)")
    assert verified(connection, MASKS) == 0
    add_masks(connection, 50, 30)
    connection.execute("DELETE FROM maps WHERE id % 7 = 0")
    before = connection.execute(MASKS).fetchall()
    assert verified(connection, MASKS) > 0
    for _ in range(2):  # the second has nothing to do
        connection.execute("CHECKPOINT")
        assert verified(connection, MASKS) == 0
        assert connection.execute(MASKS).fetchall() == before
    if kept:
        connection.close()
        connection = tensorsql.connect(where)
        assert verified(connection, MASKS) == 0
        assert connection.execute(MASKS).fetchall() == before
    connection.close()


def network() -> torch.nn.Module:
    """A linear layer with whole weights, so that activations are exact."""
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3))
    with torch.no_grad():
        module[1].weight.copy_(torch.arange(18).reshape(3, 6) % 5 - 2)
        module[1].bias.zero_()
    return module


def add_inputs(connection: tensorsql.Connection, first: int, count: int) -> None:
    """Rows with ids from `first` and whole numbers as their tensor."""
    values = np.random.default_rng(first).integers(-9, 9, (count, 2, 3)).astype(np.float32)
    path = Path(f"inputs{first}.npy")
    np.save(path, values)
    connection.execute(f"INSERT INTO inputs SELECT index + {first}, value FROM read_npy('{path}')")


def test_npi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tensorsql.connect("db.tsql") as connection:
        connection.register_model("m", network(), input=[2, 3])
        connection.execute("CREATE TABLE inputs (id INTEGER PRIMARY KEY, value TENSOR(2, 3))")
        add_inputs(connection, 0, 300)
        connection.execute("CREATE INDEX i ON inputs USING NPI (m, '1') WITH (partitions = 16)")
        add_inputs(connection, 300, 200)
        before = connection.execute(NEAREST).fetchall()
        more = verified(connection, NEAREST)
        connection.execute("CHECKPOINT")
        assert connection.execute(NEAREST).fetchall() == before
        assert verified(connection, NEAREST) < more
        connection.execute("DROP MODEL m")
        add_inputs(connection, 500, 10)
        connection.execute("CHECKPOINT")  # an index whose model is gone stays as it is
        assert connection.execute("SELECT count(*) FROM inputs").fetchone() == (510,)


def test_a_model_that_was_registered_before_reopening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with tensorsql.connect("db.tsql") as connection:
        connection.register_model("m", network(), input=[2, 3])
        connection.execute("CREATE TABLE inputs (id INTEGER PRIMARY KEY, value TENSOR(2, 3))")
        add_inputs(connection, 0, 30)
        connection.execute("CREATE INDEX i ON inputs USING NPI (m, '1') WITH (partitions = 4)")
    with tensorsql.connect("db.tsql") as connection:
        add_inputs(connection, 30, 5)
        connection.execute("CHECKPOINT")
        connection.register_model("m", network(), replace=True, input=[2, 3])
        connection.execute("CHECKPOINT")
        assert len(connection.execute(NEAREST).fetchall()) == 5
