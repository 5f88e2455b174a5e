"""A toy operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tensorsql.operators.runtime.program import Run
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.planner.plans.every_other import EveryOther
from tensorsql.storage.columns.column import Batch


def compile_every_other(plan: EveryOther, node: int, compiler: Compiler) -> Stream:
    """The input's stream with the operator."""
    (stream,) = compiler.inputs(plan, node)
    return stream.then(EveryOtherRecipe(node))


@dataclass(frozen=True)
class EveryOtherRecipe:
    """Needs nothing."""

    node: int

    def start(self, run: Run) -> EveryOtherOperator:
        """The operator."""
        return EveryOtherOperator()


@dataclass(frozen=True)
class EveryOtherOperator:
    """Narrows the selection; the rows of a toy fit one batch."""

    def process(self, batch: Batch) -> Iterator[Batch]:
        """Rows 0, 2, 4 …"""
        yield batch.select(torch.arange(0, batch.rows, 2, dtype=torch.int32))
