"""ORDER BY … LIMIT as one node."""

from __future__ import annotations

from tensorsql.planner.plans.logical import Limit, Project, Sort, TopN
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_up, works_on


@works_on(Limit, Sort)
def fuse_top_n(plan: Plan) -> Plan:
    """`Limit(Sort(x))` → `TopN(x)`, also through a Project between the two.

    `SELECT a FROM t ORDER BY b LIMIT 3` keeps three rows at any time instead of sorting all.
    """
    return transform_up(plan, _fuse)


def _fuse(plan: Plan) -> Plan:
    if not isinstance(plan, Limit) or plan.count is None:
        return plan
    match plan.input:
        case Sort(input, keys):
            return TopN(input, keys, plan.count, plan.offset)
        case Project(Sort(input, keys), assignments):
            return Project(TopN(input, keys, plan.count, plan.offset), assignments)
    return plan
