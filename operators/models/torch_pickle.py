"""`.pt`, `.pth`, `.pkl`: TorchScript programs and pickled modules. Both run their author's code."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from typing import Any

import torch
from torch import nn

from tensorsql.errors import CorruptError, UnsupportedError
from tensorsql.operators.models import torch_export
from tensorsql.operators.models.file import ModelFile
from tensorsql.operators.models.model import Model
from tensorsql.operators.models.modules import ready
from tensorsql.operators.models.options import ModelOptions

_LEGACY_START = b"\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # torch's magic number, pickled


def load(file: ModelFile, options: ModelOptions) -> Model:
    """The module of the file; a TorchScript program has no layers that could be asked for."""
    names = _members(file.content)
    if any(name.endswith("/archive_format") for name in names):
        return torch_export.load(file, options)
    script = any("/code/" in name for name in names)
    if not options.trust:
        what = "TorchScript program" if script else "pickle"
        raise UnsupportedError(
            f'"{file.path}" is a {what} and would run code when loaded; save it with torch.export,'
            " or, if you trust its author, say WITH (trust = true)"
        )
    try:
        loaded = _loaded(file.content, names, script)
    except Exception as error:  # unpickling may raise anything
        raise _does_not_load(file, error) from error
    if not isinstance(loaded, nn.Module):
        raise UnsupportedError(f'"{file.path}" holds {_named(loaded)}')
    return Model(ready(loaded), options.input, scale=options.scale)


def _members(content: bytes) -> list[str]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()


def _loaded(content: bytes, names: list[str], script: bool) -> Any:
    """What torch.jit.save, torch.save or plain pickle wrote."""
    if script:
        return torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]
    if names or _LEGACY_START in content[:20]:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)
    return pickle.loads(content)


def _does_not_load(file: ModelFile, error: Exception) -> Exception:
    if isinstance(error, ImportError | AttributeError):
        return UnsupportedError(f'"{file.path}" needs code that is not installed here: {error}')
    root = _root_class(file.content)
    if root and not root.startswith("torch"):
        return UnsupportedError(f'"{file.path}" holds {_no_module(root)}')
    text = str(error).strip() or type(error).__name__
    return CorruptError(f'"{file.path}" does not load: {text}')


def _named(loaded: Any) -> str:
    if isinstance(loaded, dict):
        return (
            "a dict, as of weights, not a module; save the weights as safetensors and say which"
            " module they are for WITH (factory = 'module:callable', trust = true)"
        )
    return _no_module(f"{type(loaded).__module__}.{type(loaded).__qualname__}")


def _no_module(kind: str) -> str:
    return f"a {kind}, and a model here is a torch module"


def _root_class(content: bytes) -> str | None:
    """The class that a pickle, joblib's too, names first."""
    texts: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(content):
            if code.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if code.name == "STACK_GLOBAL":
                return ".".join(texts[-2:])
            if isinstance(argument, str):
                texts.append(argument)
    except Exception:  # it is no pickle
        return None
    return None
