"""Grouping before a join instead of after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial

from tensorsql.planner.analysis.estimates import Estimator
from tensorsql.planner.analysis.facts import facts
from tensorsql.planner.analysis.predicates import column_equality, equal, null_in_null_out
from tensorsql.planner.functions.resolve import resolve
from tensorsql.planner.plans.expressions import (
    AggregateCall,
    ColumnRef,
    Expression,
    Literal,
    columns_of,
    conjunction,
    conjuncts,
    is_fallible,
    is_volatile,
    substitute,
)
from tensorsql.planner.plans.logical import Aggregate, Join, Project
from tensorsql.planner.plans.plan import Assignments, Field, Plan, new_field, reassign
from tensorsql.planner.plans.traversal import transform_up, works_on

# Aggregates whose value does not depend on the order of rows (of numbers that add up exactly).
ORDERLESS = frozenset({"count", "sum", "avg", "min", "max", "bool_and", "bool_or"})
# Rows per group, at least, and the share of them that the join may drop, at most.
FEWER = 2

Calls = tuple[tuple[Field, AggregateCall], ...]


@works_on(Aggregate, {"inner join", "left join"})
def push_down_aggregates(plan: Plan) -> Plan:
    """`l JOIN r ON l.k = r.k GROUP BY l.id` groups r by k before the join, where l.id is unique.

    Eager aggregation (Yan & Larson, VLDB 1995) where it needs no second aggregate: a group is one
    row of l with all its matches. LEFT joins give COUNT its value for a row without any.
    """
    return transform_up(plan, partial(_push, Estimator()))


def _push(estimator: Estimator, plan: Plan) -> Plan:
    if not isinstance(plan, Aggregate) or plan.grouping_sets is not None:
        return plan
    below, keys, calls = _seen_through(plan)
    for join in _both_ways(below):
        pairs = _pairs(join)
        proven = pairs and _one_row_each(join.left, keys)
        if proven and all(_movable(call, join) for _, call in calls):
            grouped, joined = _grouped(join, pairs, calls)
            if _pays(estimator, join, grouped):
                return Project(joined, (*keys, *_values(join, plan, grouped)))
    return plan


def _both_ways(plan: Plan) -> tuple[Join, ...]:
    """A LEFT join, or an inner join with either side on the left."""
    if not isinstance(plan, Join) or plan.kind not in ("inner", "left"):
        return ()
    mirrored = dataclasses.replace(plan, left=plan.right, right=plan.left)
    return (plan,) if plan.kind == "left" else (plan, mirrored)


def _seen_through(plan: Aggregate) -> tuple[Plan, Assignments, Calls]:
    """The aggregate's input below projections, with keys and calls over that input's columns."""
    below, keys, calls = plan.input, plan.keys, plan.aggregates
    while isinstance(below, Project) and not any(is_volatile(v) for _, v in below.assignments):
        mapping = {field.id: value for field, value in below.assignments}
        keys = reassign(keys, tuple(substitute(value, mapping) for _, value in keys))
        calls = reassign(calls, tuple(substitute(call, mapping) for _, call in calls))
        below = below.input
    return below, keys, calls


def _pairs(join: Join) -> list[tuple[ColumnRef, ColumnRef]]:
    """The columns that the join equates, left and right; none where it asks for anything else."""
    pairs = []
    for part in conjuncts(join.condition):
        sides = column_equality(part)
        if sides is None or sides[0].type != sides[1].type:
            return []
        a, b = sides if sides[0].id in join.left.ids else reversed(sides)
        if a.id not in join.left.ids or b.id not in join.right.ids:
            return []
        pairs.append((a, b))
    return pairs


def _one_row_each(left: Plan, keys: Assignments) -> bool:
    """Whether a group is proven to come from one row of the join's left side."""
    values = [value for _, value in keys]
    plain = {value.id for value in values if isinstance(value, ColumnRef)}
    own = all(columns_of(value) <= left.ids and not is_volatile(value) for value in values)
    return own and any(key <= plain for key in facts(left).unique_keys)


def _movable(call: AggregateCall, join: Join) -> bool:
    """Whether a call says the same of the right side's rows alone."""
    if call.function.name not in ORDERLESS or call.order_by:
        return False
    if any(is_fallible(each) or is_volatile(each) for each in call.children):
        return False  # it would also be asked of rows that nothing matches
    if not all(columns_of(each) <= join.right.ids for each in call.children):
        return False
    if call.function.name in ("sum", "avg") and call.args[0].type.is_float:
        return False
    if join.kind == "inner":
        return True
    # A row without a match is counted as one whose right columns are all NULL.
    alone = all(null_in_null_out(each, join.right.ids) for each in call.args)
    return alone and call.filter is None


def _grouped(
    join: Join, pairs: Iterable[tuple[ColumnRef, ColumnRef]], calls: Calls
) -> tuple[Aggregate, Join]:
    """The right side grouped by what it is joined on, and the left side joined with that."""
    keys = tuple((new_field(b.name, b.type), b) for _, b in dict.fromkeys(pairs))
    made = tuple((new_field(field.name, call.type), call) for field, call in calls)
    grouped = Aggregate(join.right, keys, made)
    fields = {value: field for field, value in keys}
    condition = conjunction([equal(a, fields[b].ref()) for a, b in pairs])
    return grouped, Join(join.kind, join.left, grouped, condition)


def _values(join: Join, plan: Aggregate, grouped: Aggregate) -> Assignments:
    """The aggregates' columns, named as before, with COUNT's value where nothing matched."""
    values: list[tuple[Field, Expression]] = []
    for (field, _), (new, call) in zip(plan.aggregates, grouped.aggregates, strict=True):
        value: Expression = new.ref()
        if join.kind == "left" and call.function.name == "count":
            alone = 0 if call.args else 1
            value = resolve("coalesce", [value, Literal(field.type, alone)])
        values.append((field, value))
    return tuple(values)


def _pays(estimator: Estimator, join: Join, grouped: Aggregate) -> bool:
    rows = estimator.rows(join.right)
    joined = estimator.join_rows(join, estimator.rows(join.left), rows)
    return FEWER * estimator.rows(grouped) <= rows and rows <= FEWER * joined
