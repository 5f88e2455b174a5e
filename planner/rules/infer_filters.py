"""Filters that equalities carry over to other columns."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.analysis.predicates import column_equalities, column_equality
from tensorsql.planner.plans.expressions import (
    ColumnRef,
    Expression,
    columns_of,
    conjunction,
    conjuncts,
    is_fallible,
    is_volatile,
    substitute,
)
from tensorsql.planner.plans.logical import Filter, Join
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_up, works_on


@works_on(Join, Filter)
def infer_filters(plan: Plan) -> Plan:
    """`a.x = b.y` with `a.x < 3` known of the left gives `b.y < 3` to the right, and back.

    Inner and semi joins both ways; left, single, mark and anti joins from left to right, where a
    missing match already means "no partner".
    """
    return transform_up(plan, _infer)


BOTH = frozenset({"inner", "semi"})
TO_RIGHT = frozenset({"left", "single", "anti"})


def _infer(plan: Plan) -> Plan:
    if not isinstance(plan, Join) or plan.kind not in BOTH | TO_RIGHT:
        return plan
    pairs = _pairs(plan)
    if not pairs:
        return plan
    right = _carried(plan.left, plan.right, pairs)
    left: list[Expression] = []
    if plan.kind in BOTH:
        left = _carried(plan.right, plan.left, {new.id: old for old, new in _items(pairs, plan)})
    if not left and not right:
        return plan
    new_left = Filter(plan.left, conjunction(left)) if left else plan.left
    new_right = Filter(plan.right, conjunction(right)) if right else plan.right
    return dataclasses.replace(plan, left=new_left, right=new_right)


def _pairs(plan: Join) -> dict[int, ColumnRef]:
    """left column id → right column it equals, of one type."""
    left, right = plan.left.ids, plan.right.ids
    result: dict[int, ColumnRef] = {}
    for sides in column_equalities(plan.condition):
        for a, b in (sides, sides[::-1]):
            if a.type == b.type and a.id in left and b.id in right:
                result.setdefault(a.id, b)
    return result


def _items(pairs: dict[int, ColumnRef], plan: Join) -> list[tuple[ColumnRef, ColumnRef]]:
    by_id = {field.id: field.ref() for field in plan.left.fields}
    return [(by_id[id], ref) for id, ref in pairs.items()]


def _carried(source: Plan, target: Plan, pairs: dict[int, ColumnRef]) -> list[Expression]:
    """Conjuncts known of `source` over paired columns, said of `target`, that are new there."""
    holding = set(_holding(target))
    result = []
    mapping: dict[int, Expression] = dict(pairs)
    for part in _holding(source):
        ids = columns_of(part)
        if not ids or not ids <= pairs.keys() or is_fallible(part) or is_volatile(part):
            continue
        new = substitute(part, mapping)
        if new not in holding and column_equality(new) is None:
            result.append(new)
    return result


def _holding(plan: Plan) -> list[Expression]:
    """Conjuncts that hold for every row of the plan, found without looking far."""
    match plan:
        case Filter():
            return [*conjuncts(plan.predicate), *_holding(plan.input)]
        case Join(kind="inner"):
            return [*_holding(plan.left), *_holding(plan.right)]
        case Join(kind="left" | "semi" | "anti" | "single" | "mark"):
            return _holding(plan.left)
    return []
