"""Right sides that make rows out of one row: they need no join at all."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.plans.expressions import TRUE
from tensorsql.planner.plans.logical import DependentJoin, Filter, Project, Unnest, Values
from tensorsql.planner.plans.plan import Plan


def row_wise(join: DependentJoin, right: Plan) -> Plan | None:
    """The right side worked out over each row of the left, where it starts from a single row.

    `SELECT u FROM t, UNNEST(t.list) v(u)` repeats the rows of `t`; a join would compare lists.
    """
    if join.kind != "inner":
        return None
    found = _over(join.left, right)
    if found is None:
        return None
    if join.condition != TRUE:
        found = Filter(found, join.condition)
    wanted = tuple((field, field.ref()) for field in join.fields)
    return found if found.fields == join.fields else Project(found, wanted)


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
