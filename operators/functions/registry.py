"""Kernels by their path "module.function", imported when first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from tensorsql.errors import InternalError

if TYPE_CHECKING:
    from tensorsql.operators.functions.frame import Frame
    from tensorsql.planner.plans.expressions import Call
    from tensorsql.storage.columns.column import Column

    Kernel = Callable[[Sequence[Column], Call, Frame], Column]
else:
    Kernel = object


@cache
def kernel_of(path: str) -> Kernel:
    """The kernel a signature names; raises InternalError if there is none."""
    module, _, name = path.partition(".")
    try:
        kernel = getattr(importlib.import_module(f"tensorsql.operators.functions.{module}"), name)
    except (ImportError, AttributeError) as error:
        raise InternalError(f"there is no kernel {path}") from error
    return cast("Kernel", kernel)
