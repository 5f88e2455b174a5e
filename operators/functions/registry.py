"""Kernels by their path "module.function", imported when first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, cast

from tensorsql.errors import InternalError
from tensorsql.operators.functions.extent import Extent
from tensorsql.storage.columns.changes import to_device
from tensorsql.storage.columns.column import CPU, Column
from tensorsql.storage.columns.types import Kind

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Context
    from tensorsql.planner.plans.expressions import Call
    from tensorsql.planner.plans.signature import Signature

    Kernel = Callable[[Sequence[Column], Call, Extent], Column]
else:
    Kernel = object


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
