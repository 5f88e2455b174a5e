"""Expressions that live only while a SELECT is bound, until a plan node gives them a column."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from tensorsql.planner.plans.expressions import (
    AggregateCall,
    Expression,
    WindowCall,
    columns_of,
    kinds_of,
    walk,
)
from tensorsql.planner.plans.memo import hashed_once, remembered
from tensorsql.planner.plans.plan import Field, Plan

Node = TypeVar("Node", bound=Expression)


@hashed_once
@dataclass(frozen=True)
class SubqueryExpression(Expression):
    """A subquery as a value: `single` gives `field` of its only row, `mark` whether any row

    meets `condition` (over columns outside and of `plan`; three-valued). A mark may as well become
    a semi or anti join.
    """

    kind: Literal["single", "mark"]
    plan: Plan
    condition: Expression
    field: Field

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.condition,)

    def with_children(self, children: tuple[Expression, ...]) -> SubqueryExpression:
        return dataclasses.replace(self, condition=children[0])


@hashed_once
@dataclass(frozen=True)
class UnnestExpression(Expression):
    """`UNNEST(list)` in a select list: `element` is the column its elements become."""

    list: Expression
    element: Field

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.list,)

    def with_children(self, children: tuple[Expression, ...]) -> UnnestExpression:
        return dataclasses.replace(self, list=children[0])


@hashed_once
@dataclass(frozen=True)
class OuterAggregate(Expression):
    """An aggregate of columns from outside its subquery: the query that has them computes it."""

    call: AggregateCall

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.call.children

    def with_children(self, children: tuple[Expression, ...]) -> OuterAggregate:
        return dataclasses.replace(self, call=self.call.with_children(children))

    def reads(self, columns: Container[int]) -> bool:
        """Whether a column of this set is aggregated."""
        return any(id in columns for id in columns_of(self.call))


@remembered
def left_outside(plan: Plan) -> frozenset[OuterAggregate]:
    """The aggregates in the plan that are left to a query around it."""
    below: Iterator[frozenset[OuterAggregate]] = map(left_outside, plan.inputs)
    own = (node for inner in plan.expressions for node in walk(inner))
    return frozenset(node for node in own if isinstance(node, OuterAggregate)).union(*below)


def outer_aggregates(expression: Expression) -> Iterator[OuterAggregate]:
    """Those in the expression's subqueries that are left to a query around them."""
    if not contains(expression, SubqueryExpression):
        return
    for node in walk(expression):
        if isinstance(node, SubqueryExpression):
            yield from left_outside(node.plan)


def is_plain(expression: Expression) -> bool:
    """Whether it can be computed from a row alone: no aggregate, window function or subquery."""
    special = (AggregateCall, OuterAggregate, WindowCall, SubqueryExpression, UnnestExpression)
    return not contains(expression, *special)


def contains(expression: Expression, *kinds: type[Expression]) -> bool:
    """Whether a node of one of these classes is somewhere in the expression."""
    return not kinds_of(expression).isdisjoint(kinds)


def distinct_nodes(expressions: Iterable[Expression], kind: type[Node]) -> list[Node]:
    """The nodes of a class in the expressions, in order, equal ones once."""
    nodes = dict.fromkeys(
        node
        for item in expressions
        if contains(item, kind)
        for node in walk(item)
        if isinstance(node, kind)
    )
    return list(nodes)
