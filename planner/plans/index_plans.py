"""Plan nodes that bounds indexes serve: filters and top-n over costly calls."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tensorsql.planner.plans.expressions import TRUE, AggregateCall, ColumnRef, Expression, SortKey
from tensorsql.planner.plans.plan import Assignments, Field, Fields, Plan, Unary, reassign, rekey
from tensorsql.storage.tables.catalog import IndexEntry

# One index a node may use: the indexed column, its stored name, the row id beside it, the entry.
IndexUse = tuple[ColumnRef, str, ColumnRef, IndexEntry]


@dataclass(frozen=True)
class IndexFilter(Unary):
    """Filter whose expensive conjuncts are decided by index bounds, row by row.

    Accepts where the interval of `predicate` is {TRUE}, rejects where it cannot be TRUE, verifies
    the rest exactly. Same rows as Filter, always.
    """

    input: Plan
    predicate: Expression
    indexes: tuple[IndexUse, ...] = ()

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self.predicate, *_used(self.indexes))

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        predicate, *used = expressions
        indexes = _reuse(self.indexes, used)
        return dataclasses.replace(self, predicate=predicate, indexes=indexes)


@dataclass(frozen=True)
class IndexTopN(Unary):
    """The first `count` rows after `offset` by `keys` among those where `predicate` is TRUE.

    Found best bound first: a row is skipped only if (bound, place) comes after the k-th (value,
    place).
    With `group_keys` the node also stands for the Aggregate below: its rows are groups in the order
    of their first rows, `keys` and `predicate` read the Aggregate's columns, `indexes` its input's.
    """

    input: Plan
    keys: tuple[SortKey, ...]
    count: int
    offset: int = 0
    predicate: Expression = TRUE
    indexes: tuple[IndexUse, ...] = ()
    group_keys: Assignments = ()
    aggregates: tuple[tuple[Field, AggregateCall], ...] = ()

    @cached_property
    def fields(self) -> Fields:
        if not self.group_keys:
            return self.input.fields
        return tuple(field for field, _ in (*self.group_keys, *self.aggregates))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        keys = (key.expression for key in self.keys)
        grouping = (expression for _, expression in (*self.group_keys, *self.aggregates))
        return (self.predicate, *keys, *grouping, *_used(self.indexes))

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        rest = iter(expressions)

        def following(items: tuple[Any, ...]) -> tuple[Expression, ...]:
            return tuple(itertools.islice(rest, len(items)))

        return dataclasses.replace(
            self,
            predicate=next(rest),
            keys=rekey(self.keys, following(self.keys)),
            group_keys=reassign(self.group_keys, following(self.group_keys)),
            aggregates=reassign(self.aggregates, following(self.aggregates)),
            indexes=_reuse(self.indexes, list(rest)),
        )


def _used(indexes: tuple[IndexUse, ...]) -> tuple[Expression, ...]:
    return tuple(column for use in indexes for column in (use[0], use[2]))


def _reuse(indexes: tuple[IndexUse, ...], columns: list[Expression]) -> tuple[IndexUse, ...]:
    pairs = zip(columns[::2], columns[1::2], strict=True)
    return tuple(
        (column, use[1], row_id, use[3])  # type: ignore[misc]
        for use, (column, row_id) in zip(indexes, pairs, strict=True)
    )
