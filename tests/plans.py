"""Plans by hand over small in-memory relations, run at any morsel size and thread count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tensorsql.operators.columns.literals import literal_column, to_python
from tensorsql.operators.compiler import compile_plan
from tensorsql.operators.runtime.program import Context
from tensorsql.operators.runtime.scheduler import run
from tensorsql.planner.functions.resolve import resolve, resolve_aggregate
from tensorsql.planner.plans.expressions import AggregateCall, Expression, Literal, SortKey
from tensorsql.planner.plans.logical import Scan
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.storage.columns.column import Column, slice_column
from tensorsql.storage.columns.types import BIGINT, DOUBLE, INTEGER, VARCHAR, Type
from tensorsql.storage.tables.catalog import ColumnSchema, Relation, TableSchema

MODES = [(1, 1), (7, 2), (7, 1), (131072, 1), (0, 2), (1, 2)]


@dataclass
class MemoryReader:
    """A Reader over columns in memory; `deleted` positions are not live."""

    columns: dict[str, Column]
    deleted: frozenset[int] = frozenset()

    def read(self, column: str, start: int, stop: int) -> Column:
        return slice_column(self.columns[column], start, stop)

    def live(self, start: int, stop: int) -> Tensor | None:
        if not self.deleted:
            return None
        return torch.tensor([place not in self.deleted for place in range(start, stop)])

    def row_ids(self, start: int, stop: int) -> Tensor:
        return torch.arange(start, stop) + 100

    def positions(self, row_ids: Tensor) -> Tensor:
        return row_ids - 100

    def __call__(self) -> MemoryReader:
        return self


def table(
    names: dict[str, Type], rows: Sequence[Sequence[Any]], deleted: frozenset[int] = frozenset()
) -> Scan:
    """A Scan of all columns of a relation with these rows."""
    cells = [[row[place] for row in rows] for place in range(len(names))]
    columns = {
        name: literal_column(values, kind)
        for (name, kind), values in zip(names.items(), cells, strict=True)
    }
    schema = TableSchema("t", tuple(ColumnSchema(name, kind) for name, kind in names.items()))
    reader = MemoryReader(columns, deleted)
    relation = Relation("t", schema, len(rows), len(rows) - len(deleted), reader)
    fields = tuple((new_field(name, kind), name) for name, kind in names.items())
    return Scan(relation, fields, new_field("rowid", BIGINT))


def ref(plan: Plan, name: str) -> Expression:
    """A reference to a plan's column."""
    return next(field.ref() for field in plan.fields if field.name == name)


def call(name: str, *arguments: Any) -> Expression:
    """A resolved call; Python numbers and text become literals."""
    return resolve(name, [literal(argument) for argument in arguments])


def literal(value: Any) -> Expression:
    """An expression as it is, a Python value as a Literal."""
    if isinstance(value, Expression):
        return value
    kinds: dict[type, Type] = {int: INTEGER, float: DOUBLE, str: VARCHAR}
    return Literal(kinds[type(value)], value)


def aggregate(name: str, *arguments: Any, **options: Any) -> tuple[Field, AggregateCall]:
    """An aggregate assignment with a fresh field."""
    found = resolve_aggregate(name, [literal(argument) for argument in arguments])
    found = replace(found, **options)
    return new_field(name, found.type), found


def key(expression: Expression, descending: bool = False, nulls_first: bool = False) -> SortKey:
    """An ORDER BY item."""
    return SortKey(expression, descending, nulls_first)


def execute(plan: Plan, size: int = 131072, threads: int = 2) -> list[tuple[Any, ...]]:
    """The plan's rows as Python values, in order."""
    context = Context({"morsel_size": size, "threads": threads})
    batch = run(compile_plan(plan, context), context).read(0, 0)
    columns = [to_python(batch.columns[field.id]) for field in plan.fields]
    return list(zip(*columns, strict=True)) if columns else [()] * batch.count


def everywhere(plan: Plan) -> list[tuple[Any, ...]]:
    """The rows, the same to the bit at every morsel size and thread count."""
    first, *others = (execute(plan, size, threads) for size, threads in MODES)
    for other in others:
        assert repr(other) == repr(first)
    return first
