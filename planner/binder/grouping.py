"""GROUP BY: keys, grouping sets, and what stands above an Aggregate, which reads nothing below."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.ordering import column_position
from tensorsql.planner.binder.placeholders import (
    OuterAggregate,
    SubqueryExpression,
    UnnestExpression,
    contains,
    outer_aggregates,
)
from tensorsql.planner.binder.subqueries import plant
from tensorsql.planner.plans.expressions import (
    AggregateCall,
    ColumnRef,
    Expression,
    WindowCall,
    are_same,
    transform,
    walk,
)
from tensorsql.planner.plans.logical import Aggregate, Project
from tensorsql.planner.plans.plan import Field, Plan, fresh_id, new_field
from tensorsql.planner.plans.traversal import clone, transform_expressions

Sets = list[tuple[int, ...]]
MOST_SETS = 65_535  # as in DuckDB


def group_keys(
    node: exp.Group, binder: ExpressionBinder, select: list[Expression]
) -> tuple[list[Expression], GroupingSets] | None:
    """Distinct keys and, if there is more than one, the sets of them; None if there are none."""
    keys = Keys(binder, select)
    every = node.args.get("all")
    if every is False:
        raise UnsupportedError("GROUP BY DISTINCT is not supported", position(node))
    if every:
        for expression in select:
            if _is_key(expression):
                keys.add(expression)
        return (list(keys.places), None) if keys.places else None
    elements = node.expressions
    alternatives = [keys.sets(item) for item in elements]
    _check_count(math.prod(map(len, alternatives)), node)
    sets = [_union(parts) for parts in itertools.product(*alternatives)]
    several = any(isinstance(item, (exp.Rollup, exp.Cube, exp.GroupingSets)) for item in elements)
    return list(keys.places), tuple(sets) if several else None


def _check_count(count: int, node: exp.Expr) -> None:
    if count > MOST_SETS:
        raise BindError(
            f"GROUP BY makes more than {MOST_SETS:,} grouping sets; name fewer columns in CUBE or "
            "ROLLUP, or write the wanted sets with GROUPING SETS",
            position(node),
        )


def _union(parts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(parts)))


def _is_key(item: Expression) -> bool:
    """Whether GROUP BY ALL groups by an item of the select list: as in DuckDB not by constants."""
    parts = list(walk(item))
    if any(isinstance(part, (AggregateCall, WindowCall)) for part in parts):
        return False
    return any(isinstance(part, (ColumnRef, SubqueryExpression)) for part in parts)


class Keys:
    """The keys met so far, each once, with its place."""

    def __init__(self, binder: ExpressionBinder, select: list[Expression]) -> None:
        self.binder = binder
        self.select = select
        self.places: dict[Expression, int] = {}

    def add(self, expression: Expression) -> int:
        """The place of a key."""
        return self.places.setdefault(expression, len(self.places))

    def key(self, node: exp.Expr) -> int:
        """The place of an expression, alias or position of the select list."""
        place = column_position(node, len(self.select))
        return self.add(self.binder.bind(node) if place is None else self.select[place])

    def group(self, node: exp.Expr) -> tuple[int, ...]:
        """`a`, `(a, b)` or `()`."""
        if isinstance(node, exp.Tuple):
            return tuple(self.key(item) for item in node.expressions)
        return (self.key(node.this if isinstance(node, exp.Paren) else node),)

    def sets(self, node: exp.Expr) -> Sets:
        """The grouping sets one element of GROUP BY stands for."""
        match node:
            case exp.Rollup():
                _check_count(len(node.expressions) + 1, node)
                parts = [self.group(item) for item in node.expressions]
                return [_union(parts[:size]) for size in range(len(parts), -1, -1)]
            case exp.Cube():
                _check_count(2 ** len(node.expressions), node)
                parts = [self.group(item) for item in node.expressions]
                sizes = range(len(parts), -1, -1)
                return [
                    _union(chosen)
                    for size in sizes
                    for chosen in itertools.combinations(parts, size)
                ]
            case exp.GroupingSets():
                return [one for item in node.expressions for one in self.sets(item)]
        return [self.group(node)]


GroupingSets = tuple[tuple[int, ...], ...] | None


class Grouping:
    """One GROUP BY: rewrites expressions over its input into expressions over its output."""

    def __init__(self, plan: Plan, keys: Sequence[Expression], sets: GroupingSets) -> None:
        self.input = plan
        self.sets = sets
        self.keys = {key: new_field(_key_name(key), key.type) for key in keys}
        self.aggregates: dict[AggregateCall, Field] = {}
        self.subqueries: dict[int, SubqueryExpression] = {}
        self.hidden = {field.id: field.name for field in plan.fields}

    def above(self, expression: Expression) -> Expression:
        """The expression as seen above the Aggregate; BindError for a column that is no key."""
        if expression in self.keys:
            return self.keys[expression].ref()
        match expression:
            case AggregateCall():
                return self._aggregate(expression)
            case WindowCall():
                return self._window(expression)
            case SubqueryExpression():
                return self._subquery(expression)
            case OuterAggregate():
                return expression
            case ColumnRef() if expression.id in self.hidden:
                raise BindError(
                    f'column "{expression.name}" must appear in the GROUP BY clause or must be '
                    "part of an aggregate function; write for example "
                    f"any_value({expression.name})"
                )
        return _over_children(expression, self.above)

    def _subquery(self, expression: SubqueryExpression) -> Expression:
        """A copy that reads the keys; WHERE may have planted the original below."""
        copy = self.subqueries.get(expression.field.id)
        if copy is None:
            plan, ids = clone(expression.plan)
            old = expression.field
            field = Field(ids.get(old.id) or fresh_id(), old.name, old.type)
            condition = self.above(_renumbered(expression.condition, ids))
            plan = transform_expressions(plan, self._outer)
            copy = SubqueryExpression(expression.type, expression.kind, plan, condition, field)
            self.subqueries[old.id] = copy
        return copy

    def _outer(self, expression: Expression) -> Expression:
        """The same for an expression of a subquery, whose own aggregates stay."""
        if expression in self.keys:
            return self.keys[expression].ref()
        if isinstance(expression, OuterAggregate):
            return self._aggregate(expression.call) if expression.reads(self.hidden) else expression
        if isinstance(expression, ColumnRef):
            return self.above(expression)
        return _over_children(expression, self._outer)

    def _aggregate(self, call: AggregateCall) -> Expression:
        if any(self._aggregates_in(child) for child in call.children):
            raise BindError(f"aggregate {call.function.name} cannot contain another aggregate")
        if any(contains(child, WindowCall) for child in call.children):
            raise BindError(f"aggregate {call.function.name} cannot contain a window function")
        if any(contains(child, UnnestExpression) for child in call.children):
            raise BindError(f"aggregate {call.function.name} cannot contain UNNEST")
        if call not in self.aggregates:
            self.aggregates[call] = new_field(call.function.name, call.type)
        return self.aggregates[call].ref()

    def _aggregates_in(self, argument: Expression) -> bool:
        """Whether an aggregate that this query computes stands in an argument of another."""
        direct = (node for node in walk(argument) if isinstance(node, OuterAggregate))
        outer = (*direct, *outer_aggregates(argument))
        return contains(argument, AggregateCall) or any(call.reads(self.hidden) for call in outer)

    def _window(self, window: WindowCall) -> Expression:
        call = _over_children(window.call, self.above)
        return window.with_children((call, *map(self.above, window.children[1:])))

    def plan(self) -> Plan:
        """The Aggregate, over a Project that computes keys which are not plain columns."""
        calls = list(self.aggregates)
        planted, bound = plant(self.input, [*self.keys, *calls])
        keys, bound_calls = bound[: len(self.keys)], bound[len(self.keys) :]
        computed = [
            (new_field(field.name, key.type), key)
            for field, key in zip(self.keys.values(), keys, strict=True)
        ]
        extra = tuple((field, key) for field, key in computed if not isinstance(key, ColumnRef))
        if extra:
            own = tuple((field, field.ref()) for field in planted.fields)
            planted = Project(planted, (*own, *extra))
        sources = [key if isinstance(key, ColumnRef) else field.ref() for field, key in computed]
        pairs = zip(self.aggregates.values(), bound_calls, strict=True)
        aggregates = tuple(
            (field, call) for field, call in pairs if isinstance(call, AggregateCall)
        )
        assignments = tuple(zip(self.keys.values(), sources, strict=True))
        return Aggregate(planted, assignments, aggregates, self.sets)


def _key_name(key: Expression) -> str:
    return key.name if isinstance(key, ColumnRef) else "key"


def _renumbered(expression: Expression, ids: dict[int, int]) -> Expression:
    def rename(node: Expression) -> Expression:
        if isinstance(node, ColumnRef) and node.id in ids:
            return dataclasses.replace(node, id=ids[node.id])
        return node

    return transform(expression, rename)


def _over_children(
    expression: Expression, rewrite: Callable[[Expression], Expression]
) -> Expression:
    children = expression.children
    new = tuple(rewrite(child) for child in children)
    if are_same(new, children):
        return expression
    return expression.with_children(new)
