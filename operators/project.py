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
        plain = tuple((id, e.id) for id, e in self.assignments if isinstance(e, ColumnRef))
        others = {id: e for id, e in self.assignments if not isinstance(e, ColumnRef)}
        if not others:
            return RenameOperator(plain)
        computed = compile_expressions([*others.values()], run.context, self.counted)
        return ProjectOperator(plain, tuple(others), computed)


@dataclass(frozen=True)
class RenameOperator:
    """Passes columns on under new ids, as (new, old)."""

    columns: tuple[tuple[int, int], ...]

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The same rows and selection."""
        yield replace(batch, columns={new: batch.columns[old] for new, old in self.columns})


@dataclass(frozen=True)
class ProjectOperator:
    """Computes columns for the selected rows; others, as (new, old), stay as they are stored."""

    plain: tuple[tuple[int, int], ...]
    ids: tuple[int, ...]
    computed: Evaluator

    def process(self, batch: Batch) -> Iterator[Batch]:
        """A dense batch of both."""
        columns = {new: batch.column(old) for new, old in self.plain}
        columns |= zip(self.ids, self.computed(batch), strict=True)
        yield Batch(columns, batch.rows, None, batch.morsel)
