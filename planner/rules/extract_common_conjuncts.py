"""Conjuncts common to every arm of an OR."""

from __future__ import annotations

from tensorsql.planner.plans.expressions import (
    Call,
    Expression,
    columns_of,
    conjunction,
    conjuncts,
    is_fallible,
    transform,
)
from tensorsql.planner.plans.logical import Filter, Join
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.signature import OR
from tensorsql.planner.plans.traversal import transform_up, works_on
from tensorsql.storage.columns.types import BOOLEAN


@works_on({Filter, Join}, "or")
def extract_common_conjuncts(plan: Plan) -> Plan:
    """`(a AND b) OR (a AND c)` → `a AND (b OR c)`, in filters and join conditions.

    What is left of an OR over several inputs also gives each input a weaker filter of its own:
    `(x.n = 1 AND y.n = 2) OR (x.n = 2 AND y.n = 1)` adds `x.n = 1 OR x.n = 2`.
    """
    return transform_up(plan, _extract)


def _extract(plan: Plan) -> Plan:
    if not isinstance(plan, Filter | Join) or (isinstance(plan, Join) and plan.kind != "inner"):
        return plan
    old = plan.expressions[0]
    new = transform(old, _factor)
    parts = conjuncts(new)
    present = set(parts)
    owners = _owners(plan) if any(len(_arms(part)) > 1 for part in parts) else {}
    extra = [weak for part in parts for weak in _weaker(part, owners) if weak not in present]
    if new is old and not extra:
        return plan
    return plan.with_expressions((conjunction([*parts, *extra]),))


def _arms(expression: Expression) -> tuple[Expression, ...]:
    if isinstance(expression, Call) and expression.function.name == "or":
        return tuple(arm for arg in expression.args for arm in _arms(arg))
    return (expression,)


def _either(arms: list[Expression]) -> Expression:
    return arms[0] if len(arms) == 1 else Call(BOOLEAN, OR, tuple(arms))


def _factor(expression: Expression) -> Expression:
    arms = _arms(expression)
    if len(arms) < 2 or is_fallible(expression):
        return expression
    lists = [conjuncts(arm) for arm in arms]
    shared = set(lists[0]).intersection(*lists[1:])
    if not shared:
        return expression
    common = [part for part in lists[0] if part in shared]
    rest = [[part for part in one if part not in shared] for one in lists]
    if any(not one for one in rest):
        return conjunction(common)
    return conjunction([*common, _either([conjunction(one) for one in rest])])


def _weaker(part: Expression, groups: dict[int, int]) -> list[Expression]:
    """For each base input of the OR: the OR of what its arms say about that input alone."""
    arms = _arms(part)
    if len(arms) < 2 or is_fallible(part):
        return []
    read = {groups.get(id) for id in columns_of(part)}
    if len(read) < 2:
        return []
    result = []
    for owner in sorted(read - {None}, key=str):
        weak_arms = []
        for arm in arms:
            mine = [
                one for one in conjuncts(arm)
                if columns_of(one) and all(groups.get(id) == owner for id in columns_of(one))
            ]  # fmt: skip
            if not mine:
                break
            weak_arms.append(conjunction(mine))
        else:
            result.append(_either(list(dict.fromkeys(weak_arms))))
    return result


def _owners(plan: Plan) -> dict[int, int]:
    """Which base input (numbered) each column comes from; joins are looked through."""
    owners: dict[int, int] = {}

    def visit(node: Plan) -> None:
        if isinstance(node, Join | Filter):
            for child in node.inputs:
                visit(child)
            return
        number = len(owners)
        owners.update({field.id: number for field in node.fields})

    for child in plan.inputs:
        visit(child)
    return owners
