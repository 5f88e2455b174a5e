"""TableCall: what a table function needs beyond ordinary plan nodes. One entry per function."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tensorsql.errors import InternalError
from tensorsql.operators.program import Run, Source
from tensorsql.planner.logical import TableCall
from tensorsql.storage.column import Batch, Flat
from tensorsql.storage.types import BIGINT

if TYPE_CHECKING:
    from tensorsql.operators.compiler import Compiler, Stream


def compile_table_call(plan: TableCall, node: int, compiler: Compiler) -> Stream:
    """The stream of a table function's rows."""
    compile_function = TABLE_CALLS.get(plan.function.name)
    if compile_function is None:
        raise InternalError(f"there is no table function {plan.function.name}")
    return compile_function(plan, node, compiler)


def number_rows(plan: TableCall, node: int, compiler: Compiler) -> Stream:
    """The input's rows in their order, and in the last column their numbers from 1."""
    from tensorsql.operators.compiler import Stream

    (stream,) = compiler.inputs(plan, node)
    number = compiler.collect(stream, node, plan.data[0].fields)
    return Stream(NumberedRecipe(node, number, plan.columns[-1].id))


@dataclass(frozen=True)
class NumberedRecipe:
    """The pipeline whose result is numbered, and the id of the number's column."""

    node: int
    number: int
    id: int

    @property
    def reads(self) -> tuple[int, ...]:
        """The result read."""
        return (self.number,)

    def start(self, run: Run) -> Source:
        """The result with one more column."""
        return Numbered(run.results[self.number], self.id)


@dataclass(frozen=True)
class Numbered:
    """A source whose row i (from 0) has the number i + 1."""

    rows: Source
    id: int

    def morsels(self, size: int) -> int:
        """Those of the rows."""
        return self.rows.morsels(size)

    def read(self, morsel: int, size: int) -> Batch:
        """A morsel with its numbers."""
        batch = self.rows.read(morsel, size)
        start = morsel * size
        numbers = torch.arange(start + 1, start + 1 + batch.count, dtype=torch.int64)
        columns = {**batch.columns, self.id: Flat(BIGINT, numbers)}
        return dataclasses.replace(batch, columns=columns)


TABLE_CALLS: dict[str, Callable[[TableCall, int, Compiler], Stream]] = {"number_rows": number_rows}
