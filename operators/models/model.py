"""A loaded model: any torch module behind two questions, its output and a layer's output.

Every run has one batch shape, `batch` rows, the last one filled up with copies of its first row: a
row's activation is *defined* as its value in such a batch. With the shape fixed, CPU convolutions
and linear layers give a row the same bits whichever rows share its batch; a model that does not is
run `alone`, every batch full of one row (trial.py finds out). So values, bounds and ties are exact.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tensorsql.cancellation import check_cancelled, in_helper
from tensorsql.errors import BindError, DataError, Error, nearest
from tensorsql.operators.models.modules import first_tensor
from tensorsql.planner.analysis.model_inputs import misfit
from tensorsql.storage.tables.catalog import Running

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
    see: Callable[[str, Any], None] | None = None


class Model:
    """A private module in eval mode. Thread-safe; leaves gradients and thread counts alone.

    `shape` is the shape of one row's input (None = not stated), `dtype` its element type (`stated`
    if the file says it); stored values are divided by `scale` first if there is one.
    """

    def __init__(
        self,
        module: nn.Module,
        shape: tuple[int, ...] | None,
        dtype: torch.dtype | None = None,
        scale: float | None = None,
        batch: int = CANONICAL_BATCH,
    ) -> None:
        self.module = module
        self.shape = shape
        self.stated = dtype
        self.dtype = dtype or torch.float32
        self.scale = scale
        self.batch = batch
        self.alone = False
        self._watch = _Watch()
        for path, part in module.named_modules():
            if path and not isinstance(part, torch.jit.ScriptModule):  # those run outside Python
                part.register_forward_hook(self._hook(path))

    def _hook(self, path: str) -> Callable[..., None]:
        def reached(_module: nn.Module, _inputs: Any, output: Any) -> None:
            watch = self._watch
            if watch.see is not None:
                watch.see(path, first_tensor(output))
            elif watch.path == path:
                watch.calls_left -= 1
                if watch.calls_left < 0:
                    raise _Reached(first_tensor(output))

        return reached

    def run_as(self, running: Running) -> Model:
        """The same model, run the way it was when it was tried."""
        self.dtype = getattr(torch, running.element)
        self.batch, self.alone = running.batch, running.alone
        return self

    def prepare(self, rows: Tensor) -> Tensor:
        """Stored values [n, …] as the model's input [n, *shape]: scaled, cast, reshaped.

        DataError for values or shapes that the model does not take as they are.
        """
        shape = self.shape or tuple(rows.shape[1:])
        stored = str(rows.dtype).removeprefix("torch."), tuple(rows.shape[1:])
        wanted = str(self.dtype).removeprefix("torch."), shape
        reason = misfit(stored, wanted, scaled=self.scale is not None)
        if reason:
            raise DataError(reason)
        if self.scale is not None:
            rows = rows.to(torch.promote_types(self.dtype, torch.float32)) / self.scale
        return rows.to(self.dtype).reshape(len(rows), *shape)

    def outputs(self, rows: Tensor, layer: str | None = None) -> Tensor:
        """The model's, or a layer's, output [n, …] for prepared rows [n, *shape]; no rows: [0].

        REAL holds it, or DOUBLE where that takes more.
        """
        return in_helper(lambda: self._outputs(rows, layer))

    def _outputs(self, rows: Tensor, layer: str | None) -> Tensor:
        result = rows.new_zeros(0, dtype=torch.float32)
        step = 1 if self.alone else self.batch
        for start in range(0, len(rows), step):
            check_cancelled()
            part = rows[start : start + step]
            output = self._run(part, layer)
            if not start:
                result = output.new_empty(len(rows), *output.shape[1:])
            result[start : start + step] = output[: len(part)]
        return result

    def watched(self, rows: Tensor, see: Callable[[str, Any], None]) -> Tensor:
        """The output for a batch; `see` gets each layer's path and output as it runs."""
        self._watch.see = see
        try:
            return self._run(rows, None)
        finally:
            self._watch.see = None

    def _run(self, rows: Tensor, layer: str | None) -> Tensor:
        # A copy in any case: modules may write to their input, which can be the user's array.
        copies = rows[:1].expand(max(self.batch - len(rows), 0), *rows.shape[1:])
        batch = torch.cat([rows.contiguous(), copies])
        output = self.forward(batch, layer)
        if not isinstance(output, Tensor) or output.dim() == 0 or len(output) != len(batch):
            what = "the model" if layer is None else f'layer "{layer}"'
            raise BindError(f"the output of {what} is not one tensor with a row per input")
        return as_activation(output)

    def forward(self, rows: Tensor, layer: str | None = None) -> Any:
        """What the module gives for these rows as they are; DataError if it fails on them."""
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
            what = str(error).partition("\n\nWhile executing")[0]  # torch adds its own graph
            raise DataError(f"the model fails on inputs of shape [{shape}]: {what}") from error
        finally:
            watch.path = None
        if layer is not None:
            raise BindError(f'the model has no layer "{layer}"{nearest(layer, self.paths())}')
        return first_tensor(output)

    def paths(self) -> list[str]:
        """Module paths, whether or not the forward pass calls them."""
        return [path for path, _ in self.module.named_modules() if path]


def as_activation(value: Tensor) -> Tensor:
    """A layer's output as float32, or as float64 where that could lose digits."""
    if value.is_quantized:
        value = value.dequantize()
    if value.layout != torch.strided:
        value = value.to_dense()
    if value.is_complex():
        raise BindError("complex numbers are no activations")
    if value.dtype in (torch.int32, torch.int64, torch.float64):
        return value.double()
    return value.float()
