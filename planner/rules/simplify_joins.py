"""Joins that are simpler than they are written."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.analysis.facts import matches_once
from tensorsql.planner.analysis.predicates import rejects_null
from tensorsql.planner.plans.expressions import (
    TRUE,
    ColumnRef,
    Expression,
    columns_of,
    conjunction,
    conjuncts,
)
from tensorsql.planner.plans.logical import Filter, Join, Project
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_up, works_on


@works_on({"left join", "right join", "full join", "mark join", "single join"})
def simplify_joins(plan: Plan) -> Plan:
    """Outer joins whose NULLs a filter drops become inner; a mark that is only filtered on, semi.

    A single join whose right side has a unique key in the condition cannot raise: a left join.
    `a LEFT JOIN b … WHERE b.x > 0` → `a JOIN b … WHERE b.x > 0`;
    `Filter(mark, a MARK JOIN b)` → `a SEMI JOIN b`. (NOT mark stays: NULL is not FALSE.)
    """
    return transform_up(plan, _simplify)


def _simplify(plan: Plan) -> Plan:
    if isinstance(plan, Join) and plan.kind == "single" and matches_once(plan):
        return dataclasses.replace(plan, kind="left")
    if not isinstance(plan, Filter):
        return plan
    new = _descend(plan.input, list(conjuncts(plan.predicate)))
    if new is None:
        return plan
    changed, parts = new
    if not parts:
        return changed
    return Filter(changed, conjunction(parts))


def _descend(node: Plan, parts: list[Expression]) -> tuple[Plan, list[Expression]] | None:
    """The node simplified under these filters and the filters still needed; None = no change."""
    if isinstance(node, Join):
        own = _join(node, parts)
        base, rest = own if own is not None else (node, parts)
        below = _below(base, rest) if isinstance(base, Join) else None
        return below or own
    if isinstance(node, Filter):
        inner = _descend(node.input, [*parts, *conjuncts(node.predicate)])
        if inner is None or len(inner[1]) != len(parts) + len(conjuncts(node.predicate)):
            return None
        return Filter(inner[0], node.predicate), parts
    return None


def _below(node: Join, parts: list[Expression]) -> tuple[Plan, list[Expression]] | None:
    """Filters above an inner (or the kept side of another) join act on its inputs' joins too."""
    reach = {
        "inner": (0, 1),
        "left": (0,),
        "semi": (0,),
        "anti": (0,),
        "single": (0,),
        "mark": (0,),
    }
    inputs = list(node.inputs)
    changed = False
    for side in reach.get(node.kind, ()):
        seen = [*parts, *(conjuncts(node.condition) if node.kind in ("inner", "semi") else ())]
        result = _descend(inputs[side], seen)
        if result is not None:
            needed = set(result[1])
            dropped = {part for part in seen if part not in needed}
            if not dropped <= set(parts):
                continue
            inputs[side] = result[0]
            parts = [part for part in parts if part not in dropped]
            changed = True
    return (node.with_inputs(tuple(inputs)), parts) if changed else None


def _join(node: Join, parts: list[Expression]) -> tuple[Plan, list[Expression]] | None:
    drops_left = any(rejects_null(part, node.left.ids) for part in parts)
    drops_right = any(rejects_null(part, node.right.ids) for part in parts)
    kind = node.kind
    match kind:
        case "left" if drops_right:
            kind = "inner"
        case "right" if drops_left:
            kind = "inner"
        case "full" if drops_left or drops_right:
            kind = "inner" if drops_left and drops_right else ("left" if drops_left else "right")
        case "mark":
            return _mark(node, parts)
        case "single" if matches_once(node):
            # It cannot raise, so it is a left join; under these filters perhaps an inner one.
            kind = "inner" if drops_right else "left"
    return None if kind == node.kind else (dataclasses.replace(node, kind=kind), parts)


def _mark(node: Join, parts: list[Expression]) -> tuple[Plan, list[Expression]] | None:
    """A conjunct that is the mark itself: keep matching rows only, if nothing else reads it."""
    assert node.mark is not None
    hit = [part for part in parts if isinstance(part, ColumnRef) and part.id == node.mark.id]
    others = [part for part in parts if part not in hit]
    if not hit or any(node.mark.id in columns_of(part) for part in others):
        return None
    semi = Join("semi", node.left, node.right, node.condition)
    marked = Project(semi, (*((f, f.ref()) for f in semi.fields), (node.mark, TRUE)))
    return marked, others
