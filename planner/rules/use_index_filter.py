"""Filters on costly calls become index filters."""

from __future__ import annotations

from tensorsql.planner.expressions import (
    Expression,
    conjunction,
    conjuncts,
    is_fallible,
    is_volatile,
)
from tensorsql.planner.index_plans import IndexFilter
from tensorsql.planner.logical import Filter
from tensorsql.planner.plan import Plan
from tensorsql.planner.rules.index_use import costly_calls, drop_trims, find_uses, keep_fields
from tensorsql.planner.traversal import transform_up


def use_index_filter(plan: Plan) -> Plan:
    """Decide conjuncts with costly calls by index bounds, after the cheap ones.

    `Filter(CP(mask, …) > 5000 AND label = 7)` → `IndexFilter(CP(mask, …) > 5000)` over
    `Filter(label = 7)`, if an index covers one of the calls.
    """
    rewritten = transform_up(plan, _rewrite)
    return plan if rewritten is plan else drop_trims(rewritten)


def _rewrite(node: Plan) -> Plan:
    if not isinstance(node, Filter) or is_volatile(node.predicate):
        return node
    calls = costly_calls(node.predicate)
    if not calls:
        return node
    source, uses = find_uses(node.input, calls)
    if not uses:
        return node
    parts = conjuncts(node.predicate)
    cheap = [part for part in parts if not _stays(part)]
    costly = [part for part in parts if _stays(part)]
    below = Filter(source, conjunction(cheap)) if cheap else source
    return keep_fields(IndexFilter(below, conjunction(costly), uses), node.fields)


def _stays(part: Expression) -> bool:
    """Costly, or fallible: it must not come before a conjunct that might guard it."""
    return bool(costly_calls(part)) or is_fallible(part)
