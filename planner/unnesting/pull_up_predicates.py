"""Correlated filters at the top of a subquery, as part of the join's condition."""

from __future__ import annotations

from tensorsql.planner.plans.expressions import (
    Expression,
    columns_of,
    conjunction,
    conjuncts,
    is_fallible,
)
from tensorsql.planner.plans.logical import Filter, Project
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
        kept = [part for part in parts if part not in mine]
        if not mine and input is plan.input:
            return plan
        return Filter(input, conjunction(kept)) if kept else input
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
