"""Model files and modules: what loads, what is refused, what an activation is."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tensorsql import errors
from tensorsql.operators.models.activations import ActivationCache
from tensorsql.operators.models.inference import Inference
from tensorsql.operators.models.load import keep_file, load_model, open_model, register_module
from tensorsql.operators.runtime.metrics import Metrics
from tensorsql.storage.columns import types
from tensorsql.storage.tables.catalog import ModelEntry

EXAMPLES = Path(__file__).parent.parent / "examples"
PT2 = EXAMPLES / "fashion.pt2"


class Net(nn.Module):
    """A small network whose second layer is changed in place by the third, called twice."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.second = nn.Linear(5, 5)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(5, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.relu(self.second(self.relu(self.first(x)))))
        return out


def make_net() -> Net:
    return Net()


@pytest.fixture
def net() -> Net:
    torch.manual_seed(7)
    return Net()


@pytest.fixture(scope="module")
def cnn() -> ModelEntry:
    return load_model("cnn", str(PT2), {"scale": 255})


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(np.load(EXAMPLES / "images.npy", mmap_mode="r")[:200].copy())


def test_torch_export_archive(cnn: ModelEntry) -> None:
    entry = cnn
    assert dict(entry.layers)["relu2"] == (32, 14, 14)
    assert [name for name, _ in entry.layers][:3] == ["conv1", "relu1", "pool1"]
    assert entry.inputs == (("input", types.tensor((1, 28, 28))),)
    assert entry.output == types.INTEGER and entry.options["classes"] == list(range(10))
    labels = [f"class {i}" for i in range(10)]
    assert load_model("cnn", str(PT2), {"labels": labels}).output == types.VARCHAR
    raw = load_model("cnn", str(PT2), {"output": "raw", "scale": 1})
    assert raw.output == types.list_of(types.DOUBLE) and raw.weights_hash != entry.weights_hash


def test_an_activation_does_not_depend_on_its_batch(cnn: ModelEntry, images: Tensor) -> None:
    model = open_model(cnn)
    whole = model.outputs(model.prepare(images), "fc1")
    order = torch.randperm(200, generator=torch.Generator().manual_seed(3))
    assert torch.equal(model.outputs(model.prepare(images[order]), "fc1"), whole[order])
    for row in (0, 63, 199):
        assert torch.equal(
            model.outputs(model.prepare(images[row : row + 1]), "fc1")[0], whole[row]
        )


def test_layers_of_an_archive_equal_the_module(cnn: ModelEntry, images: Tensor) -> None:
    exported = open_model(cnn)
    import importlib.util

    spec = importlib.util.spec_from_file_location("network", EXAMPLES / "network.py")
    assert spec is not None and spec.loader is not None
    network = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(network)
    from safetensors.torch import load_file

    module = network.FashionNet().eval()
    module.load_state_dict(load_file(EXAMPLES / "fashion.safetensors"))
    with torch.no_grad():
        batch = images[:64, None].float() / 255
        wanted = module.conv1(batch)
        answer = module(batch)
    rows = exported.prepare(images[:64])
    assert torch.equal(exported.outputs(rows, "conv1"), wanted)
    assert torch.equal(exported.outputs(rows), answer)


def test_inference_stops_at_the_layer(net: Net) -> None:
    entry = register_module("m", net, {})
    model = open_model(entry)
    ran: list[str] = []
    model.module.last.register_forward_hook(lambda *_: ran.append("last"))
    model.outputs(torch.rand(3, 4), "second")
    assert not ran
    model.outputs(torch.rand(3, 4))
    assert ran == ["last"]


def test_a_layer_is_seen_before_the_next_changes_it(net: Net) -> None:
    model = open_model(register_module("m", net, {}))
    rows = torch.randn(64, 4)
    with torch.no_grad():
        hidden = torch.relu(net.first(rows))
        wanted = net.second(hidden)
    assert torch.equal(model.outputs(rows, "second"), wanted)
    assert (wanted < 0).any()
    assert torch.equal(model.outputs(rows, "relu"), hidden)
    assert torch.equal(model.outputs(rows, "relu@1"), torch.relu(wanted))


def test_a_registered_module_is_a_copy(net: Net) -> None:
    net.train()
    entry = register_module("m", net, {})
    assert dict(entry.layers) == {
        **{"first": (5,), "relu": (5,), "second": (5,)},
        **{"relu@1": (5,), "last": (3,)},
    }
    before = open_model(entry).outputs(torch.ones(1, 4))
    with torch.no_grad():
        net.last.weight.zero_()
    assert torch.equal(open_model(entry).outputs(torch.ones(1, 4)), before)
    assert net.training and net.last.weight.requires_grad
    assert not net.first._forward_hooks
    assert register_module("m", net, {}).weights_hash != entry.weights_hash


def test_user_state_is_left_alone(net: Net) -> None:
    threads = torch.get_num_threads()
    outputs = open_model(register_module("m", net, {})).outputs(torch.ones(1, 4))
    assert torch.is_grad_enabled() and torch.get_num_threads() == threads
    assert not outputs.is_inference() and not outputs.requires_grad
    weight = torch.ones(3, requires_grad=True)
    (outputs * weight).sum().backward()


def test_an_input_that_cannot_be_known_is_asked_for() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    with pytest.raises(errors.BindError, match=r'model "m".*input = \['):
        register_module("m", module, {})
    known = register_module("m", module, {"input": [1, 5, 5]})
    assert dict(known.layers) == {"0": (2, 3, 3), "1": (18,)}


def test_features_name_the_numbers(net: Net) -> None:
    entry = register_module("m", net, {"features": ["a", "b", "c", "d"]})
    assert entry.inputs == tuple((name, types.DOUBLE) for name in "abcd")
    with pytest.raises(errors.BindError, match="2 features"):
        register_module("m", net, {"features": ["a", "b"]})
    assert register_module("m", Net(1), {}).output == types.DOUBLE


# Files


def test_files_move_into_the_database(cnn: ModelEntry, tmp_path: Path) -> None:
    kept = keep_file(cnn, tmp_path)
    assert Path(kept.source).parent == tmp_path and Path(kept.source).exists()
    assert keep_file(cnn, None) is cnn


def test_safetensors_needs_a_trusted_factory(tmp_path: Path, net: Net) -> None:
    path = tmp_path / "net.safetensors"
    save_file(net.state_dict(), path)
    with pytest.raises(errors.UnsupportedError, match=r"net\.safetensors.*weights only"):
        load_model("m", str(path), {})
    factory = f"{__name__}:make_net"
    with pytest.raises(errors.UnsupportedError, match="trust"):
        load_model("m", str(path), {"factory": factory})
    entry = load_model("m", str(path), {"factory": factory, "trust": True})
    rows = torch.rand(2, 4)
    same = open_model(entry).outputs(rows)
    with torch.no_grad():
        assert torch.allclose(same, net(rows))
    for wrong in ("nowhere:f", f"{__name__}:nothing", "builtins:list"):
        with pytest.raises(errors.UnsupportedError, match="factory"):
            load_model("m", str(path), {"factory": wrong, "trust": True})


def test_pickles_and_scripts_need_trust(tmp_path: Path, net: Net) -> None:
    whole, script = tmp_path / "whole.pt", tmp_path / "script.pt"
    torch.save(net, whole)
    torch.jit.save(torch.jit.trace(net.eval(), torch.rand(1, 4)), script)
    for path, word in ((whole, "pickle"), (script, "TorchScript")):
        with pytest.raises(errors.UnsupportedError, match=word):
            load_model("m", str(path), {})
        entry = load_model("m", str(path), {"trust": True, "input": [4]})
        assert entry.output == types.INTEGER
        with torch.no_grad():
            rows = torch.rand(2, 4)
            assert torch.allclose(open_model(entry).outputs(rows), net(rows))


def test_a_malicious_pickle_is_never_opened(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (mark,))

    for name in ("m.pt", "m.pkl", "m.pth"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(errors.UnsupportedError, match=name.replace(".", r"\.")):
            load_model("m", str(tmp_path / name), {})
    assert not mark.exists()


def doctored(tmp_path: Path, change: dict[str, object]) -> Path:
    """The demo's archive with some members changed: content, or a function of it."""
    path = tmp_path / "doctored.pt2"
    with zipfile.ZipFile(PT2) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            member, content = name.split("/", 1)[1], old.read(name)
            edit = change.get(member)
            new.writestr(name, edit(content) if callable(edit) else content)
        for member, content in change.items():
            if isinstance(content, bytes):
                new.writestr(f"fashion/{member}", content)
    return path


def bomb(mark: Path) -> bytes:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (mark,))

    buffer = io.BytesIO()
    torch.save({"x": Bomb()}, buffer)
    return buffer.getvalue()


def replaced_json(old: str, new: str):  # type: ignore[no-untyped-def]
    return lambda content: content.decode().replace(old, new).encode()


def test_archives_that_would_run_code_are_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    shell = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    expression = '"expr_str": "' + shell + '"'

    def poison(content: bytes) -> bytes:
        changed, count = re.subn(r'"expr_str": "[^"]*"', lambda _: expression, content.decode())
        assert count
        return changed.encode()

    cases: list[dict[str, object]] = [
        {"models/model.json": poison},
        {"models/model.json": replaced_json("torch.ops.aten.relu.default", "os.system")},
        {"models/model.json": replaced_json('"guards_code": []', '"guards_code": ["x"]')},
        {
            "data/weights/model_weights_config.json": replaced_json(
                '"use_pickle": false', '"use_pickle": true'
            )
        },
        {"data/sample_inputs/model.pt": lambda _: bomb(mark)},
        {"data/weights/legacy.pt": bomb(mark)},
        {"data/constants/custom_obj_0": bomb(mark)},
        {"data/aotinductor/model.so": b"code"},
    ]
    for change in cases:
        path = doctored(tmp_path, change)
        with pytest.raises(errors.UnsupportedError, match=r"doctored\.pt2.*trust"):
            load_model("m", str(path), {})
    assert not mark.exists()


@pytest.mark.parametrize("name", ["m.pt2", "m.safetensors"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PT2.read_bytes()[:5000] if name == "m.pt2" else b"\x08\0\0\0\0\0\0\0nonsense")
    with pytest.raises(errors.CorruptError, match=name.replace(".", r"\.")):
        made = {"factory": f"{__name__}:make_net", "trust": True}
        load_model("m", str(path), {} if name == "m.pt2" else made)
    path.unlink()
    with pytest.raises(errors.IOError, match=name.replace(".", r"\.")):
        load_model("m", str(path), {})


def test_unknown_formats_and_options(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedError, match=r"\.pt2"):
        load_model("m", "model.gguf", {})
    for options, word in (
        ({"scael": 1}, "scale"),
        ({"scale": 0}, "above 0"),
        ({"input": []}, "sizes"),
        ({"output": "both"}, "class"),
        ({"labels": ["a", "a"]}, "different names"),
        ({"trust": "yes"}, "true or false"),
        ({"factory": "f"}, "module:callable"),
    ):
        with pytest.raises(errors.BindError, match=word):
            load_model("m", str(PT2), options)
    with pytest.raises(errors.BindError, match="10 outputs"):
        load_model("m", str(PT2), {"labels": ["a"]})


# Inference and its cache


def test_the_cache_gives_the_same_bits_and_counts(cnn: ModelEntry, images: Tensor) -> None:
    entry = cnn
    inference, metrics = Inference(), Metrics()
    with metrics.working(0):
        first = inference.outputs(entry, "fc1", images[:100])
    with metrics.working(1):
        again = inference.outputs(entry, "fc1", images[50:150])
    assert torch.equal(again[:50], first[50:])
    with metrics.working(2):
        assert torch.equal(inference.outputs(entry, "fc1", images[:150])[50:], again)
    inference.outputs(entry, "fc1", images[150:160])  # for nobody
    assert metrics.notes == {0: {"inferences": 100}, 1: {"inferences": 50}}


def test_the_cache_stays_within_its_budget() -> None:
    cache = ActivationCache(limit=40_000)
    rows = torch.arange(40_000, dtype=torch.int32).reshape(1000, 40)
    values = torch.rand(1000, 10)
    cache.put(("a", "x"), rows, values)
    assert 0 < cache.bytes <= 40_000
    kept, found = cache.get(("a", "x"), rows)
    assert found is not None and torch.equal(values[kept], found) and not kept.all()
    assert kept.nonzero()[:, 0].tolist() == list(range(int(kept.sum())))
    cache.put(("a", "y"), rows, values)
    assert cache.bytes <= 40_000 and cache.get(("a", "y"), rows)[0].any()
    assert not cache.get(("b", "x"), rows)[0].any()


def test_wrong_shapes_are_explained(cnn: ModelEntry, images: Tensor) -> None:
    entry = cnn
    with pytest.raises(errors.DataError, match=r"\[1, 28, 28\].*\[27, 28\]"):
        Inference().outputs(entry, None, images[:2, :27])
    with pytest.raises(errors.BindError, match="fc1"):
        Inference().outputs(entry, "fc7", images[:2])
