"""Projections on projections."""

from __future__ import annotations

from tensorsql.planner.expressions import ColumnRef, Literal, columns_of, is_volatile, substitute
from tensorsql.planner.logical import Plan, Project, transform_up


def merge_projects(plan: Plan) -> Plan:
    """`Project(Project(x))` → `Project(x)` where no computed column would be computed twice.

    A Project that only repeats its input's columns, in order, disappears.
    """
    return transform_up(plan, _merge)


def _merge(plan: Plan) -> Plan:
    if not isinstance(plan, Project):
        return plan
    if isinstance(plan.input, Project):
        merged = _substitute(plan, plan.input)
        if merged is not None:
            return _merge(merged)
    same = [
        isinstance(value, ColumnRef) and value.id == field.id for field, value in plan.assignments
    ]
    if all(same) and plan.fields == plan.input.fields:
        return plan.input
    return plan


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
