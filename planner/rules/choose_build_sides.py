"""Which side of a join is kept."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.analysis.estimates import Estimator
from tensorsql.planner.analysis.predicates import split
from tensorsql.planner.plans.logical import Join
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_up, works_on

# A semi or anti join keeps its left side if that has less than this share of the right's rows.
SMALLER = 0.5


@works_on({"right join", "semi join", "anti join"})
def choose_build_sides(plan: Plan) -> Plan:
    """A semi or anti join by equality keeps its left side where that is much the smaller one.

    A right join always does. All others keep their right side.
    """
    estimator = Estimator()
    estimator.rows(plan)  # from the top, so that references know the size of what they read

    def choose(node: Plan) -> Plan:
        if isinstance(node, Join) and _keeps_left(node, estimator):
            return dataclasses.replace(node, build="left")
        return node

    return transform_up(plan, choose)


def _keeps_left(join: Join, estimator: Estimator) -> bool:
    if join.kind not in ("semi", "anti"):
        return join.kind == "right"
    if not split(join.condition, join.left, join.right).keys:
        return False
    return estimator.rows(join.left) < SMALLER * estimator.rows(join.right)
