"""A rule that makes the toy node."""

from __future__ import annotations

from tensorsql.planner.plans.every_other import EveryOther
from tensorsql.planner.plans.logical import Limit
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_up


def skip_rows(plan: Plan) -> Plan:
    """`LIMIT 66` → every other row."""
    return transform_up(plan, _skip)


def _skip(node: Plan) -> Plan:
    return EveryOther(node.input) if isinstance(node, Limit) and node.count == 66 else node
