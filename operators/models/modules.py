"""From a user's module to one that can be run here: of its own, on the CPU, in eval mode."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from tensorsql.errors import BindError, UnsupportedError


def private_copy(module: nn.Module) -> nn.Module:
    """A copy that later changes of the module do not reach; BindError if it cannot be copied."""
    module = getattr(module, "_orig_mod", module)  # torch.compile wraps what it compiles
    _check_values(module)
    computed = {id(each): each.detach().clone() for each in _computed_tensors(module)}
    try:
        return copy.deepcopy(module, dict(computed))
    except Exception as error:  # the module is the user's: its parts may be anything
        raise BindError(f"the module cannot be copied: {error}") from error


def ready(module: nn.Module) -> nn.Module:
    """The module itself, made ready to run; UnsupportedError if its values are not there."""
    _check_values(module)
    with contextlib.suppress(NotImplementedError):  # an exported program keeps its mode
        module.eval()
    for parameter in module.parameters():
        if parameter.is_leaf:  # those of a copied TorchScript program are not
            parameter.requires_grad_(False)
    return module.to("cpu")


def _check_values(module: nn.Module) -> None:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
            raise UnsupportedError(
                f'"{name}" of the module is lazy and has no size yet; run the module once on an'
                " input first"
            )
        if tensor.is_meta:
            raise UnsupportedError(
                f'"{name}" of the module is on the meta device and has no values; load its'
                " weights first"
            )


def _computed_tensors(module: nn.Module) -> Iterator[Tensor]:
    """Tensors with a history that the module keeps beside its parameters, as weight_norm does.

    deepcopy refuses them; their values are all that is needed.
    """
    for part in module.modules():
        for value in vars(part).values():
            yield from _with_history(value)


def _with_history(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if not value.is_leaf:
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _with_history(inner)
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _with_history(inner)


def first_tensor(output: Any) -> Any:
    """The value of a layer: of several outputs, such as an LSTM's, the first."""
    while isinstance(output, tuple | list) and output:
        output = output[0]
    return output
