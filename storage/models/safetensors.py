"""`.safetensors`: weights without code, for a module that the user's `factory` makes."""

from __future__ import annotations

import importlib
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from tensorsql.errors import CorruptError, UnsupportedError
from tensorsql.storage.models.model import Model
from tensorsql.storage.models.options import ModelOptions


def load(path: str, options: ModelOptions) -> Model:
    """The factory's module with the file's weights, which must match by name and shape."""
    try:
        weights = load_file(path)
    except (SafetensorError, ValueError) as error:
        raise CorruptError(f'"{path}" is not a safetensors file: {error}') from error
    module = _make(path, options)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise CorruptError(
            f'the weights of "{path}" do not fit {options.factory}: {error}'
        ) from error
    return Model(module.eval().requires_grad_(False), options.input, scale=options.scale)


def _make(path: str, options: ModelOptions) -> nn.Module:
    if options.factory is None:
        raise UnsupportedError(
            f'"{path}" holds weights only; say which module they are for with'
            " WITH (factory = 'module:callable', trust = true)"
        )
    if not options.trust:
        raise UnsupportedError(
            f'loading "{path}" would run the factory {options.factory};'
            " if you trust it, say WITH (trust = true)"
        )
    made = _called(options.factory)
    if not isinstance(made, nn.Module):
        raise UnsupportedError(f"factory {options.factory} made a {type(made).__name__}, no module")
    return made


def _called(factory: str) -> Any:
    name, _, attribute = factory.partition(":")
    try:
        return getattr(importlib.import_module(name), attribute)()
    except Exception as error:  # the factory is the user's code
        raise UnsupportedError(f"factory {factory} failed: {error}") from error
