"""What a kernel knows of the rows it computes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tensorsql.operators.runtime.program import Context

if TYPE_CHECKING:
    from tensorsql.storage.columns.column import Column


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
