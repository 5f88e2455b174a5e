"""The logical plan: frozen nodes, columns as unique ids, traversal derived from the fields.

Every node answers `fields`, its output columns in order. A node that computes a column gives it a
fresh id (`fresh_id`); ids are never reused, so no rule can capture a name. Shared subplans (CTEs)
are `Reference`s to a `Shared` definition. Rules are pure: they return the very same node where they
do not apply.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tensorsql.planner.expressions import (
    TRUE,
    AggregateCall,
    ColumnRef,
    Expression,
    SortKey,
    WindowCall,
)
from tensorsql.planner.functions import Signature
from tensorsql.storage.catalog import IndexEntry, Relation
from tensorsql.storage.types import Type

_ids = itertools.count(1)


def fresh_id() -> int:
    """A column id no other column has."""
    return next(_ids)


@dataclass(frozen=True)
class Field:
    """An output column: unique id, display name, type."""

    id: int
    name: str
    type: Type

    def ref(self) -> ColumnRef:
        """An expression that reads this column."""
        return ColumnRef(self.type, self.id, self.name)


def new_field(name: str, type: Type) -> Field:
    """A field with a fresh id."""
    return Field(fresh_id(), name, type)


Fields = tuple[Field, ...]
Assignments = tuple[tuple[Field, Expression], ...]
JoinKind = Literal["inner", "left", "right", "full", "semi", "anti", "mark", "single"]


@dataclass(frozen=True)
class Plan:
    """Base of all nodes."""

    @property
    def fields(self) -> Fields:
        """Output columns in order."""
        raise NotImplementedError

    @property
    def inputs(self) -> tuple[Plan, ...]:
        """Input plans in order."""
        return ()

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        """The same node over other inputs (which offer the same columns)."""
        return self

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Every expression the node evaluates, in order."""
        return ()

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        """The same node with its expressions replaced one for one."""
        return self


class Unary(Plan):
    """Helper: a node with one `input` field."""

    input: Plan

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        return dataclasses.replace(self, input=inputs[0])  # type: ignore[call-arg]


@dataclass(frozen=True)
class Scan(Plan):
    """Rows of a stored or registered relation: `columns` pairs output field and column name.

    `row_id` is the field of the 64-bit row id, if anything reads it. `predicate` may be used to
    skip morsels by statistics (zone maps); a Filter above it still decides.
    """

    relation: Relation
    columns: tuple[tuple[Field, str], ...]
    row_id: Field | None = None
    predicate: Expression = TRUE
    alias: str = ""

    @property
    def fields(self) -> Fields:
        own = tuple(field for field, _ in self.columns)
        return own if self.row_id is None else (*own, self.row_id)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self.predicate,)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, predicate=expressions[0])


@dataclass(frozen=True)
class Values(Plan):
    """Literal rows. No rows = the empty relation; one row without fields = SELECT without FROM."""

    columns: Fields
    rows: tuple[tuple[Expression, ...], ...]

    @property
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
class TableCall(Plan):
    """A table function: `arguments` are (name, constant or outer expression), `data` input plans.

    `options` hold what the binder resolved (model entry, layer, provenance, …).
    """

    function: Signature
    arguments: tuple[tuple[str, Expression], ...]
    data: tuple[Plan, ...]
    columns: Fields
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def fields(self) -> Fields:
        return self.columns

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return self.data

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        return dataclasses.replace(self, data=inputs)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(expression for _, expression in self.arguments)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        names = (name for name, _ in self.arguments)
        return dataclasses.replace(self, arguments=tuple(zip(names, expressions, strict=True)))

    def option(self, name: str) -> Any:
        """A resolved option, or None."""
        return dict(self.options).get(name)


@dataclass(frozen=True)
class Filter(Unary):
    """Rows for which the predicate is TRUE (not FALSE, not NULL)."""

    input: Plan
    predicate: Expression

    @property
    def fields(self) -> Fields:
        return self.input.fields

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

    @property
    def fields(self) -> Fields:
        return tuple(field for field, _ in self.assignments)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(expression for _, expression in self.assignments)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, assignments=_reassign(self.assignments, expressions))


@dataclass(frozen=True)
class Join(Plan):
    """left ⋈ right on `condition` (TRUE = cross join).

    semi/anti output the left columns; mark adds the BOOLEAN `mark` (TRUE, FALSE, or NULL where no
    row is TRUE and some comparison is NULL); single is left outer and raises on a second match.
    `null_aware` anti = NOT IN.
    """

    kind: JoinKind
    left: Plan
    right: Plan
    condition: Expression = TRUE
    mark: Field | None = None

    @property
    def fields(self) -> Fields:
        return join_fields(self.kind, self.left, self.right, self.mark)

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.left, self.right)

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        return dataclasses.replace(self, left=inputs[0], right=inputs[1])

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self.condition,)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, condition=expressions[0])


@dataclass(frozen=True)
class DependentJoin(Plan):
    """A join whose right side may read columns of the left: what the binder emits for every

    correlated (or not) subquery, LATERAL and table function with outer arguments. The rule
    `unnest_dependent_joins` removes all of them; none reaches the compiler.
    """

    kind: Literal["inner", "left", "semi", "anti", "mark", "single"]
    left: Plan
    right: Plan
    condition: Expression = TRUE
    mark: Field | None = None

    @property
    def fields(self) -> Fields:
        return join_fields(self.kind, self.left, self.right, self.mark)

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.left, self.right)

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        return dataclasses.replace(self, left=inputs[0], right=inputs[1])

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self.condition,)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, condition=expressions[0])


@dataclass(frozen=True)
class Aggregate(Unary):
    """GROUP BY keys with aggregates; no keys = one row, also over no rows.

    `grouping_sets` are index tuples into keys (None = one set of all keys); a key outside a row's
    set is NULL. `grouping` fields, if any, tell the sets apart.
    """

    input: Plan
    keys: Assignments
    aggregates: tuple[tuple[Field, AggregateCall], ...]
    grouping_sets: tuple[tuple[int, ...], ...] | None = None

    @property
    def fields(self) -> Fields:
        return tuple(field for field, _ in (*self.keys, *self.aggregates))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(expression for _, expression in (*self.keys, *self.aggregates))

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        count = len(self.keys)
        aggregates = _reassign(self.aggregates, expressions[count:])
        keys = _reassign(self.keys, expressions[:count])
        return dataclasses.replace(self, keys=keys, aggregates=aggregates)


@dataclass(frozen=True)
class Window(Unary):
    """Adds one column per window call; rows and their order stay."""

    input: Plan
    calls: tuple[tuple[Field, WindowCall], ...]

    @property
    def fields(self) -> Fields:
        return (*self.input.fields, *(field for field, _ in self.calls))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(call for _, call in self.calls)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, calls=_reassign(self.calls, expressions))


@dataclass(frozen=True)
class Sort(Unary):
    """Rows in the order of `keys`; ties keep the input's order (stable)."""

    input: Plan
    keys: tuple[SortKey, ...]

    @property
    def fields(self) -> Fields:
        return self.input.fields

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(key.expression for key in self.keys)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, keys=_rekey(self.keys, expressions))


@dataclass(frozen=True)
class Limit(Unary):
    """Rows offset … offset + count - 1 of the input's order; count None = all."""

    input: Plan
    count: int | None
    offset: int = 0

    @property
    def fields(self) -> Fields:
        return self.input.fields


@dataclass(frozen=True)
class TopN(Unary):
    """Sort and Limit in one, keeping only offset + count rows at any time."""

    input: Plan
    keys: tuple[SortKey, ...]
    count: int
    offset: int = 0

    @property
    def fields(self) -> Fields:
        return self.input.fields

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(key.expression for key in self.keys)

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return dataclasses.replace(self, keys=_rekey(self.keys, expressions))


@dataclass(frozen=True)
class Distinct(Unary):
    """The first row of each distinct combination of `on` (None = all columns)."""

    input: Plan
    on: tuple[Expression, ...] | None = None

    @property
    def fields(self) -> Fields:
        return self.input.fields

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return self.on or ()

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        return self if self.on is None else dataclasses.replace(self, on=expressions)


@dataclass(frozen=True)
class SetOperation(Plan):
    """UNION, INTERSECT or EXCEPT of two inputs whose columns match by position and type."""

    kind: Literal["union", "intersect", "except"]
    all: bool
    left: Plan
    right: Plan
    columns: Fields

    @property
    def fields(self) -> Fields:
        return self.columns

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.left, self.right)

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        return dataclasses.replace(self, left=inputs[0], right=inputs[1])


@dataclass(frozen=True)
class Unnest(Unary):
    """One row per element of a LIST expression, beside the input's columns."""

    input: Plan
    element: Field
    expression: Expression
    ordinality: Field | None = None

    @property
    def fields(self) -> Fields:
        extra = (self.element,) if self.ordinality is None else (self.element, self.ordinality)
        return (*self.input.fields, *extra)

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

    @property
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

    @property
    def fields(self) -> Fields:
        return tuple(field for field, _ in self.columns)


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
    def fields(self) -> Fields:
        return self.input.fields

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self.predicate, *_used(self.indexes))

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        predicate, *used = expressions
        indexes = _reuse(self.indexes, used)
        return dataclasses.replace(self, predicate=predicate, indexes=indexes)


@dataclass(frozen=True)
class IndexTopN(Unary):
    """The first `count` rows after `offset` by `keys` among those where `predicate` is TRUE, found

    best bound first: a row is skipped only if (bound, place) comes after the k-th (value, place).
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

    @property
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
            keys=_rekey(self.keys, following(self.keys)),
            group_keys=_reassign(self.group_keys, following(self.group_keys)),
            aggregates=_reassign(self.aggregates, following(self.aggregates)),
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


def join_fields(kind: str, left: Plan, right: Plan, mark: Field | None) -> Fields:
    """Output columns of a join of this kind."""
    if kind in ("semi", "anti"):
        return left.fields
    if kind == "mark":
        assert mark is not None
        return (*left.fields, mark)
    return (*left.fields, *right.fields)


def _reassign(assignments: Any, expressions: tuple[Expression, ...]) -> Any:
    return tuple((field, new) for (field, _), new in zip(assignments, expressions, strict=True))


def _rekey(keys: tuple[SortKey, ...], expressions: tuple[Expression, ...]) -> tuple[SortKey, ...]:
    return tuple(
        SortKey(new, key.descending, key.nulls_first)
        for key, new in zip(keys, expressions, strict=True)
    )


def transform_up(plan: Plan, rewrite: Callable[[Plan], Plan]) -> Plan:
    """Rewrite inputs first, then the node; returns the same object where nothing changed."""
    inputs = plan.inputs
    new = tuple(transform_up(child, rewrite) for child in inputs)
    if any(a is not b for a, b in zip(new, inputs, strict=True)):
        plan = plan.with_inputs(new)
    return rewrite(plan)


def transform_expressions(plan: Plan, rewrite: Callable[[Expression], Expression]) -> Plan:
    """Apply `rewrite` to each top expression of every node; same object where nothing changed."""

    def node(current: Plan) -> Plan:
        old = current.expressions
        new = tuple(rewrite(expression) for expression in old)
        if all(a is b for a, b in zip(new, old, strict=True)):
            return current
        return current.with_expressions(new)

    return transform_up(plan, node)


def walk_plan(plan: Plan) -> Iterator[Plan]:
    """The node and everything below it, parents first."""
    yield plan
    for child in plan.inputs:
        yield from walk_plan(child)


def clone(plan: Plan) -> tuple[Plan, dict[int, int]]:
    """The same plan with fresh ids for every column it defines, and the map old id → new id."""
    mapping: dict[int, int] = {}

    def renew(field: Field) -> Field:
        if field.id not in mapping:
            mapping[field.id] = fresh_id()
        return Field(mapping[field.id], field.name, field.type)

    for node in walk_plan(plan):
        for field in node.fields:
            renew(field)
    return _renumber(plan, mapping), mapping


def renumber(plan: Plan, mapping: dict[int, int]) -> Plan:
    """Rename column ids throughout, in definitions and uses alike."""
    return _renumber(plan, mapping)


def _renumber(plan: Plan, mapping: dict[int, int]) -> Plan:
    def value(item: Any) -> Any:
        if isinstance(item, Field):
            return dataclasses.replace(item, id=mapping.get(item.id, item.id))
        if isinstance(item, Plan):
            return _renumber(item, mapping)
        if isinstance(item, ColumnRef):
            return dataclasses.replace(item, id=mapping.get(item.id, item.id))
        if isinstance(item, Expression | SortKey):
            return _rebuild(item, value)
        if isinstance(item, tuple):
            return tuple(value(part) for part in item)
        return item

    if isinstance(plan, Reference):
        columns = tuple((value(field), source) for field, source in plan.columns)
        return dataclasses.replace(plan, columns=columns)
    return _rebuild(plan, value)  # type: ignore[no-any-return]


def _rebuild(node: Any, value: Callable[[Any], Any]) -> Any:
    changes = {}
    for item in dataclasses.fields(node):
        old = getattr(node, item.name)
        if isinstance(old, Signature | Relation | Type):
            continue
        new = value(old)
        if new is not old:
            changes[item.name] = new
    return dataclasses.replace(node, **changes) if changes else node
