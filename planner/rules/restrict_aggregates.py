"""Grouping only what a join will keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tensorsql.planner.analysis.common_subplans import is_worth_keeping, scanned_rows
from tensorsql.planner.analysis.estimates import Estimator
from tensorsql.planner.analysis.predicates import column_equalities, equal
from tensorsql.planner.plans.expressions import (
    EXPENSIVE,
    ColumnRef,
    Expression,
    columns_of,
    conjunction,
    highest_cost,
    is_volatile,
)
from tensorsql.planner.plans.logical import Aggregate, Filter, Join, Project, Scan
from tensorsql.planner.plans.plan import Field, Plan
from tensorsql.planner.plans.traversal import clone, transform_up, walk_plan, works_on

# What grouping a row costs, in rows looked up for a semi join.
GROUPING = 3.0
# The share of the grouping's cost that must be left with the restriction, at most.
WORTHWHILE = 0.6

Pairs = list[tuple[int, ColumnRef]]


@dataclass(frozen=True)
class Reducer:
    """A part of the other side and, per grouped value, its column that has every wanted value."""

    plan: Plan
    pairs: tuple[tuple[Expression, Field], ...]

    @property
    def condition(self) -> Expression:
        """That all of them are equal."""
        return conjunction([equal(value, field.ref()) for value, field in self.pairs])


@works_on(Aggregate, "inner join")
def restrict_aggregates(plan: Plan) -> Plan:
    """`(… GROUP BY k) g JOIN s ON g.k = s.k` groups only rows whose k some row of a small s has.

    The grouped input gets a semi join with a copy of s, or of a part of s that is cheaper to read
    and has every such k: magic sets (Mumick et al. 1990). Groups keep all their rows or none.
    """
    return transform_up(plan, partial(_restrict, Estimator()))


def _restrict(estimator: Estimator, plan: Plan) -> Plan:
    if not isinstance(plan, Join) or plan.kind != "inner":
        return plan
    pairs = column_equalities(plan.condition)
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
    return _descend(estimator, side, other, keys) if keys else side


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
            below = _restricted(estimator, side.input, other, equated)
        case _:
            return side
    return side if below is side.inputs[0] else side.with_inputs((below,))


def _restricted(
    estimator: Estimator, grouped: Plan, other: Plan, keys: list[tuple[Expression, ColumnRef]]
) -> Plan:
    """The input of the aggregate with the semi join that leaves least to do, if one is worth it."""
    rows = estimator.rows(grouped)
    whole = GROUPING * rows + _joined_rows(estimator, grouped)
    best, least = None, WORTHWHILE * whole
    for reducer in _reducers(other, keys):
        read = _read_again(estimator, reducer.plan)
        if read >= least or not _repeatable(reducer.plan):
            continue
        joined = Join("semi", grouped, reducer.plan, reducer.condition)
        left = whole * estimator.rows(joined) / rows
        cost = read + _looked_up(estimator, grouped, reducer) + left
        if cost < least:
            best, least = reducer, cost
    return grouped if best is None else _semi_join(grouped, best)


def _joined_rows(estimator: Estimator, plan: Plan) -> float:
    joins = (node for node in walk_plan(plan) if isinstance(node, Join))
    return sum(estimator.rows(side) for join in joins for side in join.inputs)


def _read_again(estimator: Estimator, plan: Plan) -> float:
    """Rows that a copy of the plan reads: none of a filtered scan that is kept for both."""
    alone = not any(isinstance(node, Join) for node in walk_plan(plan))
    return 0.0 if alone and is_worth_keeping(plan, estimator) else float(scanned_rows(plan))


def _looked_up(estimator: Estimator, grouped: Plan, reducer: Reducer) -> float:
    """Rows that meet the semi join: those of the one input it will go down to, if it can."""
    ids = frozenset(id for value, _ in reducer.pairs for id in columns_of(value))
    return estimator.rows(_owner(grouped, ids))


def _owner(plan: Plan, ids: frozenset[int]) -> Plan:
    """The input of inner joins that has all these columns, as far down as there is one."""
    if isinstance(plan, Filter):
        below = _owner(plan.input, ids)
        return plan if below is plan.input else below
    sides = plan.inputs if isinstance(plan, Join) and plan.kind == "inner" else ()
    owner = next((side for side in sides if ids <= side.ids), None)
    return plan if owner is None else _owner(owner, ids)


def _reducers(other: Plan, keys: list[tuple[Expression, ColumnRef]]) -> Iterator[Reducer]:
    """The other side with all keys, and its parts that have a column equal to one of them."""
    if keys:
        yield _reducer(other, [(value, column.id) for value, column in keys])
    for value, column in keys:
        for part, id in _parts(other, column.id):
            yield _reducer(part, [(value, id)])


def _reducer(plan: Plan, pairs: list[tuple[Expression, int]]) -> Reducer:
    fields = {field.id: field for field in plan.fields}
    return Reducer(plan, tuple((value, fields[id]) for value, id in pairs))


def _parts(plan: Plan, id: int) -> Iterator[tuple[Plan, int]]:
    """Plans below this one with the column that has all values of column `id` here."""
    match plan:
        case Project():
            values = [value for field, value in plan.assignments if field.id == id]
            if values and isinstance(values[0], ColumnRef):
                yield from _parts(plan.input, values[0].id)
        case Filter():
            yield from _parts(plan.input, id)
        case Join(kind="inner" | "semi"):
            equal_ids = {id}.union(
                *(
                    {a.id, b.id}
                    for a, b in column_equalities(plan.condition)
                    if id in (a.id, b.id) and a.type == b.type
                )
            )
            for side in plan.inputs:
                for one in sorted(equal_ids & side.ids):
                    yield side, one
                    yield from _parts(side, one)


def _semi_join(grouped: Plan, reducer: Reducer) -> Join:
    """The semi join with a copy of the reducer, which goes on being read where it stands."""
    copy, ids = clone(reducer.plan)
    columns = {field.id: field for field in copy.fields}
    pairs = tuple((value, columns[ids[field.id]]) for value, field in reducer.pairs)
    fields = dict.fromkeys(field for _, field in pairs)
    narrow = Project(copy, tuple((field, field.ref()) for field in fields))
    return Join("semi", grouped, narrow, Reducer(narrow, pairs).condition)


def _repeatable(plan: Plan) -> bool:
    """Whether the plan can be computed twice, with the same rows and at little cost."""
    return all(
        isinstance(node, Scan | Filter | Project | Join) and all(map(_is_cheap, node.expressions))
        for node in walk_plan(plan)
    )


def _is_cheap(expression: Expression) -> bool:
    return not is_volatile(expression) and highest_cost(expression) < EXPENSIVE
