"""Values: rows written out in the statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensorsql.cancellation import check_cancelled
from tensorsql.operators.columns.layouts import null_column
from tensorsql.operators.columns.literals import literal_column
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.runtime.kept_rows import Columns, KeptRows
from tensorsql.operators.runtime.program import Context, Run
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import Expression, Literal
from tensorsql.planner.plans.logical import LiteralRows, Values
from tensorsql.storage.columns.changes import to_device
from tensorsql.storage.columns.column import Batch, Column
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import Type


def compile_values(plan: Values, node: int, compiler: Compiler) -> Stream:
    """A stream that starts at the rows."""
    return Stream(ValuesRecipe(node, columns_of(plan.columns), plan.rows))


@dataclass(frozen=True)
class ValuesRecipe:
    """(id, type) of each column and the cells row by row."""

    node: int
    columns: Columns
    rows: tuple[tuple[Expression, ...], ...]

    def start(self, run: Run) -> KeptRows:
        """Evaluate every cell, over a row without columns."""
        cells = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        columns = {
            id: _column(column, kind, run.context)
            for (id, kind), column in zip(self.columns, cells, strict=True)
        }
        return KeptRows.of(self.columns, Batch(columns, len(self.rows)))


def compile_literal_rows(plan: LiteralRows, node: int, compiler: Compiler) -> Stream:
    """A stream that starts at literals kept by columns."""
    return Stream(LiteralsRecipe(node, columns_of(plan.columns), plan.values, plan.count))


@dataclass(frozen=True)
class LiteralsRecipe:
    """(id, type) of each column and its values."""

    node: int
    columns: Columns
    values: tuple[tuple[Any, ...], ...]
    count: int

    def start(self, run: Run) -> KeptRows:
        """Make the columns."""
        columns: dict[int, Column] = {}
        for (id, kind), values in zip(self.columns, self.values, strict=True):
            check_cancelled()
            columns[id] = to_device(literal_column(values, kind), run.context.device)
        return KeptRows.of(self.columns, Batch(columns, self.count))


def _column(cells: tuple[Expression, ...], kind: Type, context: Context) -> Column:
    if not cells:
        return null_column(kind, 0, context.device)
    literals = [cell for cell in cells if isinstance(cell, Literal)]
    if len(literals) == len(cells):
        return to_device(literal_column([cell.value for cell in literals], kind), context.device)
    return concat(compile_expressions(cells, context)(Batch({}, 1)))
