"""What may be read of a `torch.export` archive without trusting its author.

torch's own loader evaluates symbolic sizes, writes the names in a graph into Python source that it
executes, looks up any function a graph names, imports what the structure of the inputs names,
unpickles weights and sample inputs, and turns to older layouts, which are pickles, when one fails.
So an archive is not searched for what is bad: it has known members, plain tensors and a program of
tensor operators whose every text is a plain name, and all else is refused. What is not needed is
left out of the program rather than checked, and the rest is handed on parsed, not as a file.
"""

from __future__ import annotations

import json
import pickletools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tensorsql.operators.models.file import read_members

_MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|\.format_version"
    r"|\.storage_alignment|extra/.*|models/\w+\.json|data/sample_inputs/\w+\.pt"
    r"|data/weights/(weight_\d+|\w+_weights_config\.json)"
    r"|data/constants/(tensor_\d+|\w+_constants_config\.json)",
    re.DOTALL,
)
_OLD = re.compile(r"serialized_(exported_program|state_dict|constants|example_inputs)\.\w+")

_NODE = re.compile(r"\w{0,500}")  # stands in Python source as it is
_PATH = re.compile(r"((?!__)[\w@-]+(\.(?!__)[\w@-]+)*)?")  # of a module or parameter
_STACK = (re.compile(r"[\w.@\[\]'-]*"), _PATH, re.compile(r"[\w.<>]*"))
_VERSION = re.compile(r"[\w.+<=-]*")
_SYMBOL = r"Symbol\('[su]\d{1,5}'(?:, (?:positive|integer|nonnegative)=True)*\)|[su]\d{1,5}(?!\d)"
_EXPRESSION = re.compile(
    r"(?!.{1000})(?!.*\*\*)"  # powers of powers would never be done
    rf"(?:{_SYMBOL}|\d{{1,19}}(?!\d)|Add|Mul|Max|Min|Integer|FloorDiv|Mod|[-+*(), ])+"
)
_TENSOR_OPERATOR = re.compile(r"torch\.ops\.(aten)\.(\w+)\.(\w+)")
_SIZE_OPERATORS = {
    *(f"_operator.{name}" for name in ("eq", "ne", "le", "ge", "lt", "gt", "neg", "pos", "and_")),
    *(f"_operator.{name}" for name in ("or_", "mul", "add", "sub", "floordiv", "mod", "truediv")),
    *(f"torch.sym_{name}" for name in ("not", "int", "float", "ite", "max", "min", "sqrt")),
    "math.trunc",
}
_GRAPH_OPERATORS = {  # they run graphs of the program
    *(f"torch.ops.higher_order.{name}" for name in ("cond", "wrap_with_set_grad_enabled")),
}
# Operators that touch files or the terminal, and those that take sizes and places unchecked or
# leave memory as it was: they could read and write what is no tensor's.
_BEYOND_TENSORS = re.compile(
    r"from_file|_print|set_|set_data|_?resize_\w*|resize|_copy_from_and_resize|_test_\w+|_cslt_\w+"
    r"|_nested_(view|from)_\w+|_?sparse_resize\w*|_sparse_\w+_(unsafe|with_dims\w*)"
)

_MAPS = {  # members of the program whose keys are names that the author chose
    *("tensor_values", "sym_int_values", "sym_float_values", "sym_bool_values", "opset_version"),
    *("range_constraints", "custom_obj_values", "treespec_namedtuple_fields"),
}
_CONTAINERS = {"builtins.tuple", "builtins.list", "builtins.dict", None}
_PICKLED_TENSORS = re.compile(
    r"torch\._utils _rebuild_(tensor_v2|parameter)|collections OrderedDict|torch \w+Storage"
    r"|torch\._export\.serde\.serialize _reconstruct_fake_tensor"
)
_MAKES_OBJECTS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


class Untrusted(Exception):
    """Loading the archive might run code; says which part of it."""


@dataclass(frozen=True)
class PlainArchive:
    """A program and the configurations of its tensors as parsed JSON, and the tensors' bytes."""

    program: Mapping[str, Any]
    weights: Mapping[str, Any]
    constants: Mapping[str, Any]
    members: Mapping[str, bytes]


def plain_archive(content: bytes) -> PlainArchive:
    """The archive, whatever it is made of checked.

    Untrusted if it holds more than data. For a file that is no such archive whatever the zip and
    JSON readers raise, KeyError, TypeError, ValueError or AttributeError.
    """
    members = _inside_folder(read_members(content))
    names = [name for name in members if name.startswith("models/")]
    if len(names) != 1:
        raise ValueError(f"there are {len(names) or 'no'} models in it")
    name = names[0].removeprefix("models/").removesuffix(".json")
    program = json.loads(members[names[0]])
    if program.get("guards_code"):
        raise Untrusted("it carries guard code")
    weights = json.loads(members[f"data/weights/{name}_weights_config.json"])
    constants = json.loads(members[f"data/constants/{name}_constants_config.json"])
    return PlainArchive(
        _checked(program, None), _raw(weights["config"]), _raw(constants["config"]), members
    )


def _inside_folder(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The members by their names in the archive's one folder, all of them known ones."""
    top = {name.partition("/")[0] for name in members}
    for name in members:
        if _OLD.fullmatch(name.rpartition("/")[2]):
            raise Untrusted(
                f"{name} is of the older layout, a pickle; save it again with PyTorch 2.8 or later"
            )
    if len(top) > 1:
        raise Untrusted(f"it has more than one folder: {', '.join(sorted(top))}")
    inside = {name.partition("/")[2]: content for name, content in members.items()}
    for name, content in inside.items():
        if not _MEMBERS.fullmatch(name):
            raise Untrusted(f"{name} is no part of an archive of tensors and their program")
        if name.startswith("data/sample_inputs/") and not _plain_tensors(content):
            raise Untrusted(f"{name} is a pickle of more than tensors")
    return inside


def _plain_tensors(content: bytes) -> bool:
    """Whether a pickle only says how to make tensors. It is never opened, here or later."""
    if not content:
        return True
    try:
        inner = read_members(content)
        pickle = next(inner[name] for name in inner if name.endswith("/data.pkl"))
        return all(_makes_tensors(code.name, arg) for code, arg, _ in pickletools.genops(pickle))
    except Exception:  # whatever the bytes are, they are not what torch writes
        return False


def _makes_tensors(code: str, argument: Any) -> bool:
    if code == "GLOBAL":
        return bool(_PICKLED_TENSORS.fullmatch(argument))
    return code not in _MAKES_OBJECTS


def _raw(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, entry in config.items():
        if entry["use_pickle"]:
            raise Untrusted(f"{name} is a pickle")
        _expect(_PATH, name, "a tensor's name")
    return config


def _checked(value: Any, key: str | None) -> Any:
    """The program without what only helps its author: no text is left that is not plain."""
    if isinstance(value, list):
        return [_checked(inner, key) for inner in value]
    if isinstance(value, str):
        _check_text(value, key)
        return value
    if not isinstance(value, dict):
        return value
    match key:
        case "metadata":
            return _module_stack(value)
        case "device" | "as_device":
            return {"type": "cpu", "index": None}
        case "custom_obj" | "as_custom_obj":
            raise Untrusted("it holds an object that is no tensor")
    for name in value:
        _expect(_EXPRESSION if key == "range_constraints" else _PATH, name, "a name")
    return {name: _checked(inner, None if key in _MAPS else name) for name, inner in value.items()}


def _check_text(text: str, key: str | None) -> None:
    match key:
        case "expr_str":
            _expect(_EXPRESSION, text, "a size")
        case "target" | "as_operator":
            _expect_operator(text)
        case "in_spec" | "out_spec":
            if text:
                _expect_containers(json.loads(text)[1])
        case "as_string" | "as_strings":
            pass  # an operator's argument: never looked up, and quoted where it is written
        case "name" | "as_name":
            _expect(_NODE, text, "a name")
        case "torch_version":
            _expect(_VERSION, text, "a version")
        case _:
            _expect(_PATH, text, "a name")


def _expect(pattern: re.Pattern[str], text: Any, what: str) -> None:
    if not pattern.fullmatch(str(text)):
        raise Untrusted(f"{what} in it is {str(text)[:100]!r}")


def _expect_operator(target: str) -> None:
    match = _TENSOR_OPERATOR.fullmatch(target)
    if match is None:
        allowed = target in _SIZE_OPERATORS or target in _GRAPH_OPERATORS
    else:
        name, overload = match[2], "" if match[3] == "default" else f".{match[3]}"
        # what only TorchScript has, aten::save for one, is not in the dispatcher
        allowed = not _BEYOND_TENSORS.fullmatch(name) and torch._C._dispatch_has_kernel(
            f"aten::{name}{overload}"
        )
    if not allowed:
        raise Untrusted(f"it calls {target[:100]!r}, which is no operator on tensors")


def _expect_containers(spec: Mapping[str, Any]) -> None:
    """Plain containers: the context of others names what torch would import."""
    context = json.loads(spec["context"]) if isinstance(spec["context"], str) else spec["context"]
    if spec["type"] not in _CONTAINERS or not isinstance(context, list | None):
        raise Untrusted(f"it builds a {spec['type']!r}")
    for name in context or ():
        _expect(_PATH, name, "a name")
    for child in spec["children_spec"]:
        _expect_containers(child)


def _module_stack(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of a node's metadata only the modules it came from: `key,path,class` for each."""
    stack = metadata.get("nn_module_stack")
    if not stack:
        return {}
    for entry in stack.split(";"):
        parts = entry.split(",")
        if len(parts) != 3 or not all(
            pattern.fullmatch(part) for pattern, part in zip(_STACK, parts, strict=True)
        ):
            raise Untrusted(f"a module in it is {entry[:100]!r}")
    return {"nn_module_stack": stack}
