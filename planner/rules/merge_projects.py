"""Projections on projections."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.plans.expressions import (
    ColumnRef,
    Literal,
    columns_of,
    is_volatile,
    substitute,
)
from tensorsql.planner.plans.logical import Aggregate, Project
from tensorsql.planner.plans.plan import Fields, Plan
from tensorsql.planner.plans.traversal import transform_up, works_on


@works_on(Project)
def merge_projects(plan: Plan) -> Plan:
    """`Project(Project(x))` → `Project(x)` where no computed column would be computed twice.

    A Project that only repeats its input's columns, in order, disappears, and so does one that only
    names an Aggregate's.
    """
    return transform_up(plan, _merge)


def _merge(plan: Plan) -> Plan:
    if not isinstance(plan, Project):
        return plan
    if isinstance(plan.input, Project):
        merged = _substitute(plan, plan.input)
        if merged is not None:
            return _merge(merged)
    read = [value.id for _, value in plan.assignments if isinstance(value, ColumnRef)]
    if read != [field.id for field in plan.fields]:
        return plan
    if plan.fields == plan.input.fields:
        return plan.input
    if read == [field.id for field in plan.input.fields] and isinstance(plan.input, Aggregate):
        return _renamed(plan.input, plan.fields)
    return plan


def _renamed(plan: Aggregate, fields: Fields) -> Aggregate:
    """The aggregate with its columns named as the Project above it named them."""
    sources = [value for _, value in plan.keys]
    keys = tuple(zip(fields[: len(sources)], sources, strict=True))
    calls = [call for _, call in plan.aggregates]
    aggregates = tuple(zip(fields[len(sources) :], calls, strict=True))
    return dataclasses.replace(plan, keys=keys, aggregates=aggregates)


def _substitute(outer: Project, inner: Project) -> Project | None:
    uses: dict[int, int] = {}
    for _, expression in outer.assignments:
        for id in columns_of(expression):
            uses[id] = uses.get(id, 0) + 1
    for field, expression in inner.assignments:
        computed = not isinstance(expression, ColumnRef | Literal)
        if computed and (uses.get(field.id, 0) > 1 or is_volatile(expression)):
            return None
    mapping = {field.id: expression for field, expression in inner.assignments}
    pairs = tuple((field, substitute(value, mapping)) for field, value in outer.assignments)
    return Project(inner.input, pairs)
