"""GROUPING SETS with the empty set, which has a row also over no rows."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.plans.expressions import Expression, Literal
from tensorsql.planner.plans.logical import Aggregate, Project, SetOperation
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.planner.plans.traversal import clone


def without_empty_sets(plan: Aggregate) -> Plan:
    """Each () as an aggregate without keys, all together with the other sets by UNION ALL."""
    assert plan.grouping_sets is not None
    sets = tuple(one for one in plan.grouping_sets if one)
    sides = [_scalar(plan) for one in plan.grouping_sets if not one]
    if sets:
        copy, ids = clone(dataclasses.replace(plan, grouping_sets=sets))
        by_id = {f.id: f for f in copy.fields}
        sides.insert(0, Project(copy, tuple(_passed(by_id[ids[f.id]]) for f in plan.fields)))
    result = sides[0]
    for side in sides[1:]:
        fields = tuple(new_field(f.name, f.type) for f in plan.fields)
        result = SetOperation("union", True, result, side, fields)
    return Project(
        result,
        tuple((f, old.ref()) for f, old in zip(plan.fields, result.fields, strict=True)),
    )


def _scalar(plan: Aggregate) -> Plan:
    """The aggregates of all rows beside NULL keys."""
    copy, ids = clone(Aggregate(plan.input, (), plan.aggregates, None))
    by_id = {f.id: f for f in copy.fields}
    keys = tuple((new_field(f.name, f.type), Literal(f.type, None)) for f, _ in plan.keys)
    calls = tuple(_passed(by_id[ids[f.id]]) for f, _ in plan.aggregates)
    return Project(copy, (*keys, *calls))


def _passed(field: Field) -> tuple[Field, Expression]:
    return new_field(field.name, field.type), field.ref()
