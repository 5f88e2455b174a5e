"""`.pt`, `.pth`, `.pkl`: TorchScript programs and pickled modules. Both run their author's code."""

from __future__ import annotations

import zipfile

import torch
from torch import nn

from tensorsql.errors import CorruptError, UnsupportedError
from tensorsql.storage.models.model import Model
from tensorsql.storage.models.options import ModelOptions


def load(path: str, options: ModelOptions) -> Model:
    """The module of the file; a TorchScript program has no layers that could be asked for."""
    script = _is_script(path)
    if not options.trust:
        what = "TorchScript program" if script else "pickle"
        raise UnsupportedError(
            f'"{path}" is a {what} and would run code when loaded; save it with torch.export,'
            " or, if you trust its author, say WITH (trust = true)"
        )
    try:
        loaded = (
            torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
            if script
            else torch.load(path, map_location="cpu", weights_only=False)
        )
    except Exception as error:  # unpickling may raise anything
        raise CorruptError(f'"{path}" does not load: {error}') from error
    if not isinstance(loaded, nn.Module):
        raise UnsupportedError(
            f'"{path}" holds a {type(loaded).__name__}, not a module; for bare weights use'
            " safetensors WITH (factory = 'module:callable')"
        )
    return Model(loaded.eval(), options.input, scale=options.scale)


def _is_script(path: str) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())
