"""Grouping: what stands above an Aggregate reads its keys and aggregates, and nothing below it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tensorsql.errors import BindError
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
        known = self.subqueries.get(expression.field.id)
        if known is None:
            plan, ids = clone(expression.plan)
            old = expression.field
            field = Field(ids.get(old.id) or fresh_id(), old.name, old.type)
            condition = self.above(_renumbered(expression.condition, ids))
            plan = transform_expressions(plan, self._outer)
            known = SubqueryExpression(expression.type, expression.kind, plan, condition, field)
            self.subqueries[old.id] = known
        return known

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
            kept = tuple((field, field.ref()) for field in planted.fields)
            planted = Project(planted, (*kept, *extra))
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
