"""What a `torch.export` archive would run while it is loaded, found without loading it.

`torch.export.load` evaluates symbolic sizes, unpickles weights marked so, and falls back to full
unpickling of sample inputs. An archive is safe if it holds nothing of that kind: plain weights, a
graph of known operators, plain containers. The JSON and the zip directory tell.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import torch

_SYMBOL = r"(?:Symbol\('[su]\d+'(?:, (?:positive|integer|nonnegative)=True)*\)|[su]\d+|-?\d+)"
_EXPRESSION = re.compile(rf"(?:{_SYMBOL}|Add|Mul|Max|Min|Integer|FloorDiv|Mod|[-+*(), ])+")
_OPERATOR = re.compile(r"torch\.ops\.aten\.(?!from_file)\w+\.\w+|_operator\.\w+|math\.\w+")
_PICKLE = re.compile(r"data/(weights|constants)/([^/]+\.pt|custom_obj[^/]*|opaque_obj[^/]*)")
_CONTAINERS = {"builtins.tuple", "builtins.list", "builtins.dict", None}


def why_untrusted(path: str) -> str | None:
    """What loading the archive would run, in words, or None if it would run nothing.

    Raises BadZipFile, KeyError, TypeError or ValueError for a file that is no such archive.
    """
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")
        members = {name.split("/", 1)[-1]: name for name in archive.namelist()}
        for member, name in members.items():
            if reason := _reason(member, archive, name):
                return reason
        if not any(member.startswith("models/") for member in members):
            raise ValueError("there is no model in it")
    return None


def _reason(member: str, archive: zipfile.ZipFile, name: str) -> str | None:
    if _PICKLE.match(member):
        return f"{member} is a pickle"
    if member.startswith("data/aotinductor/"):
        return f"{member} is compiled code"
    if member.startswith("data/sample_inputs/") and not _plain_tensors(archive.read(name)):
        return f"{member} is a pickle of more than tensors"
    if member.endswith("_config.json"):
        return _pickled_weight(json.loads(archive.read(name)))
    if member.startswith("models/"):
        program = json.loads(archive.read(name))
        return "it carries guard code" if program["guards_code"] else _walk(program)
    return None


def _plain_tensors(content: bytes) -> bool:
    """Torch's loader unpickles anything where this fails, so it has to be tried first."""
    if not content:
        return True
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # whatever the bytes make torch say, they are not plain tensors
        return False
    return True


def _pickled_weight(config: Mapping[str, Any]) -> str | None:
    for key, entry in config["config"].items():
        if entry["use_pickle"]:
            return f"{key} is a pickle"
    return None


def _walk(value: Any) -> str | None:
    if isinstance(value, dict):
        found = (_member(value, key, inner) for key, inner in value.items())
    elif isinstance(value, list):
        found = (_walk(inner) for inner in value)
    else:
        return None
    return next((reason for reason in found if reason), None)


def _member(owner: Mapping[str, Any], key: str, value: Any) -> str | None:
    match key:
        case "expr_str" if not _EXPRESSION.fullmatch(str(value)):
            return f"a size is the expression {value!r}"
        case "target" if "inputs" in owner and not _OPERATOR.fullmatch(str(value)):
            return f"it calls {value!r}"
        case "in_spec" | "out_spec" if value:
            return _container(json.loads(value)[1])
    return _walk(value)


def _container(spec: Mapping[str, Any]) -> str | None:
    if spec["type"] not in _CONTAINERS:
        return f"it builds a {spec['type']!r}"
    found = (_container(child) for child in spec["children_spec"])
    return next((reason for reason in found if reason), None)
