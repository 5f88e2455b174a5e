"""Subplans that occur more than once: which are equal but for their columns' ids, and which pay.

Equal subplans are found bottom up: a node is looked at with its inputs replaced by the numbers that
equal inputs share, so that the work is linear in the plan (value numbering).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from tensorsql.planner.analysis.estimates import Estimator
from tensorsql.planner.plans.expressions import EXPENSIVE, highest_cost, is_volatile
from tensorsql.planner.plans.index_plans import IndexFilter
from tensorsql.planner.plans.logical import (
    Aggregate,
    Distinct,
    Filter,
    Join,
    Project,
    Scan,
    Values,
)
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import renumber, walk_plan

NOTHING = Values((), ())
# Nodes whose rows depend on nothing but their inputs' rows.
REPEATABLE = (Scan, Filter, IndexFilter, Project, Join, Aggregate, Distinct)
# Rows that are read, at least, and rows that are read for each that is kept, at least.
FEW = 8192
FEWER = 4.0


def scanned_rows(plan: Plan) -> int:
    """Rows that its scans read."""
    return sum(node.relation.rows for node in walk_plan(plan) if isinstance(node, Scan))


def relation_key(scan: Scan) -> Hashable:
    """Tells relations apart: tables are equal by name, files and objects only to themselves."""
    return scan.relation if scan.relation.identity is not None else id(scan.relation)


def is_worth_keeping(plan: Plan, estimator: Estimator) -> bool:
    """Whether to keep a plan's rows costs much less than to compute them again."""
    scanned, kept = scanned_rows(plan), estimator.rows(plan)
    if scanned >= FEW and FEWER * kept <= scanned:
        return True
    # Expensive ones are kept for fewer rows, and where up to half of them stay.
    parts = (part for node in walk_plan(plan) for part in node.expressions)
    return 2 * kept <= scanned and any(highest_cost(part) >= EXPENSIVE for part in parts)


def repeated_relations(plan: Plan) -> frozenset[Hashable]:
    """The relations that more than one scan reads."""
    counts = Counter(relation_key(node) for node in walk_plan(plan) if isinstance(node, Scan))
    return frozenset(key for key, count in counts.items() if count > 1)


class Numbering:
    """Numbers that equal subplans share. A plan over a relation not `repeated` equals no other."""

    def __init__(self, repeated: frozenset[Hashable]) -> None:
        self.repeated = repeated
        self.numbers: dict[Hashable, int] = {}
        self.plans: dict[int, tuple[Plan, int | None]] = {}

    def number(self, plan: Plan) -> int | None:
        """The plan's number; None where it equals no other, or another run would differ."""
        if id(plan) not in self.plans:
            self.plans[id(plan)] = (plan, self._number(plan))
        return self.plans[id(plan)][1]

    def _number(self, plan: Plan) -> int | None:
        inputs = tuple(self.number(child) for child in plan.inputs)
        if not isinstance(plan, REPEATABLE) or any(map(is_volatile, plan.expressions)):
            return None
        if None in inputs:
            return None
        key = self._scan(plan) if isinstance(plan, Scan) else (inputs, _own_part(plan))
        return None if key is None else self.numbers.setdefault(key, len(self.numbers))

    def _scan(self, plan: Scan) -> Hashable:
        relation = relation_key(plan)
        names = tuple(name for _, name in plan.columns)
        return (relation, names, plan.row_id is None) if relation in self.repeated else None


def _own_part(plan: Plan) -> Plan:
    """The node without its inputs, its columns and theirs numbered by their places."""
    columns = dict.fromkeys(field.id for node in (*plan.inputs, plan) for field in node.fields)
    places = {id: -1 - place for place, id in enumerate(columns)}
    return renumber(plan.with_inputs((NOTHING,) * len(plan.inputs)), places)
