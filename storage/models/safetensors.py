"""`.safetensors`: weights without code, for a module that the user's `factory` makes."""

from __future__ import annotations

import importlib
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as read
from torch import Tensor, nn

from tensorsql.errors import BindError, CorruptError, UnsupportedError
from tensorsql.storage.models.file import ModelFile
from tensorsql.storage.models.model import Model
from tensorsql.storage.models.modules import ready
from tensorsql.storage.models.options import ModelOptions


def load(file: ModelFile, options: ModelOptions) -> Model:
    """The factory's module with the file's weights, which must match by name and shape."""
    try:
        weights = read(file.content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CorruptError(f'"{file.path}" is not a safetensors file: {error}') from error
    module = _make(file.path, options)
    try:
        _fill(module, weights)
    except RuntimeError as error:
        raise BindError(f"the weights do not fit {options.factory}: {error}") from error
    return Model(ready(module), options.input, scale=options.scale)


def _fill(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Of tensors that the module ties together the file needs one; RuntimeError if any lacks."""
    on_meta = any(parameter.is_meta for parameter in module.parameters())
    missing, unknown = module.load_state_dict(weights, strict=False, assign=on_meta)
    state = module.state_dict(keep_vars=True)
    filled = {_place(state[name]) for name in weights if name in state}
    lacking = [name for name in missing if _place(state[name]) not in filled]
    if lacking:
        raise RuntimeError(f"the file lacks {', '.join(lacking)}")
    if unknown:
        raise RuntimeError(f"the module has no {', '.join(unknown)}")


def _place(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


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
