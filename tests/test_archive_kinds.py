"""What `torch.export` archives take and models give: their module's answers, or a true error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

import tensorsql
from tensorsql import errors


def linear() -> nn.Linear:
    torch.manual_seed(4)
    return nn.Linear(8, 3).eval()


def saved(folder: Path, module: nn.Module, given: tuple[Any, ...], **options: Any) -> Path:
    path = folder / "m.pt2"
    torch.export.save(torch.export.export(module, given, strict=False, **options), path)
    return path


def create(connection: tensorsql.Connection, path: Path) -> None:
    """Trust is for a torch that writes the older layout, which is a pickle."""
    try:
        connection.execute(f"CREATE MODEL m FROM '{path}' WITH (output = 'raw')")
    except errors.UnsupportedError as error:
        if "older layout" not in str(error):
            raise
        connection.execute(f"CREATE MODEL m FROM '{path}' WITH (output = 'raw', trust = true)")


BATCHES: dict[str, tuple[int, Any]] = {
    "of one": (1, None),
    "of seven": (7, None),
    "of a hundred": (100, None),
    "of any size": (2, Dim("b", min=1)),
    "of at most ten": (2, Dim("b", min=1, max=10)),
    "of at least a hundred": (128, Dim("b", min=100, max=1000)),
    "of eights": (16, 8 * Dim("b", min=1)),
    "of sevens": (14, 7 * Dim("b", min=1)),
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("count", [1, 150])
def test_batches_an_archive_takes(tmp_path: Path, name: str, count: int) -> None:
    size, dim = BATCHES[name]
    shapes = None if dim is None else ({0: dim},)
    path = saved(tmp_path, linear(), (torch.rand(size, 8),), dynamic_shapes=shapes)
    rows = torch.rand(count, 8)
    with tensorsql.connect() as connection:
        create(connection, path)
        connection.register("f", {"id": np.arange(count), "x": rows.numpy()})
        found = connection.execute("SELECT PREDICT(m, x) FROM f ORDER BY id").fetchall()
    with torch.no_grad():
        assert torch.allclose(torch.tensor([row[0] for row in found]), linear()(rows), atol=1e-5)


class Calling(nn.Module):
    """Called in another way than with one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.last = linear()

    def forward(self, x: Any = None, y: Any = None) -> Any:
        first = x[0] if isinstance(x, list) else x
        answer = self.last(first)
        return answer if y is None else answer * y


WAYS: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "keyword": ((), {"x": torch.rand(3, 8)}, "by keyword or inside another object"),
    "list": (([torch.rand(3, 8)],), {}, "by keyword or inside another object"),
    "two": ((torch.rand(3, 8), torch.rand(1)), {}, "takes 2 inputs"),
    "number": ((torch.rand(3, 8), 2.0), {}, "takes 2 inputs"),
    "no rows": ((torch.rand(8),), {}, r"takes \[8\], which has no axis of its own for rows"),
}


@pytest.mark.parametrize("way", WAYS)
def test_archives_called_otherwise_are_refused(
    tmp_path: Path, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    given, named, message = WAYS[way]
    path = saved(tmp_path, Calling(), given, kwargs=named)
    capfd.readouterr()
    with (
        tensorsql.connect() as connection,
        pytest.raises(errors.UnsupportedError, match=message),
    ):
        create(connection, path)
    assert capfd.readouterr() == ("", "")


def test_a_length_left_open_is_asked_for(tmp_path: Path) -> None:
    shapes = ({0: Dim("b", min=1), 1: Dim("n", min=2, max=20)},)
    model = nn.Sequential(nn.Embedding(50, 6), nn.Flatten(2))
    path = saved(tmp_path, model, (torch.ones(2, 9, dtype=torch.int64),), dynamic_shapes=shapes)
    with tensorsql.connect() as connection, pytest.raises(errors.BindError, match="state one row"):
        create(connection, path)


class Giving(nn.Module):
    def __init__(self, what: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.first = linear()
        self.what = what

    def forward(self, x: Tensor) -> Any:
        return self.what(self.first(x))


@pytest.mark.parametrize("output", ["raw", "class"])
def test_an_output_without_values_is_refused(output: str) -> None:
    with (
        tensorsql.connect() as connection,
        pytest.raises(errors.UnsupportedError, match=r"gives \[0\] a row, which holds no value"),
    ):
        module = Giving(lambda y: y[:, :0])
        connection.register_model("m", module, input=[8], output=output)


class Sparse(nn.Module):
    """A layer whose output is sparse, before the last and as the last."""

    def __init__(self, dense: bool) -> None:
        super().__init__()
        self.between = Giving(lambda y: y.to_sparse())
        self.dense = dense

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.between(x)
        return found.to_dense() if self.dense else found


@pytest.mark.parametrize("dense", [True, False])
def test_sparse_values_are_values(dense: bool) -> None:
    rows = torch.rand(70, 8)
    with tensorsql.connect() as connection, torch.no_grad():
        wanted = linear()(rows)
        connection.register_model("m", Sparse(dense), input=[8], output="raw")
        connection.register("f", {"id": np.arange(70), "x": rows.numpy()})
        found = connection.execute("SELECT PREDICT(m, x) FROM f ORDER BY id").fetchall()
        assert torch.allclose(torch.tensor([row[0] for row in found]), wanted, atol=1e-5)
        layer = connection.execute(
            "SELECT activation FROM ACTIVATIONS(data => f, model => m, layer => 'between',"
            " id => id) ORDER BY input_id, neuron_id"
        ).fetchall()
        assert torch.allclose(torch.tensor(layer).reshape(70, 3), wanted, atol=1e-5)
