"""Project: computed columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.functions.ranges import StoredColumns, counted_columns
from tensorsql.operators.runtime.program import Operator, Run
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.planner.plans.expressions import ColumnRef, Expression
from tensorsql.planner.plans.logical import Project
from tensorsql.storage.columns.column import Batch


def compile_project(plan: Project, node: int, compiler: Compiler) -> Stream:
    """The input's stream with the computed columns in place of its own."""
    (stream,) = compiler.inputs(plan, node)
    assignments = tuple((field.id, expression) for field, expression in plan.assignments)
    counted = counted_columns(plan.input, [expression for _, expression in assignments])
    return stream.then(ProjectRecipe(node, assignments, counted))


@dataclass(frozen=True)
class ProjectRecipe:
    """Output column ids, what computes them, and the stored columns behind it by input id."""

    node: int
    assignments: tuple[tuple[int, Expression], ...]
    counted: StoredColumns = field(default_factory=dict)

    def start(self, run: Run) -> Operator:
        """Renaming alone keeps selections; anything else computes dense columns."""
        references = [
            (id, expression.id)
            for id, expression in self.assignments
            if isinstance(expression, ColumnRef)
        ]
        if len(references) == len(self.assignments):
            return RenameOperator(tuple(references))
        expressions = [expression for _, expression in self.assignments]
        ids = tuple(id for id, _ in self.assignments)
        return ProjectOperator(ids, compile_expressions(expressions, run.context, self.counted))


@dataclass(frozen=True)
class RenameOperator:
    """Passes columns on under new ids, as (new, old)."""

    columns: tuple[tuple[int, int], ...]

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The same rows and selection."""
        yield replace(batch, columns={new: batch.columns[old] for new, old in self.columns})


@dataclass(frozen=True)
class ProjectOperator:
    """Computes columns for the selected rows."""

    ids: tuple[int, ...]
    expressions: Evaluator

    def process(self, batch: Batch) -> Iterator[Batch]:
        """A dense batch of the computed columns."""
        columns = dict(zip(self.ids, self.expressions(batch), strict=True))
        yield Batch(columns, batch.rows, None, batch.morsel)
