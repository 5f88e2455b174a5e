"""Conjuncts that run a model or read pixels come after cheap ones, so that they see fewer rows."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.analysis.index_use import costly_calls
from tensorsql.planner.plans.expressions import (
    Expression,
    conjunction,
    conjuncts,
    is_fallible,
    is_volatile,
)
from tensorsql.planner.plans.logical import Filter
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_up, works_on


@works_on(Filter, "costly call")
def order_conjuncts(plan: Plan) -> Plan:
    """`predict(m, x) = 3 AND a < 5` → `a < 5 AND predict(m, x) = 3`; the rest keeps its order.

    Only what can neither fail nor cost much moves ahead: nothing overtakes its guard.
    """
    return transform_up(plan, _rewrite)


def _rewrite(node: Plan) -> Plan:
    if not isinstance(node, Filter):
        return node
    parts = conjuncts(node.predicate)
    ordered = sorted(parts, key=_waits)
    if ordered == list(parts) or not any(costly_calls(part) for part in parts):
        return node
    return dataclasses.replace(node, predicate=conjunction(ordered))


def _waits(part: Expression) -> bool:
    return bool(costly_calls(part)) or is_fallible(part) or is_volatile(part)
