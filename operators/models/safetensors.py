"""`.safetensors`: weights without code, for a module that the user's `factory` makes."""

from __future__ import annotations

import importlib
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as read
from torch import Tensor, nn

from tensorsql.errors import BindError, CorruptError, UnsupportedError
from tensorsql.operators.models.file import ModelFile
from tensorsql.operators.models.model import Model
from tensorsql.operators.models.modules import ready
from tensorsql.operators.models.options import ModelOptions


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
        reason = " ".join(str(error).split())
        raise BindError(f"the weights do not fit {options.factory}: {reason}") from error
    return Model(ready(module), options.input, scale=options.scale)


def _fill(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Of tensors that the module ties together the file has one; RuntimeError if any lacks."""
    state = module.state_dict(keep_vars=True)
    by_place = {_place(state[name]): value for name, value in weights.items() if name in state}
    tied = {
        name: by_place[_place(own)]
        for name, own in state.items()
        if name not in weights and _place(own) in by_place
    }
    on_meta = any(parameter.is_meta for parameter in module.parameters())
    module.load_state_dict({**weights, **tied}, assign=on_meta)


def _place(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr() or id(tensor), tuple(tensor.shape), tensor.stride()


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
    except (Exception, SystemExit) as error:  # the factory is the user's code
        raise UnsupportedError(f"factory {factory} failed: {error}") from error
