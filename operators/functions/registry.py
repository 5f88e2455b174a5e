"""Kernels by their path "module.function", imported when first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from tensorsql.errors import InternalError

if TYPE_CHECKING:
    from tensorsql.operators.functions.frame import Frame
    from tensorsql.operators.runtime.program import Context
    from tensorsql.planner.plans.expressions import Call
    from tensorsql.planner.plans.signature import Signature
    from tensorsql.storage.columns.column import Column

    Kernel = Callable[[Sequence[Column], Call, Frame], Column]
else:
    Kernel = object


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
