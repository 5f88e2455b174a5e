"""Grouping only what a join will keep."""

from __future__ import annotations

import dataclasses
from functools import partial

from tensorsql.planner.analysis.estimates import Estimator
from tensorsql.planner.analysis.predicates import column_equality, equal
from tensorsql.planner.plans.expressions import (
    ColumnRef,
    Expression,
    conjunction,
    conjuncts,
    highest_cost,
    is_volatile,
)
from tensorsql.planner.plans.logical import Aggregate, Filter, Join, Project, Scan
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import clone, transform_up, walk_plan, works_on

# The other side must have this many times fewer rows than there are groups, and read this many
# times fewer than are grouped, since it is then computed twice.
FEWER = 4
# Calls this costly are not computed twice.
EXPENSIVE = 100.0

Pairs = list[tuple[int, ColumnRef]]


@works_on(Aggregate, "inner join")
def restrict_aggregates(plan: Plan) -> Plan:
    """`(… GROUP BY k) g JOIN s ON g.k = s.k` groups only rows whose k some row of a small s has.

    The grouped input gets a semi join with a copy of s: magic sets (Mumick et al. 1990). Groups
    keep all their rows or none.
    """
    return transform_up(plan, partial(_restrict, Estimator()))


def _restrict(estimator: Estimator, plan: Plan) -> Plan:
    if not isinstance(plan, Join) or plan.kind != "inner":
        return plan
    pairs = [pair for part in conjuncts(plan.condition) if (pair := column_equality(part))]
    left = _side(estimator, plan.left, plan.right, pairs)
    if left is not plan.left:
        return dataclasses.replace(plan, left=left)
    right = _side(estimator, plan.right, plan.left, pairs)
    return plan if right is plan.right else dataclasses.replace(plan, right=right)


def _side(
    estimator: Estimator, side: Plan, other: Plan, pairs: list[tuple[ColumnRef, ColumnRef]]
) -> Plan:
    """The side with its aggregate restricted to the other's keys, or the side itself."""
    ids = side.ids
    both_ways = [pair for a, b in pairs for pair in ((a, b), (b, a))]
    keys = [(a.id, b) for a, b in both_ways if a.id in ids and b.id not in ids and a.type == b.type]
    if not keys or not _repeatable(other):
        return side
    return _descend(estimator, side, other, keys)


def _descend(estimator: Estimator, side: Plan, other: Plan, keys: Pairs) -> Plan:
    """Follow the keys down to an aggregate."""
    match side:
        case Filter():
            below = _descend(estimator, side.input, other, keys)
        case Project():
            sources = {f.id: v.id for f, v in side.assignments if isinstance(v, ColumnRef)}
            inner = [(sources[id], column) for id, column in keys if id in sources]
            below = _descend(estimator, side.input, other, inner)
        case Aggregate() if side.grouping_sets is None:
            values = {field.id: value for field, value in side.keys}
            equated = [(values[id], column) for id, column in keys if id in values]
            if not equated or not _pays(estimator, side, other):
                return side
            below = _restricted(side.input, other, equated)
        case _:
            return side
    return side if below is side.inputs[0] else side.with_inputs((below,))


def _restricted(grouped: Plan, other: Plan, keys: list[tuple[Expression, ColumnRef]]) -> Plan:
    copy, ids = clone(other)
    columns = {field.id: field for field in copy.fields}
    fields = {column.id: columns[ids[column.id]] for _, column in keys}
    narrow = Project(copy, tuple((field, field.ref()) for field in fields.values()))
    condition = conjunction([equal(value, fields[column.id].ref()) for value, column in keys])
    return Join("semi", grouped, narrow, condition)


def _pays(estimator: Estimator, plan: Aggregate, other: Plan) -> bool:
    scanned = sum(node.relation.rows for node in walk_plan(other) if isinstance(node, Scan))
    fewer = FEWER * estimator.rows(other) < estimator.rows(plan)
    return fewer and FEWER * scanned < estimator.rows(plan.input)


def _repeatable(plan: Plan) -> bool:
    """Whether the plan can be computed twice, with the same rows and at little cost."""
    return all(
        isinstance(node, Scan | Filter | Project | Join) and all(map(_is_cheap, node.expressions))
        for node in walk_plan(plan)
    )


def _is_cheap(expression: Expression) -> bool:
    return not is_volatile(expression) and highest_cost(expression) < EXPENSIVE
