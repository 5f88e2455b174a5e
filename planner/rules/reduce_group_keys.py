"""Grouping keys that other keys determine."""

from __future__ import annotations

from tensorsql.planner.analysis.facts import Dependencies
from tensorsql.planner.functions.resolve import resolve_aggregate
from tensorsql.planner.plans.expressions import AggregateCall, ColumnRef
from tensorsql.planner.plans.logical import Aggregate, Project
from tensorsql.planner.plans.plan import Field, Plan
from tensorsql.planner.plans.traversal import transform_up, works_on


@works_on(Aggregate)
def reduce_group_keys(plan: Plan) -> Plan:
    """`GROUP BY o.id, o.day` → `GROUP BY o.id` with any value of the other,

    where o.id is unique in the table both come from (also across joins on unique keys).
    """
    return transform_up(plan, _reduce)


def _reduce(plan: Plan) -> Plan:
    if not isinstance(plan, Aggregate) or plan.grouping_sets is not None or len(plan.keys) < 2:
        return plan
    needless = _needless(plan)
    if not needless:
        return plan
    keys = tuple(pair for pair in plan.keys if pair[0].id not in needless)
    moved: list[tuple[Field, AggregateCall]] = [
        (field, resolve_aggregate("any_value", [value]))
        for field, value in plan.keys
        if field.id in needless
    ]
    reduced = Aggregate(plan.input, keys, (*moved, *plan.aggregates))
    return Project(reduced, tuple((field, field.ref()) for field in plan.fields))


def _needless(plan: Aggregate) -> set[int]:
    """Output ids of keys that the remaining keys determine, found from the last to the first."""
    plain = [(f, value.id) for f, value in reversed(plan.keys) if isinstance(value, ColumnRef)]
    rest = [id for _, id in plain]
    dependencies, needless = Dependencies(plan.input), set[int]()
    # Text keys cost most to group by: try to drop them first.
    for field, id in sorted(plain, key=lambda pair: not pair[0].type.is_text):
        rest.remove(id)
        if rest and dependencies.determine(rest, id):
            needless.add(field.id)
        else:
            rest.append(id)
    return needless
