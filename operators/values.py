"""Values: rows written out in the statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorsql.operators.columns import null_column
from tensorsql.operators.evaluate import compile_expressions
from tensorsql.operators.program import Run
from tensorsql.operators.result import Columns, Rows
from tensorsql.planner.expressions import Expression
from tensorsql.planner.logical import Values
from tensorsql.storage.column import Batch
from tensorsql.storage.concat import concat

if TYPE_CHECKING:
    from tensorsql.operators.compiler import Compiler, Stream


def compile_values(plan: Values, node: int, compiler: Compiler) -> Stream:
    """A stream that starts at the rows."""
    from tensorsql.operators.compiler import Stream, columns_of

    return Stream(ValuesRecipe(node, columns_of(plan.columns), plan.rows))


@dataclass(frozen=True)
class ValuesRecipe:
    """(id, type) of each column and the cells row by row."""

    node: int
    columns: Columns
    rows: tuple[tuple[Expression, ...], ...]

    def start(self, run: Run) -> Rows:
        """Evaluate every cell, over a row without columns."""
        cells = [cell for row in self.rows for cell in row]
        values = compile_expressions(cells, run.context)(Batch({}, 1)) if cells else []
        width = len(self.columns)
        columns = {
            id: concat(values[place::width]) if self.rows else null_column(kind, 0)
            for place, (id, kind) in enumerate(self.columns)
        }
        return Rows([Batch(columns, len(self.rows))], self.columns)
