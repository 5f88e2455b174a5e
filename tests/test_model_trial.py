"""What a model is: a row's answer is its own, alone or beside others, and no accident."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tensorsql import errors
from tensorsql.operators.models.load import load_model, open_model, register_module
from tensorsql.operators.models.model import Model


class Formula(nn.Module):
    """A module of one expression."""

    def __init__(self, formula: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, x: Tensor) -> Tensor:
        return self.formula(x)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True, dropout=0.1)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.norm(x + self.attention(x, x, x)[0])
        return self.head(mixed.mean(1))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(8, 16, 2, batch_first=True, dropout=0.5)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])  # type: ignore[no-any-return]


class Packed(nn.Module):
    """Fails where a sequence is empty, as one of zeros is."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.GRU(1, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x != 0).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            x[..., None], lengths, batch_first=True, enforce_sorted=False
        )
        return self.recurrent(packed)[1][0]  # type: ignore[no-any-return]


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8, padding_idx=0)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x).mean(1))  # type: ignore[no-any-return]


class Normalised(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.norm = nn.BatchNorm1d(5, **options)
        self.last = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.first(x)))  # type: ignore[no-any-return]


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return x + self.runs


def encoder(**options: Any) -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 32, **options)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(112, 3))


def convolutional(dimensions: int, *parts: nn.Module) -> nn.Module:
    convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimensions](2, 8, 3)
    return nn.Sequential(convolution, *parts, nn.Flatten())


ORDINARY: dict[str, tuple[Callable[[], nn.Module], list[int]]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(4, 300), nn.GELU(), nn.Linear(300, 3)), [4]),
    "batch norm": (Normalised, [4]),
    "conv1d": (lambda: convolutional(1, nn.Tanh()), [2, 9]),
    "conv2d": (
        lambda: convolutional(2, nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        [2, 9, 9],
    ),
    "conv3d": (lambda: convolutional(3, nn.ELU(), nn.AdaptiveAvgPool3d(1)), [2, 5, 5, 5]),
    "group norm": (lambda: convolutional(2, nn.GroupNorm(2, 8), nn.Dropout(0.5)), [2, 7, 7]),
    "instance norm": (lambda: convolutional(2, nn.InstanceNorm2d(8)), [2, 7, 7]),
    "attention": (Attention, [7, 16]),
    "transformer": (lambda: encoder(batch_first=True), [7, 16]),
    "lstm": (Recurrent, [5, 8]),
    "packed sequence": (Packed, [6]),
    "tokens": (Tokens, [9]),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), [4]),
    "softmax": (lambda: Formula(lambda x: functional.softmax(x, 1)), [4]),
    "inverse": (lambda: Formula(lambda x: torch.linalg.inv(x).flatten(1)), [4, 4]),
    "sort": (lambda: Formula(lambda x: x.sort(1)[0]), [4]),
    "in place": (lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), [4]),
    "NaN": (lambda: Formula(lambda x: x.log()), [4]),
}


def answers(module: nn.Module, rows: Tensor) -> Tensor:
    """The module's own outputs, row by row."""
    module = copy.deepcopy(module).eval()
    with torch.no_grad():
        return torch.cat([module(row[None].clone()) for row in rows])


def inputs(model: Model, count: int) -> Tensor:
    assert model.shape is not None
    random = torch.Generator().manual_seed(5)
    if not model.dtype.is_floating_point:
        return torch.randint(50, (count, *model.shape), generator=random)
    return torch.randn((count, *model.shape), generator=random).to(model.dtype)


CASES = [(name, torch.float32) for name in ORDINARY] + [
    (name, dtype)
    for dtype in (torch.float64, torch.float16, torch.bfloat16)
    for name in ("linear", "batch norm", "conv2d", "tokens")
]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_ordinary_networks(name: str, dtype: torch.dtype) -> None:
    """They are taken, agree with the module, and give a row its bits however a batch is filled."""
    torch.manual_seed(1)
    make, shape = ORDINARY[name]
    module = make().to(dtype)
    model = open_model(register_module("m", module, {"input": shape}))
    assert model.dtype == (torch.int64 if name == "tokens" else dtype) and not model.alone
    rows = inputs(model, 70)
    kept = rows.clone()
    found = model.outputs(rows)
    assert found.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    assert torch.equal(rows, kept), "the module wrote to its input"
    limit = torch.finfo(dtype).eps * 400
    wanted = answers(module, rows[:20]).to(found.dtype)
    assert torch.allclose(found[:20], wanted, rtol=limit, atol=limit, equal_nan=True)
    order = torch.randperm(70)
    for chosen in (order, order[:1], order[:5], order[:65], order[:1].expand(64)):
        assert torch.equal(model.outputs(rows[chosen]).nan_to_num(7), found[chosen].nan_to_num(7))


COMPANY = {
    "batch statistics": lambda: Normalised(track_running_stats=False),
    "mean": lambda: Formula(lambda x: x - x.mean(0)),
    "a little of the mean": lambda: Formula(lambda x: x + 0.01 * x.mean(0)),
    "sum of all before": lambda: Formula(lambda x: x.cumsum(0)),
    "neighbour": lambda: Formula(lambda x: x.roll(1, 0)),
    "order": lambda: Formula(lambda x: x.sort(0)[0]),
    "maximum": lambda: Formula(lambda x: x / x.abs().max()),
    "softmax over rows": lambda: Formula(lambda x: functional.softmax(x, 0)),
    "number of rows": lambda: Formula(lambda x: x / len(x)),
    "place": lambda: Formula(lambda x: x + torch.arange(len(x))[:, None]),
    "a rare row": lambda: Formula(lambda x: x * 2 if bool((x.abs() > 5).any()) else x),
    "functional batch norm": lambda: Formula(
        lambda x: functional.batch_norm(x, None, None, training=True)
    ),
}
CHANCE = {
    "dropout": lambda: Formula(lambda x: functional.dropout(x, 0.1)),
    "rare dropout": lambda: Formula(lambda x: functional.dropout(x, 1e-5)),
    "slight noise": lambda: Formula(lambda x: x + 1e-9 * torch.randn_like(x)),
    "numpy": lambda: Formula(lambda x: x + float(np.random.default_rng().random())),
    "earlier runs": Counting,
}


@pytest.mark.parametrize("name", COMPANY)
def test_rows_that_depend_on_each_other_are_refused(name: str) -> None:
    with pytest.raises(errors.UnsupportedError, match=r'model "m": rows .* depend on each other'):
        register_module("m", COMPANY[name](), {"input": [4]})


@pytest.mark.parametrize("name", CHANCE)
def test_rows_that_depend_on_chance_are_refused(name: str) -> None:
    with pytest.raises(errors.UnsupportedError, match=r"random numbers|each time it runs"):
        register_module("m", CHANCE[name](), {"input": [4]})


def test_the_layer_that_mixes_rows_is_named() -> None:
    with pytest.raises(errors.UnsupportedError, match='layer "norm"'):
        register_module("m", Normalised(track_running_stats=False), {})
    sequence_first = encoder()
    with pytest.raises(errors.UnsupportedError, match="depend on each other"):
        register_module("m", sequence_first, {"input": [7, 16]})


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.Dropout(0.5)])
def test_archives_exported_in_training_mode_are_refused(layer: nn.Module, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 4), layer).train()
    program = torch.export.export(
        module,
        (torch.randn(4, 4),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        strict=False,
    )
    path = tmp_path / "training.pt2"
    torch.export.save(program, path)
    with pytest.raises(errors.UnsupportedError, match=r"training\.pt2.*(each other|random)"):
        load_model("m", str(path), {})


def test_rounding_that_depends_on_the_batch_runs_rows_alone() -> None:
    """Refusing would be wrong, and so would another last bit beside other rows."""
    module = Formula(lambda x: x * 3 + 1e-6 * x.mean())
    model = open_model(register_module("m", module, {"input": [4]}))
    assert model.alone and model.batch == 1
    rows = torch.randn(70, 4)
    found = model.outputs(rows)
    assert torch.equal(found, answers(module, rows))
    assert torch.equal(model.outputs(rows[5:6]), found[5:6])


def test_a_layer_without_a_row_per_input_is_none() -> None:
    """As many rows as there are inputs are not yet a row for each."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            turned = self.inner(x.transpose(0, 1)).transpose(0, 1)
            return self.head(turned.mean(1))  # type: ignore[no-any-return]

    entry = register_module("m", Turned(), {"input": [64, 3]})
    assert [path for path, _ in entry.layers] == ["head"]


def test_the_users_random_numbers_are_left_alone() -> None:
    module = nn.Linear(4, 3)
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    register_module("m", module, {})
    with pytest.raises(errors.UnsupportedError):
        register_module("m", CHANCE["dropout"](), {"input": [4]})
    assert torch.equal(torch.rand(3), expected)


def test_code_is_part_of_a_models_identity() -> None:
    """Two modules may agree in every weight and name and yet compute something else."""

    def made(factor: float) -> str:
        module = Formula(lambda x: x * factor)
        return register_module("m", module, {"input": [4]}).weights_hash

    assert made(2) == made(2) != made(3)


def test_a_kept_buffer_is_no_answer() -> None:
    """A module that hands out one buffer again and again changes no earlier answer."""

    class Reusing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.zeros(64, 4))

        def forward(self, x: Tensor) -> Tensor:
            return self.kept.copy_(x)  # type: ignore[no-any-return,operator]

    model = open_model(register_module("m", Reusing(), {"input": [4]}))
    rows = torch.randn(200, 4)
    assert torch.equal(model.outputs(rows), rows)
