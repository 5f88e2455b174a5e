"""Unnest: one row per element of a LIST, beside the row's columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tensorsql.operators import kernels
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.runtime.program import Run
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.planner.plans.expressions import Expression
from tensorsql.planner.plans.logical import Unnest
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Batch, Column, Flat, List, take
from tensorsql.storage.columns.types import BIGINT


def compile_unnest(plan: Unnest, node: int, compiler: Compiler) -> Stream:
    """The input's stream with its rows repeated per element."""
    (stream,) = compiler.inputs(plan, node)
    passed = tuple(field.id for field in plan.passed)
    ordinality = None if plan.ordinality is None else plan.ordinality.id
    return stream.then(UnnestRecipe(node, plan.expression, passed, plan.element.id, ordinality))


@dataclass(frozen=True)
class UnnestRecipe:
    """The LIST expression, the ids passed through, and those of element and its 1-based place."""

    node: int
    expression: Expression
    passed: tuple[int, ...]
    element: int
    ordinality: int | None

    def start(self, run: Run) -> UnnestOperator:
        """Compile the expression."""
        return UnnestOperator(self, compile_expressions([self.expression], run.context))


@dataclass(frozen=True)
class UnnestOperator:
    """Repeats rows; NULL and empty lists give none."""

    recipe: UnnestRecipe
    expression: Evaluator

    def process(self, batch: Batch) -> Iterator[Batch]:
        """One batch with all elements of the batch's lists."""
        column = expand(self.expression(batch)[0])
        if not isinstance(column, List):  # a NULL literal
            return
        starts = column.offsets[:-1]
        lengths = column.offsets[1:] - starts
        if column.validity is not None:
            lengths = lengths * column.validity
        rows, elements = kernels.ranges(starts, lengths)
        columns: dict[int, Column] = {id: take(batch.column(id), rows) for id in self.recipe.passed}
        columns[self.recipe.element] = take(expand(column.child), elements)
        if self.recipe.ordinality is not None:
            places = elements - starts.index_select(0, rows) + 1
            columns[self.recipe.ordinality] = Flat(BIGINT, places.to(torch.int64))
        yield Batch(columns, int(rows.shape[0]), None, batch.morsel)
