"""The logical plan's nodes, one class each, in the field's words.

Every node answers `fields`, its output columns in order. Shared subplans (CTEs) are `Reference`s to
a `With` definition. Rules are pure: they return the very same node where they do not apply. The
nodes of bounds indexes are in `index_plans`, walking and rewriting in `traversal`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tensorsql.planner.plans.expressions import TRUE, AggregateCall, Expression, SortKey, WindowCall
from tensorsql.planner.plans.plan import (
    Assignments,
    Binary,
    Field,
    Fields,
    Plan,
    Unary,
    reassign,
    rekey,
)
from tensorsql.storage.tables.catalog import Relation

Side = Literal["left", "right"]
JoinKind = Literal["inner", "left", "right", "full", "semi", "anti", "mark", "single"]
DependentKind = Literal["inner", "left", "semi", "anti", "mark", "single"]


@dataclass(frozen=True)
class Scan(Plan):
    """Rows of a stored or registered relation: `columns` pairs output field and column name.

    `row_id` is the field of the 64-bit row id, if anything reads it.
    """

    relation: Relation
    columns: tuple[tuple[Field, str], ...]
    row_id: Field | None = None
    alias: str = ""

    @cached_property
    def fields(self) -> Fields:
        own = tuple(field for field, _ in self.columns)
        return own if self.row_id is None else (*own, self.row_id)


@dataclass(frozen=True)
class Values(Plan):
    """Literal rows. No rows = the empty relation; one row without fields = SELECT without FROM."""

    columns: Fields
    rows: tuple[tuple[Expression, ...], ...]

    @cached_property
    def fields(self) -> Fields:
        return self.columns

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(cell for row in self.rows for cell in row)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        width = len(self.columns)
        rows = tuple(
            expressions[start : start + width] for start in range(0, len(expressions), width)
        )
        return dataclasses.replace(self, rows=rows) if width else self


@dataclass(frozen=True)
class LiteralRows(Plan):
    """Rows of a long VALUES of nothing but literals, kept by columns: each value as a `Literal`

    of its field's type holds it.
    """

    columns: Fields
    values: tuple[tuple[Any, ...], ...]
    count: int

    @cached_property
    def fields(self) -> Fields:
        return self.columns


@dataclass(frozen=True)
class Filter(Unary):
    """Rows for which the predicate is TRUE (not FALSE, not NULL)."""

    input: Plan
    predicate: Expression

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self.predicate,)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, predicate=expressions[0])


@dataclass(frozen=True)
class Project(Unary):
    """Computes each field from its expression; a plain ColumnRef may keep the id it reads."""

    input: Plan
    assignments: Assignments

    @cached_property
    def fields(self) -> Fields:
        return tuple(field for field, _ in self.assignments)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(expression for _, expression in self.assignments)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, assignments=reassign(self.assignments, expressions))


class Joining(Binary):
    """Helper: what joins share."""

    kind: Any
    condition: Expression
    mark: Field | None

    @cached_property
    def fields(self) -> Fields:
        return join_fields(self.kind, self.left, self.right, self.mark)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self.condition,)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, condition=expressions[0])  # type: ignore[call-arg]


@dataclass(frozen=True)
class Join(Joining):
    """left ⋈ right on `condition` (TRUE = cross join).

    semi/anti output the left columns; mark adds the BOOLEAN `mark` (TRUE, FALSE, or NULL where no
    row is TRUE and some comparison is NULL); single is left outer and raises on a second match.
    The rows of the side `build` are kept and found by their keys, those of the other pass by.
    """

    kind: JoinKind
    left: Plan
    right: Plan
    condition: Expression = TRUE
    mark: Field | None = None
    build: Side = "right"


@dataclass(frozen=True)
class DependentJoin(Joining):
    """A join whose right side may read columns of the left.

    The binder emits one for every subquery, correlated or not, every LATERAL and every table
    function with outer arguments; the rule `unnest_dependent_joins` removes all of them.
    """

    kind: DependentKind
    left: Plan
    right: Plan
    condition: Expression = TRUE
    mark: Field | None = None


@dataclass(frozen=True)
class Aggregate(Unary):
    """GROUP BY keys with aggregates; no keys = one row, also over no rows.

    `grouping_sets` are index tuples into keys (None = one set of all keys); a key outside a row's
    set is NULL.
    """

    input: Plan
    keys: Assignments
    aggregates: tuple[tuple[Field, AggregateCall], ...]
    grouping_sets: tuple[tuple[int, ...], ...] | None = None

    @cached_property
    def fields(self) -> Fields:
        return tuple(field for field, _ in (*self.keys, *self.aggregates))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(expression for _, expression in (*self.keys, *self.aggregates))

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        count = len(self.keys)
        aggregates = reassign(self.aggregates, expressions[count:])
        keys = reassign(self.keys, expressions[:count])
        return dataclasses.replace(self, keys=keys, aggregates=aggregates)


@dataclass(frozen=True)
class Window(Unary):
    """Adds one column per window call; rows and their order stay."""

    input: Plan
    calls: tuple[tuple[Field, WindowCall], ...]

    @cached_property
    def fields(self) -> Fields:
        return (*self.input.fields, *(field for field, _ in self.calls))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(call for _, call in self.calls)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, calls=reassign(self.calls, expressions))


class Ordering(Unary):
    """Helper: what nodes with sort keys share."""

    keys: tuple[SortKey, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(key.expression for key in self.keys)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, keys=rekey(self.keys, expressions))  # type: ignore[call-arg]


@dataclass(frozen=True)
class Sort(Ordering):
    """Rows in the order of `keys`; ties keep the input's order (stable)."""

    input: Plan
    keys: tuple[SortKey, ...]


@dataclass(frozen=True)
class Limit(Unary):
    """Rows offset … offset + count - 1 of the input's order; count None = all."""

    input: Plan
    count: int | None
    offset: int = 0


@dataclass(frozen=True)
class TopN(Ordering):
    """Sort and Limit in one, keeping only offset + count rows at any time."""

    input: Plan
    keys: tuple[SortKey, ...]
    count: int
    offset: int = 0


@dataclass(frozen=True)
class Distinct(Unary):
    """The first row of each distinct combination of `on` (None = all columns)."""

    input: Plan
    on: tuple[Expression, ...] | None = None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return self.on or ()

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return self if self.on is None else dataclasses.replace(self, on=expressions)


@dataclass(frozen=True)
class SetOperation(Binary):
    """UNION, INTERSECT or EXCEPT of two inputs whose columns match by position and type."""

    kind: Literal["union", "intersect", "except"]
    all: bool
    left: Plan
    right: Plan
    columns: Fields

    @cached_property
    def fields(self) -> Fields:
        return self.columns


@dataclass(frozen=True)
class Unnest(Unary):
    """One row per element of a LIST expression, beside the input's columns but those dropped."""

    input: Plan
    element: Field
    expression: Expression
    ordinality: Field | None = None
    dropped: frozenset[int] = frozenset()  # ids: repeating a list per element would be quadratic

    @property
    def passed(self) -> Fields:
        """The input's columns that are repeated."""
        return tuple(field for field in self.input.fields if field.id not in self.dropped)

    @cached_property
    def fields(self) -> Fields:
        extra = (self.element,) if self.ordinality is None else (self.element, self.ordinality)
        return (*self.passed, *extra)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self.expression,)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, expression=expressions[0])


@dataclass(frozen=True)
class With(Plan):
    """Defines shared subplans (CTEs) for `body`; each runs once if any `Reference` reads it."""

    definitions: tuple[tuple[int, str, Plan], ...]  # (shared id, name, plan)
    body: Plan

    @cached_property
    def fields(self) -> Fields:
        return self.body.fields

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (*(plan for _, _, plan in self.definitions), self.body)

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        pairs = zip(self.definitions, inputs[:-1], strict=True)
        definitions = tuple((shared, name, plan) for (shared, name, _), plan in pairs)
        return With(definitions, inputs[-1])


@dataclass(frozen=True)
class Reference(Plan):
    """Reads a shared subplan: `columns` pairs a fresh output field with the definition's id."""

    shared: int
    name: str
    columns: tuple[tuple[Field, int], ...]

    @cached_property
    def fields(self) -> Fields:
        return tuple(field for field, _ in self.columns)


def join_fields(kind: str, left: Plan, right: Plan, mark: Field | None) -> Fields:
    """Output columns of a join of this kind."""
    if kind in ("semi", "anti"):
        return left.fields
    if kind == "mark":
        assert mark is not None
        return (*left.fields, mark)
    return (*left.fields, *right.fields)
