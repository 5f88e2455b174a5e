"""Filters on costly calls become index filters."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.analysis.index_use import (
    BOUNDED_FUNCTIONS,
    costly_calls,
    find_uses,
    keep_fields,
    rewritten_with_indexes,
)
from tensorsql.planner.plans.expressions import (
    Expression,
    conjunction,
    conjuncts,
    is_fallible,
    is_volatile,
)
from tensorsql.planner.plans.index_plans import IndexFilter
from tensorsql.planner.plans.logical import Filter, Join
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import works_on


@works_on({Filter, Join}, BOUNDED_FUNCTIONS)
def use_index_filter(plan: Plan) -> Plan:
    """Decide conjuncts with costly calls by index bounds, after the cheap ones.

    `Filter(CP(mask, …) > 5000 AND label = 7)` → `IndexFilter(CP(mask, …) > 5000)` over
    `Filter(label = 7)`, if an index covers one of the calls. A conjunct that became part of an
    inner join's condition, since it reads both sides, is decided above the join in the same way.
    """
    return rewritten_with_indexes(plan, _rewrite)


def _rewrite(node: Plan) -> Plan:
    match node:
        case Filter(input=below, predicate=predicate):
            return _decided(node, below, predicate)
        case Join(kind="inner", condition=condition):
            parts = conjuncts(condition)
            costly = [part for part in parts if costly_calls(part)]
            rest = [part for part in parts if not costly_calls(part)]
            if costly and not any(is_fallible(part) for part in rest):
                join = dataclasses.replace(node, condition=conjunction(rest))
                return _decided(node, join, conjunction(costly))
    return node


def _decided(node: Plan, below: Plan, predicate: Expression) -> Plan:
    """The node as an index filter of `below`; itself if no index covers a call."""
    calls = () if is_volatile(predicate) else costly_calls(predicate)
    source, uses = find_uses(below, calls)
    if not uses:
        return node
    parts = conjuncts(predicate)
    cheap = [part for part in parts if not _stays(part)]
    costly = [part for part in parts if _stays(part)]
    source = Filter(source, conjunction(cheap)) if cheap else source
    return keep_fields(IndexFilter(source, conjunction(costly), uses), node.fields)


def _stays(part: Expression) -> bool:
    """Costly, or fallible: it must not come before a conjunct that might guard it."""
    return bool(costly_calls(part)) or is_fallible(part)
