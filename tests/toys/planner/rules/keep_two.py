"""A toy rule."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.plans.logical import Limit
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_up


def keep_two(plan: Plan) -> Plan:
    """`LIMIT 55` → `LIMIT 2`."""
    return transform_up(plan, _keep)


def _keep(node: Plan) -> Plan:
    of_55 = isinstance(node, Limit) and node.count == 55
    return dataclasses.replace(node, count=2) if of_55 else node  # type: ignore[call-arg]
