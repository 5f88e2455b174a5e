"""`torch.export` archives made by hand: honest ones, and hostile ones in all layouts read."""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

Members = dict[str, bytes]


class Tiny(nn.Module):
    """Four numbers in, three out."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.relu = nn.ReLU()
        self.last = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(self.relu(self.first(x)))
        return out


@cache
def tiny() -> Tiny:
    torch.manual_seed(11)
    return Tiny().eval()


@cache
def exported() -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    return torch.export.export(tiny(), (torch.rand(2, 4),), dynamic_shapes=shapes, strict=False)


@cache
def _plain() -> Mapping[str, bytes]:
    from torch._export.serde.serialize import serialize

    buffer = io.BytesIO()
    torch.export.save(exported(), buffer)
    with zipfile.ZipFile(buffer) as archive:
        found = {name.split("/", 1)[-1]: archive.read(name) for name in archive.namelist()}
    if "models/model.json" not in found:  # a torch that writes the older layout
        found = _newer_layout(serialize(exported()).exported_program)
    return found


def _newer_layout(program: bytes) -> Members:
    metas = json.loads(program)["graph_module"]["graph"]["tensor_values"]
    members = {"archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little"}
    config: dict[str, Any] = {}
    for number, (name, tensor) in enumerate(exported().state_dict.items()):
        members[f"data/weights/weight_{number}"] = tensor.detach().numpy().tobytes()
        config[name] = {
            "path_name": f"weight_{number}",
            "is_param": True,
            "use_pickle": False,
            "tensor_meta": metas["p_" + name.replace(".", "_")],
        }
    return members | {
        "models/model.json": program,
        "data/weights/model_weights_config.json": json.dumps({"config": config}).encode(),
        "data/constants/model_constants_config.json": b'{"config": {}}',
        "data/sample_inputs/model.pt": b"",
    }


def members() -> Members:
    """The members of an honest archive, without its folder."""
    return dict(_plain())


def program() -> dict[str, Any]:
    """The program of an honest archive, to be changed."""
    found: dict[str, Any] = json.loads(members()["models/model.json"])
    return found


def with_program(changed: Mapping[str, Any]) -> Members:
    return members() | {"models/model.json": json.dumps(changed).encode()}


def zipped(names: Mapping[str, bytes], folder: str = "m/") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in names.items():
            archive.writestr(folder + name, content)
    return buffer.getvalue()


def payload(mark: Path, save: Callable[[Any, Any], Any] = torch.save) -> bytes:
    """A pickle that makes the folder `mark` when it is opened."""

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(mark),))

    buffer = io.BytesIO()
    save({"x": Bomb()}, buffer)
    return buffer.getvalue()


def hostile_archives(mark: Path) -> Iterator[tuple[str, bytes]]:
    """Archives by name, each of which makes `mark` if its payload runs."""
    bomb = payload(mark)
    yield from _older_layouts(bomb)
    yield from _legacy_members(bomb, payload(mark, pickle.dump))
    for name, changed in _programs(mark):
        yield name, zipped(with_program(changed))


def _older_layouts(bomb: bytes) -> Iterator[tuple[str, bytes]]:
    """What torch 2.0 to 2.7 wrote, alone and beside a decoy of the newer layout."""
    from torch._export.serde.schema import SCHEMA_VERSION
    from torch._export.serde.serialize import serialize

    artifact = serialize(exported())
    old = {
        "version": ".".join(map(str, SCHEMA_VERSION)).encode(),
        "serialized_exported_program.json": artifact.exported_program,
        "serialized_state_dict.pt": artifact.state_dict,
        "serialized_constants.pt": artifact.constants,
        "serialized_example_inputs.pt": artifact.example_inputs,
    }
    decoy = {f"x/{name}": content for name, content in members().items()}
    for member in ("serialized_state_dict", "serialized_constants", "serialized_example_inputs"):
        changed = old | {f"{member}.pt": bomb}
        yield f"older {member}", zipped(changed, "")
        yield f"older {member} beside a decoy", zipped(changed | decoy, "")
        yield f"decoy before older {member}", zipped(decoy | changed, "")
        yield f"older {member} as folder", zipped(changed, "m/")
        named = {name: content for name, content in changed.items() if member not in name}
        yield f"older {member} called json", zipped(named | {f"{member}.json": bomb}, "")
        broken = {"x/models/model.json": b"{}", "x/archive_format": b"pt2"}
        yield f"older {member} beside a broken decoy", zipped(broken | changed, "")


def _legacy_members(bomb: bytes, plain: bytes) -> Iterator[tuple[str, bytes]]:
    for name, content in {
        "data/weights/model.pt": bomb,
        "data/constants/model.pt": bomb,
        "data/sample_inputs/model.pt": bomb,
        "data/aotinductor/model/model.so": b"\x7fELF",
        "data/aotinductor/model/weights_config.json": b"{}",
        "executorch/model.pte": bomb,
        "xl_model_weights/model": bomb,
    }.items():
        yield name, zipped(members() | {name: content})
    config = "data/weights/model_weights_config.json"
    changed = json.loads(members()[config])
    entry = changed["config"]["first.bias"]
    entry["use_pickle"] = True
    pickled = members() | {config: json.dumps(changed).encode()}
    yield "pickled weight", zipped(pickled | {"data/weights/" + entry["path_name"]: bomb})
    for prefix, content in (("tensor_0", bomb), ("custom_obj_0", bomb), ("opaque_obj_0", plain)):
        constants = {"config": {"c": {**entry, "path_name": prefix, "is_param": False}}}
        yield (
            f"constant {prefix}",
            zipped(
                members()
                | {
                    "data/constants/model_constants_config.json": json.dumps(constants).encode(),
                    f"data/constants/{prefix}": content,
                }
            ),
        )


def _programs(mark: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Programs whose texts are code."""
    code = f"__import__('os').mkdir({str(mark)!r})"
    symbolic = json.dumps(program())
    expression = json.loads(symbolic)["graph_module"]["graph"]["tensor_values"]["x"]
    text = expression["sizes"][0]["as_expr"]["expr_str"]
    yield "size", json.loads(symbolic.replace(json.dumps(text), json.dumps(code)))
    yield "input's name", json.loads(symbolic.replace('"x"', json.dumps(f"x={code}")))
    yield "node's name", json.loads(symbolic.replace('"relu"', json.dumps(f"y={code};z")))
    quoted = json.dumps(f'first", {code}) or ("')[1:-1]
    yield "parameter's name", json.loads(symbolic.replace("first.bias", quoted))
    yield "module's name", json.loads(symbolic.replace("first,first", f"first,{quoted}"))
    changed = program()
    changed["guards_code"] = [code]
    yield "guard", changed
    operators: dict[str, list[tuple[str, list[Any]]]] = {
        "unpickling": [("torch.load", [str(mark)])],
        "a file": [("torch.ops.aten.save.default", [str(mark)])],
        "evaluation": [("torch._dynamo.eval", [code])],
        "attributes": [
            ("_operator.attrgetter", ["__class__.__init__.__globals__"]),
            ("_operator.methodcaller", ["__reduce_ex__", 2]),
        ],
        "a call": [("_operator.call", [code])],
        "a registered operator": [("#aten:relu", [code])],
    }
    for name, calls in operators.items():
        changed = program()
        nodes = changed["graph_module"]["graph"]["nodes"]
        nodes[:0] = [_node(target, arguments) for target, arguments in calls]
        yield name, changed
    changed = program()
    node = changed["graph_module"]["graph"]["nodes"][0]
    node["inputs"].append({"name": "f", "arg": {"as_operator": "torch.load"}, "kind": 2})
    yield "an operator as argument", changed
    imported = json.dumps({"__enum__": True, "fqn": "antigravity:A", "name": "B"})
    spec = json.dumps([1, {"type": "builtins.dict", "context": imported, "children_spec": []}])
    changed = program()
    changed["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec
    yield "an import", changed


def _node(target: str, arguments: list[Any]) -> dict[str, Any]:
    kinds = {str: "as_string", int: "as_int"}
    inputs = [{"name": "", "arg": {kinds[type(each)]: each}, "kind": 1} for each in arguments]
    return {
        "target": target,
        "inputs": inputs,
        "outputs": [],
        "metadata": {},
        "is_hop_single_tensor_return": None,
        "name": "made",
    }
