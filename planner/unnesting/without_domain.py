"""Subqueries that need no domain: correlated filters at their top, and rows made out of one row."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.plans.expressions import (
    TRUE,
    Expression,
    columns_of,
    conjunction,
    conjuncts,
    is_fallible,
)
from tensorsql.planner.plans.logical import DependentJoin, Filter, Project, Unnest, Values
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import free_columns


def pull_up_predicates(
    plan: Plan, condition: Expression, outer: frozenset[int]
) -> tuple[Plan, Expression]:
    """The plan without its correlated filters and the condition with them.

    `EXISTS (SELECT * FROM i WHERE i.k = o.k AND i.s <> 3)` → semi join on `i.k = o.k`.
    Only where nothing but filters and projections reads an outer column; otherwise all stays.
    """
    pulled: list[Expression] = []
    stripped = _strip(plan, outer, pulled)
    if stripped is None or free_columns(stripped) & outer:
        return plan, condition
    if not pulled:
        return stripped, condition
    return stripped, conjunction([*pulled, *conjuncts(condition)])


def _strip(plan: Plan, outer: frozenset[int], pulled: list[Expression]) -> Plan | None:
    """The plan without correlated conjuncts, which go to `pulled`; None where that cannot be."""
    if isinstance(plan, Filter):
        parts = conjuncts(plan.predicate)
        mine = [part for part in parts if columns_of(part) & outer]
        if any(is_fallible(part) for part in mine):
            return None
        input = _strip(plan.input, outer, pulled)
        if input is None:
            return None
        pulled.extend(mine)
        others = [part for part in parts if part not in mine]
        if not mine and input is plan.input:
            return plan
        return Filter(input, conjunction(others)) if others else input
    if isinstance(plan, Project):
        return _strip_project(plan, outer, pulled)
    return plan


def _strip_project(plan: Project, outer: frozenset[int], pulled: list[Expression]) -> Plan | None:
    """Columns the pulled conjuncts read are passed through."""
    input = _strip(plan.input, outer, pulled)
    if input is None or input is plan.input:
        return None if input is None else plan
    present = plan.ids
    read = {id for part in pulled for id in columns_of(part)} - present
    extra = tuple((field, field.ref()) for field in input.fields if field.id in read)
    return Project(input, (*plan.assignments, *extra))


def row_wise(join: DependentJoin, right: Plan) -> Plan | None:
    """The right side worked out over each row of the left, where it starts from a single row.

    `SELECT u FROM t, UNNEST(t.list) v(u)` repeats the rows of `t`; a join would compare lists.
    """
    if join.kind != "inner":
        return None
    worked_out = _over(join.left, right)
    if worked_out is None:
        return None
    if join.condition != TRUE:
        worked_out = Filter(worked_out, join.condition)
    wanted = tuple((field, field.ref()) for field in join.fields)
    return worked_out if worked_out.fields == join.fields else Project(worked_out, wanted)


def _over(left: Plan, right: Plan) -> Plan | None:
    """The chain of operators over other rows; None if it is none."""
    match right:
        case Values(columns=(), rows=((),)):
            return left
        case Filter() | Unnest():
            inner = _over(left, right.input)
            return None if inner is None else dataclasses.replace(right, input=inner)
        case Project():
            inner = _over(left, right.input)
            if inner is None:
                return None
            own = {field.id for field, _ in right.assignments}
            passed = tuple((f, f.ref()) for f in inner.fields if f.id not in own)
            return Project(inner, (*passed, *right.assignments))
    return None
