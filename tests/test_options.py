"""WITH options: each is kept as given or refused by name, type and range before any work begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tensorsql
from tensorsql import errors
from tensorsql.storage.models.inference import Inference


@pytest.fixture
def con(tmp_path: Path) -> Iterator[tensorsql.Connection]:
    """A database in a folder: what cannot be kept in a file shows here alone."""
    torch.manual_seed(1)
    with tensorsql.connect(str(tmp_path / "d.tsql")) as connection:
        values = np.random.default_rng(1).random((300, 4), dtype=np.float32)
        connection.register("f", {"id": np.arange(300), "v": values})
        connection.register_masks("maps", np.ones((3, 8, 8), np.float32), {"id": np.arange(3)})
        connection.execute("CREATE TABLE t AS SELECT * FROM f")
        connection.execute("CREATE TABLE m AS SELECT id, mask FROM maps")
        module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        connection.register_model("net", module)
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(module.eval(), (torch.zeros(4, 4),), dynamic_shapes=shapes)
        torch.export.save(program, tmp_path / "net.pt2")
        yield connection


NPI = "CREATE INDEX i ON t USING NPI (net, '1') WITH ({})"
CHI = "CREATE INDEX i ON m USING CHI (mask) WITH ({})"
MODEL = "CREATE MODEL file FROM '{path}' WITH ({})"
GOOD = {
    NPI: [
        "budget = 0.2",
        "budget = 1",
        "budget = 1e-3",
        "partitions = 8, ratio = 0.25",
        "ratio = 0",
    ],
    CHI: ["cell = 4", "bins = 7, cell = 0"],
    MODEL: [
        "scale = 255",
        "scale = 127.5",
        "input = [4]",
        "output = 'raw'",
        "labels = ['a', 'b', 'c']",
    ],
}
BAD = {
    NPI: [
        *("budget = 0", "budget = 1000000", "budget = -0.5", "budget = 'NaN'::DOUBLE"),
        *("budget = '0.2'", "budget = true", "budget = NULL", "budget = [0.2]", "budgte = 0.2"),
        *("partitions = 0", "partitions = 2.5", "partitions = 40000", "partitions = true"),
        *("ratio = 1.5", "ratio = -1", "image = 7", "image = nothing", "blocks = 3"),
        *("budget = 0.2, ratio = 0.1", "weights_hash = 'x'"),
    ],
    CHI: ["cell = -1", "cell = 2.5", "bins = 0", "bins = true", "bins = 'many'", "blocks = 3"],
    MODEL: [
        *("scale = 0", "scale = true", "scale = '255'", "scale = NULL", "scale = 1e400"),
        *("input = 4", "input = [4.5]", "input = []", "input = [0]", "input = '4'"),
        *("output = 'both'", "output = 1", "labels = 'a'", "labels = ['a', 'a', 'b']"),
        *("probabilities = 'x'", "features = [1]", "trust = 1", "trust = 'yes'", "sclae = 255"),
    ],
}


def statement(form: str, options: str, folder: Path) -> str:
    return form.format(options, path=folder / "net.pt2")


def cases(options: dict[str, list[str]]) -> list[Any]:
    return [(form, each) for form, listed in options.items() for each in listed]


@pytest.mark.parametrize(("form", "options"), cases(GOOD))
def test_options_that_are_kept(
    con: tensorsql.Connection, tmp_path: Path, form: str, options: str
) -> None:
    con.execute(statement(form, options, tmp_path))
    con.close()
    with tensorsql.connect(str(tmp_path / "d.tsql")) as again:
        assert again.execute("SHOW INDEXES").fetchall() or "file" in str(
            again.execute("SHOW MODELS").fetchall()
        )
    con._session = tensorsql.connect().session


@pytest.mark.parametrize("form", BAD)
def test_options_refused_before_work(
    con: tensorsql.Connection, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        pytest.fail("work began")

    monkeypatch.setattr(Inference, "run", never)
    for options in BAD[form]:
        with pytest.raises(errors.ProgrammingError, match=r"option|TENSOR|budget"):
            con.execute(statement(form, options, tmp_path))
        assert con.execute("SHOW INDEXES").fetchall() == []
        assert "file" not in str(con.execute("SHOW MODELS").fetchall())
