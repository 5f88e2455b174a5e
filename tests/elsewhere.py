"""A second device that every machine has: its tensors lie on the CPU and say that they do not.

To all that sees them they are on `meta`, where torch keeps shapes alone, but these have values.
What a real device refuses is refused: tensors of both in one operation (a CPU tensor without
dimensions is a number to torch and may come along), `.numpy()`, and memory shared with Arrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ELSEWHERE = torch.device("meta")
CPU = torch.device("cpu")
MOVES = ("aten::_to_copy", "aten::copy_")  # these may have tensors of both


class Elsewhere(Tensor):
    """A tensor that is not on the CPU."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Elsewhere:
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=ELSEWHERE,
        )
        made.here = here
        return made

    def tolist(self) -> Any:
        return self.here.tolist()

    def new_tensor(self, data: Any, *, dtype: torch.dtype | None = None) -> Tensor:  # type: ignore[override]
        return Elsewhere(self.here.new_tensor(data, dtype=dtype))

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Elsewhere({self.here!r})"

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return computed(operation, args, kwargs or {})


class Everywhere(TorchDispatchMode):
    """Lets torch itself make tensors there: those of nothing but a shape and a device."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return computed(operation, args, kwargs or {})


def computed(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What the operation gives on the CPU, said to lie where its inputs do or where it is told."""
    given: list[Tensor] = []
    near = [_here(value, given) for value in args]
    result = operation(*near, **{name: _here(value, given) for name, value in kwargs.items()})
    away = [each for each in given if isinstance(each, Elsewhere)]
    if away and operation._schema.name not in MOVES:
        mixed = any(not isinstance(each, Elsewhere) and each.dim() for each in given)
        assert not mixed, f"{operation} of tensors on two devices"
    if kwargs.get("device", ELSEWHERE if away else CPU) != ELSEWHERE:
        return result
    return _there(result, {id(each.here): each for each in away})


def _here(value: Any, given: list[Tensor]) -> Any:
    """An argument as the CPU takes it; tensors in it join those given."""
    if isinstance(value, Tensor):
        given.append(value)
        return value.here if isinstance(value, Elsewhere) else value
    if isinstance(value, list | tuple):
        return [_here(each, given) for each in value]
    return CPU if isinstance(value, torch.device) else value


def _there(value: Any, written: Mapping[int, Elsewhere]) -> Any:
    """A result on the second device; a tensor that was written to is itself."""
    if isinstance(value, list | tuple):
        return [_there(each, written) for each in value]
    if not isinstance(value, Tensor):
        return value
    return written[id(value)] if id(value) in written else Elsewhere(value)


@contextmanager
def elsewhere() -> Iterator[None]:
    """Meanwhile this thread, and those it starts, may use the second device."""
    plain = Thread.run

    def run(self: Thread) -> None:
        with Everywhere():
            plain(self)

    tensor, as_tensor = (patch.object(torch, each.__name__, _told(each)) for each in VALUES)
    with Everywhere(), tensor, as_tensor, patch.object(Thread, "run", run):
        yield


VALUES = (torch.tensor, torch.as_tensor)  # of Python values, which no dispatch sees


def _told(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def made(data: Any, *, device: torch.device = CPU, **kwargs: Any) -> Tensor:
        return plain(data, device=CPU, **kwargs).to(device)

    return made
