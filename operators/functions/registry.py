"""Kernels by their path "module.function", and what one knows of the rows it computes on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import torch
from torch import Tensor

from tensorsql.errors import InternalError
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.plans.expressions import Call
from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.changes import to_device
from tensorsql.storage.columns.column import CPU, Column
from tensorsql.storage.columns.types import Kind


@dataclass(slots=True)
class Extent:
    """`count` rows, of which those where `active` is TRUE (None = all) may raise an error.

    `proven`: the evaluator knows from value ranges that integer results fit, so kernels need not
    check. Expensive kernels may skip rows that are not active.
    """

    count: int
    active: Tensor | None
    context: Context
    proven: bool = False

    @property
    def device(self) -> torch.device:
        """Where the rows lie."""
        return self.context.device

    def failing(self, bad: Tensor) -> int | None:
        """The first active row where `bad` is TRUE, or None."""
        if not bool(bad.any()):
            return None
        if self.active is not None:
            bad = bad & self.active
        rows = torch.nonzero(bad)
        return int(rows[0, 0]) if rows.shape[0] else None


def narrowed(active: Tensor | None, rows: Tensor | None) -> Tensor | None:
    """Rows active in both; None = all."""
    if active is None or rows is None:
        return rows if active is None else active
    return active & rows


def live_rows(extent: Extent, column: Column) -> Tensor | None:
    """Rows that are active and valid in the column."""
    return narrowed(extent.active, column.validity)


Kernel = Callable[[Sequence[Column], Call, Extent], Column]

# Modules and kernels that calculate on the CPU, and the types that `casts` reads and writes there.
CPU_ONLY = frozenset(
    {"masks", "patterns", "strings", "dates.monthname", "dates.dayname", "dates.strftime"}
)
WRITTEN = (Kind.BLOB, Kind.LIST, Kind.STRUCT, Kind.TENSOR)


def is_of_cpu(call: Call) -> bool:
    """Whether the call's kernel takes columns that lie on the CPU, wherever those of others do."""
    path = call.function.kernel
    module = path.partition(".")[0]
    types = (call.type, *(arg.type for arg in call.args))
    casts = module == "casts" and any(type.is_text or type.kind in WRITTEN for type in types)
    return casts or module in CPU_ONLY or path in CPU_ONLY


def on_cpu(kernel: Kernel) -> Kernel:
    """The kernel over columns brought to the CPU; its own goes where the rows lie."""

    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
        if extent.device == CPU:
            return kernel(arguments, call, extent)
        active = None if extent.active is None else extent.active.to(CPU)
        here = Extent(extent.count, active, replace(extent.context, device=CPU), extent.proven)
        near = [to_device(argument, CPU) for argument in arguments]
        return to_device(kernel(near, call, here), extent.device)

    return run


def kernel_for(signature: Signature, context: Context) -> Kernel:
    """The kernel of a function: the session's own of that path, or one of this folder."""
    services = context.services
    own = None if services is None else services.kernels.get(signature.kernel)
    return kernel_of(signature.kernel) if own is None else cast("Kernel", own)


@cache
def kernel_of(path: str) -> Kernel:
    """The kernel a signature names; raises InternalError if there is none."""
    module, _, name = path.partition(".")
    try:
        kernel = getattr(importlib.import_module(f"tensorsql.operators.functions.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise InternalError(f"there is no kernel {path}") from error
    return cast("Kernel", kernel)
