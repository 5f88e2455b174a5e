"""Subplans that occur more than once."""

from __future__ import annotations

from collections.abc import Hashable

from tensorsql.planner.analysis.common_subplans import (
    Numbering,
    is_worth_keeping,
    repeated_relations,
)
from tensorsql.planner.analysis.estimates import Estimator
from tensorsql.planner.plans.expressions import are_same
from tensorsql.planner.plans.index_plans import IndexFilter
from tensorsql.planner.plans.logical import (
    Aggregate,
    Distinct,
    Filter,
    Join,
    Reference,
    Scan,
    With,
)
from tensorsql.planner.plans.plan import Plan, fresh_id
from tensorsql.planner.plans.traversal import clone, node_count, walk_plan, works_on

# Nodes worth keeping the rows of.
KEPT = (Filter, IndexFilter, Join, Aggregate, Distinct)
NAME = "shared"


@works_on(Scan, {*KEPT})
def share_subplans(plan: Plan) -> Plan:
    """A part of the plan that occurs twice runs once, where its few rows cost much to compute.

    The largest such parts come first; what lies within one is no part of its own any more.
    """
    repeated = repeated_relations(plan)
    if not repeated:
        return plan
    definitions: list[tuple[int, str, Plan]] = []
    references: dict[int, Reference] = {}
    gone: set[int] = set()
    for several in _occurrences(plan, repeated):
        nodes = [node for node in several if id(node) not in gone]
        if len(nodes) < 2:
            continue
        shared, (copy, _) = fresh_id(), clone(nodes[0])
        definitions.append((shared, NAME, copy))
        for node in nodes:
            pairs = zip(node.fields, copy.fields, strict=True)
            columns = tuple((field, source.id) for field, source in pairs)
            references[id(node)] = Reference(shared, NAME, columns)
            gone.update(id(part) for part in walk_plan(node))
    return With(tuple(definitions), _replaced(plan, references)) if definitions else plan


def _occurrences(plan: Plan, repeated: frozenset[Hashable]) -> list[list[Plan]]:
    """Equal subplans that pay to be kept, the largest first."""
    numbering, estimator = Numbering(repeated), Estimator()
    estimator.rows(plan)
    classes: dict[int, list[Plan]] = {}
    for node in walk_plan(plan):
        number = numbering.number(node)
        if number is not None and isinstance(node, KEPT):
            classes.setdefault(number, []).append(node)
    several = [nodes for nodes in classes.values() if len(nodes) > 1]
    paying = [nodes for nodes in several if is_worth_keeping(nodes[0], estimator)]
    return sorted(paying, key=lambda nodes: -node_count(nodes[0]))


def _replaced(plan: Plan, references: dict[int, Reference]) -> Plan:
    if id(plan) in references:
        return references[id(plan)]
    new = tuple(_replaced(child, references) for child in plan.inputs)
    return plan if are_same(new, plan.inputs) else plan.with_inputs(new)
