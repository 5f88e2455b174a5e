"""Modules that are more than layers in a row: their own answers, or an error that is true."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_model
from torch import Tensor, nn

import tensorsql
from tensorsql import Connection, errors


def rows_of(*shape: int) -> Tensor:
    return torch.rand(5, *shape, generator=torch.Generator().manual_seed(3))


def sequential() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


class Recurrent(nn.Module):
    """Its layer `rnn` gives a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 6, batch_first=True)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.rnn(x)
        answer: Tensor = self.last(output[:, -1])
        return answer


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.attention(x, x, x)
        answer: Tensor = self.last(output.mean(1))
        return answer


class Keeping(nn.Module):
    """Keeps what it gave, with its history."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 3)
        self.given: dict[str, Any] = {"all": []}

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.last(x)
        self.given["all"].append((answer,))
        return answer


class Holding(nn.Module):
    """A part of it is a TorchScript program."""

    def __init__(self) -> None:
        super().__init__()
        self.part = torch.jit.script(nn.Linear(4, 5))
        self.last = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.last(self.part(x))
        return answer


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.last = nn.Linear(4, 4, bias=False)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.last(self.first(x))
        return answer


def make_tied() -> nn.Module:
    return Tied()


def make_tied_on_meta() -> nn.Module:
    with torch.device("meta"):
        return Tied()


def used(module: nn.Module) -> nn.Module:
    module(rows_of(4))
    return module


def weight_normed() -> nn.Module:
    with_norm = nn.utils.weight_norm(nn.Linear(4, 5))
    return used(nn.Sequential(with_norm, nn.Linear(5, 3)))


def spectral_normed() -> nn.Module:
    return used(nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 5)), nn.Linear(5, 3))).eval()


def with_odd_buffers() -> nn.Module:
    module = sequential()
    module.register_buffer("conjugate", torch.ones(2, dtype=torch.complex64).conj())
    module.register_buffer("empty", torch.empty(0))
    module.register_buffer("scalar", torch.tensor(3.0))
    module.register_buffer("sparse", torch.eye(3).to_sparse())
    return module


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return sequential()


def exported_module() -> nn.Module:
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    return torch.export.export(
        sequential(), (rows_of(4),), dynamic_shapes=shapes, strict=False
    ).module()


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(sequential(), {nn.Linear})


ANSWERING: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[str]]] = {
    "scripted": (lambda: torch.jit.script(sequential()), (4,), []),
    "traced": (lambda: torch.jit.trace(sequential(), rows_of(4)), (4,), []),
    "frozen": (lambda: torch.jit.freeze(torch.jit.script(sequential())), (4,), []),
    "exported": (exported_module, (4,), []),
    "holding a script": (Holding, (4,), ["last"]),
    "compiled": (lambda: torch.compile(sequential()), (4,), ["0", "1", "2"]),
    "symbolic": (lambda: torch.fx.symbolic_trace(sequential()), (4,), ["0", "1", "2"]),
    "quantised": (quantised, (4,), ["0", "1", "2"]),
    "weight norm": (weight_normed, (4,), ["0", "1"]),
    "spectral norm": (spectral_normed, (4,), ["0", "1"]),
    "odd buffers": (with_odd_buffers, (4,), ["0", "1", "2"]),
    "keeping": (lambda: used(Keeping()), (4,), ["last"]),
    "once lazy": (lambda: used(nn.Sequential(nn.LazyLinear(3))), (4,), ["0"]),
    "recurrent": (Recurrent, (7, 4), ["rnn", "last"]),
    "attending": (Attending, (7, 4), ["attention", "last"]),
}


def one_by_one(module: nn.Module, rows: Tensor) -> Tensor:
    """The module's answers: a quantised one rounds by the range of the rows it gets at once."""
    with torch.no_grad():
        return torch.cat([module(row[None]) for row in rows]).double()


def filled(connection: Connection, rows: Tensor) -> None:
    connection.register("f", {"id": np.arange(len(rows)), "x": rows.numpy()})
    connection.execute("CREATE TABLE t AS SELECT * FROM f")


def answers(connection: Connection) -> Tensor:
    found = connection.execute("SELECT PREDICT(m, x) FROM t ORDER BY id").fetchall()
    return torch.tensor([row[0] for row in found], dtype=torch.float64)


def layers(connection: Connection) -> list[str]:
    described = connection.execute("DESCRIBE MODEL m").fetchall()
    return [str(name) for kind, name, _ in described if kind == "layer"]


@pytest.mark.parametrize("name", ANSWERING)
@pytest.mark.filterwarnings("ignore")
def test_registered_modules_answer_as_they_do(name: str) -> None:
    make, shape, expected = ANSWERING[name]
    module, rows = make(), rows_of(*shape)
    wanted = one_by_one(getattr(module, "_orig_mod", module), rows)
    with tensorsql.connect() as connection:
        connection.register_model("m", module, input=list(shape), output="raw")
        filled(connection, rows)
        assert torch.allclose(answers(connection), wanted, atol=1e-5)
        assert [layer for layer in layers(connection) if "." not in layer] == expected


FILES: dict[str, tuple[str, Callable[[], nn.Module], tuple[int, ...], list[str]]] = {
    "script": ("m.pt", lambda: torch.jit.script(sequential()), (4,), []),
    "pickle": ("m.pth", sequential, (4,), ["0", "1", "2"]),
    "quantised": ("m.pt", quantised, (4,), ["0", "1", "2"]),
    "recurrent": ("m.pt", Recurrent, (7, 4), ["rnn", "last"]),
    "exported recurrent": ("m.pt2", Recurrent, (7, 4), ["rnn", "last"]),
    "exported weight norm": ("m.pt2", weight_normed, (4,), ["0", "1"]),
    "exported keeping": ("m.pt2", lambda: Keeping(), (4,), ["last"]),
    "plain pickle": ("m.pkl", sequential, (4,), ["0", "1", "2"]),
    "old pickle": ("old.pth", sequential, (4,), ["0", "1", "2"]),
}

NEW_EXPORT = find_spec("torch.export.pt2_archive") is not None


def save(module: nn.Module, path: Path, shape: tuple[int, ...]) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        torch.jit.save(module, path)
    elif path.suffix == ".pt2":
        shapes = ({0: torch.export.Dim("batch", min=1)},)
        exported = torch.export.export(
            module, (rows_of(*shape),), dynamic_shapes=shapes, strict=False
        )
        torch.export.save(exported, path)
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(module))
    else:
        torch.save(module, path, _use_new_zipfile_serialization=path.stem != "old")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore")
def test_model_files_answer_as_their_modules(tmp_path: Path, name: str) -> None:
    if name in ("exported recurrent", "exported keeping") and not NEW_EXPORT:
        pytest.skip("this PyTorch cannot export it")
    file, make, shape, expected = FILES[name]
    module, rows = make().eval(), rows_of(*shape)
    path = tmp_path / file
    save(module, path, shape)
    wanted = one_by_one(module, rows)
    with tensorsql.connect() as connection:
        connection.execute(
            f"CREATE MODEL m FROM '{path}'"
            f" WITH (trust = true, output = 'raw', input = {list(shape)})"
        )
        filled(connection, rows)
        assert torch.allclose(answers(connection), wanted, atol=1e-5)
        assert [layer for layer in layers(connection) if "." not in layer] == expected


@pytest.mark.parametrize("factory", ["make_tied", "make_tied_on_meta"])
def test_a_tied_weight_is_in_the_file_once(tmp_path: Path, factory: str) -> None:
    module, path, rows = Tied(), tmp_path / "m.safetensors", rows_of(4)
    save_model(module, str(path))
    options = f"factory = '{__name__}:{factory}', trust = true, output = 'raw', input = [4]"
    with tensorsql.connect() as connection:
        connection.execute(f"CREATE MODEL m FROM '{path}' WITH ({options})")
        filled(connection, rows)
        with torch.no_grad():
            assert torch.allclose(answers(connection), module(rows).double(), atol=1e-5)


def test_weights_that_lack_or_are_too_many_are_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "m.safetensors"
    state = {name: value.clone() for name, value in Tied().state_dict().items()}
    with tensorsql.connect() as connection:
        for change, message in (
            ({"first.bias": None}, 'Missing.*"first.bias"'),
            ({"other": torch.ones(2)}, 'Unexpected.*"other"'),
            ({"first.bias": torch.ones(9)}, "first.bias"),
        ):
            changed = {k: v for k, v in {**state, **change}.items() if v is not None}
            save_file(changed, path)
            with pytest.raises(errors.BindError, match=message):
                connection.execute(
                    f"CREATE MODEL m FROM '{path}'"
                    f" WITH (factory = '{__name__}:make_tied', trust = true)"
                )


class Locked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Named(nn.Module):
    """Gives a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.last(x)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.LazyLinear(3)), '"0.weight" of the module is lazy'),
        (on_meta, '"0.weight" of the module is on the meta device'),
        (Locked, "cannot be copied: .*lock"),
        (Named, "not one tensor with a row per input"),
    ],
)
def test_modules_that_cannot_be_run_say_why(make: Callable[[], nn.Module], message: str) -> None:
    with tensorsql.connect() as connection, pytest.raises(errors.Error, match=message) as found:
        connection.register_model("m", make(), input=[4])
    assert isinstance(found.value, errors.BindError | errors.UnsupportedError)


class Scientific:
    """Stands for an estimator of another library."""


def test_pickles_of_other_things_say_what_they_hold(tmp_path: Path) -> None:
    cases: dict[str, tuple[Callable[[Path], object], str]] = {
        "estimator.pkl": (lambda p: p.write_bytes(pickle.dumps(Scientific())), "Scientific"),
        "estimator.pt": (lambda p: torch.save(Scientific(), p), "Scientific"),
        "state.pth": (lambda p: torch.save(sequential().state_dict(), p), "a dict, as of weights"),
        "meta.pt": (lambda p: torch.save(on_meta(), p), "meta device"),
        "lazy.pt": (lambda p: torch.save(nn.LazyLinear(3), p), "lazy"),
        "gone.pkl": (
            lambda p: p.write_bytes(
                pickle.dumps(Scientific()).replace(b"Scientific", b"Scientifix")
            ),
            "not installed here",
        ),
    }
    with tensorsql.connect() as connection:
        for name, (write, message) in cases.items():
            write(tmp_path / name)
            with pytest.raises(errors.UnsupportedError, match=message) as found:
                connection.execute(
                    f"CREATE MODEL m FROM '{tmp_path / name}' WITH (trust = true, input = [4])"
                )
            assert name in str(found.value)


def test_a_layer_of_several_outputs_is_known_by_its_first() -> None:
    module, rows = Recurrent().eval(), rows_of(7, 4)
    with torch.no_grad():
        wanted = module.rnn(rows)[0].reshape(len(rows), -1).double()
    with tensorsql.connect() as connection:
        connection.register_model("m", module, input=[7, 4])
        connection.register("f", {"id": np.arange(len(rows)), "x": rows.numpy()})
        found = connection.execute(
            "SELECT * FROM ACTIVATIONS(data => f, model => m, layer => 'rnn', id => id)"
        ).fetchall()
    assert len(found) == wanted.numel()
    for input_id, neuron, value in found[:200]:
        assert value == pytest.approx(float(wanted[input_id, neuron]), abs=1e-6)


def test_a_program_without_layers_says_so() -> None:
    with tensorsql.connect() as connection:
        connection.register_model("m", torch.jit.script(sequential()), input=[4])
        filled(connection, rows_of(4))
        with pytest.raises(errors.BindError, match="no layer that can be asked for"):
            connection.execute(
                "SELECT * FROM ACTIVATIONS(data => t, model => m, layer => '0', id => id)"
            )


class Shifting(nn.Module):
    """What it adds is a buffer that is no part of its state, a setting, or in a function."""

    def __init__(self, shift: float, where: str) -> None:
        super().__init__()
        self.last = nn.Identity()
        self.where = where
        self.register_buffer("buffer", torch.full((4,), shift), persistent=False)
        self.setting = {"by": [shift]}
        self.function = (lambda x: x + 0.0) if shift == 0 else (lambda x: x + 100.0)

    def forward(self, x: Tensor) -> Tensor:
        if self.where == "function":
            return self.last(self.function(x))  # type: ignore[no-any-return]
        shift = self.buffer if self.where == "buffer" else self.setting["by"][0]
        return self.last(x + shift)  # type: ignore[no-any-return]


def redefined(shift: float) -> nn.Module:
    """Of one class by its name, with other code."""
    names: dict[str, Any] = {"nn": nn}
    code = f"class M(nn.Module):\n    def forward(self, x):\n        return x + {shift}"
    exec(code, names)
    made: nn.Module = names["M"]()
    return made


SHIFTING: dict[str, Callable[[float], nn.Module]] = {
    **{where: (lambda s, w=where: Shifting(s, w)) for where in ("buffer", "setting", "function")},
    "code": redefined,
    "script": lambda shift: torch.jit.trace(redefined(shift), rows_of(4)),
}


@pytest.mark.parametrize("where", SHIFTING)
@pytest.mark.filterwarnings("ignore")
def test_what_changes_an_answer_changes_the_models_identity(where: str) -> None:
    """Activations are cached under it."""
    hashes = []
    with tensorsql.connect() as connection:
        filled(connection, rows_of(4))
        for shift in (0.0, 100.0, 100.0):
            module = SHIFTING[where](shift)
            connection.register_model("m", module, True, input=[4], output="raw")
            wanted = (rows_of(4) + shift).double()
            assert torch.allclose(answers(connection), wanted, atol=1e-4)
            with connection.session.open_transaction() as transaction:
                entry = transaction.model("m")
            assert entry is not None
            hashes.append(entry.weights_hash)
    assert hashes[0] != hashes[1] == hashes[2]
