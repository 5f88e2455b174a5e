"""Kernels over images of files, which are decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tensorsql.operators import kernels
from tensorsql.operators.functions.registry import Extent, live_rows
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Column, Flat, RowRef


def is_readable(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """Whether a value can be read; those that were read already can."""
    column = expand(arguments[0])
    flags = torch.ones(len(column), dtype=torch.bool, device=extent.device)
    readable = getattr(column.source, "readable", None) if isinstance(column, RowRef) else None
    if readable is not None:
        live = live_rows(extent, column)
        asked = kernels.nonzero(flags if live is None else live)
        flags[asked] = readable(column.rows[asked].cpu()).to(extent.device)  # type: ignore[union-attr]
    return Flat(call.type, flags)
