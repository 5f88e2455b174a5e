"""A loaded model: any torch module behind two questions, its output and a layer's output.

Every run has one batch shape, `batch` rows, the last one filled up with zeros: a row's activation
is *defined* as its value in such a batch. With the shape fixed, CPU convolutions and linear layers
give a row the same bits whichever rows share its batch (tested): values, bounds and ties are exact.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tensorsql.errors import BindError, DataError, Error, nearest
from tensorsql.storage.models.modules import first_tensor

CANONICAL_BATCH = 64


class _Reached(BaseException):
    """Carries a layer's output out of the forward pass: nothing behind the layer runs.

    A BaseException, because interpreters of exported graphs annotate every Exception.
    """

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class _Watch(threading.local):
    """What this thread's forward pass is to stop at: workers share the module, not the watch."""

    path: str | None = None
    calls_left: int = 0
    seen: list[tuple[str, Any]] | None = None


class Model:
    """A private module in eval mode. Thread-safe; leaves gradients and thread counts alone.

    `shape` is the shape of one row's input (None = not stated), `dtype` its element type; stored
    values are divided by `scale` first if there is one.
    """

    def __init__(
        self,
        module: nn.Module,
        shape: tuple[int, ...] | None,
        dtype: torch.dtype = torch.float32,
        scale: float | None = None,
        batch: int = CANONICAL_BATCH,
    ) -> None:
        self.module = module
        self.shape = shape
        self.dtype = dtype
        self.scale = scale
        self.batch = batch
        self._watch = _Watch()
        for path, part in module.named_modules():
            if path and not isinstance(part, torch.jit.ScriptModule):  # those run outside Python
                part.register_forward_hook(self._hook(path))

    def _hook(self, path: str) -> Callable[..., None]:
        def reached(_module: nn.Module, _inputs: Any, output: Any) -> None:
            watch = self._watch
            if watch.seen is not None:
                watch.seen.append((path, first_tensor(output)))
            elif watch.path == path:
                watch.calls_left -= 1
                if watch.calls_left < 0:
                    raise _Reached(first_tensor(output))

        return reached

    def prepare(self, rows: Tensor) -> Tensor:
        """Stored values [n, …] as the model's input [n, *shape]: scaled, cast, reshaped."""
        if self.scale is not None:
            rows = rows.to(self.dtype) / self.scale
        return rows.to(self.dtype).reshape(len(rows), *(self.shape or rows.shape[1:]))

    def outputs(self, rows: Tensor, layer: str | None = None) -> Tensor:
        """The model's, or a layer's, output [n, …] for prepared rows [n, *shape]; no rows: [0]."""
        parts = [
            self._run(part, layer)[: len(part)]
            for part in torch.split(rows, self.batch)
            if len(part)
        ]
        return torch.cat(parts) if parts else rows.new_zeros(0)

    def _run(self, rows: Tensor, layer: str | None) -> Tensor:
        missing = self.batch - len(rows)
        if missing:
            rows = torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])])
        output = self._forward(rows, layer)
        if not isinstance(output, Tensor) or output.dim() == 0 or len(output) != self.batch:
            what = "the model" if layer is None else f'layer "{layer}"'
            raise BindError(f"the output of {what} is not one tensor with a row per input")
        return output

    def _forward(self, rows: Tensor, layer: str | None) -> Any:
        watch = self._watch
        watch.path, _, call = (layer or "").partition("@")
        watch.calls_left = int(call or 0)
        try:
            with torch.no_grad():
                output = self.module(rows)
        except _Reached as reached:
            return reached.value
        except Error:
            raise
        except Exception as error:  # the module is the user's: whatever it raises is the data's
            shape = ", ".join(map(str, rows.shape[1:]))
            raise DataError(f"the model fails on inputs of shape [{shape}]: {error}") from error
        finally:
            watch.path = None
        if layer is not None:
            raise BindError(f'the model has no layer "{layer}"{nearest(layer, self.paths())}')
        return first_tensor(output)

    def paths(self) -> list[str]:
        """Module paths, whether or not the forward pass calls them."""
        return [path for path, _ in self.module.named_modules() if path]

    def trace(self) -> tuple[tuple[tuple[str, tuple[int, ...]], ...], tuple[int, ...]]:
        """(layer, shape of one row's output) in the order they run, and the output's shape.

        A module's later calls are `path@1`, `path@2`, …; modules without one tensor are left out.
        """
        seen: list[tuple[str, Any]] = []
        self._watch.seen = seen
        try:
            zeros = torch.zeros(self.batch, *(self.shape or ()), dtype=self.dtype)
            output = self._run(zeros, None)
        finally:
            self._watch.seen = None
        layers: dict[str, tuple[int, ...]] = {}
        calls: dict[str, int] = {}
        for path, value in seen:
            number = calls[path] = calls.get(path, -1) + 1
            if isinstance(value, Tensor) and value.dim() > 1 and len(value) == self.batch:
                layers[f"{path}@{number}" if number else path] = tuple(value.shape[1:])
        return tuple(layers.items()), tuple(output.shape[1:])
