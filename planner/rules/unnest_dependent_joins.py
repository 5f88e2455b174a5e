"""General unnesting (Neumann & Kemper, BTW 2015; top-down order: Neumann, BTW 2025).

A `DependentJoin(L, R)` whose right side reads columns of the left becomes a plain `Join`: R is
evaluated once for every distinct combination (the *domain*) of the columns it reads, and the join
then compares those columns. The domain is pushed down through R (`push_domain`) to where it is
read. Where a filter there already equates every domain column with a column of R, that column
stands in for the domain, and no domain is computed at all.
"""

from __future__ import annotations

import dataclasses

from tensorsql.planner.analysis.predicates import equal
from tensorsql.planner.plans.expressions import (
    Expression,
    are_same,
    columns_of,
    conjunction,
    conjuncts,
    is_fallible,
)
from tensorsql.planner.plans.logical import DependentJoin, Join, Limit, Project, Sort
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import free_columns, walk_plan, works_on
from tensorsql.planner.unnesting.domain import Domain, Pushed, made_exact
from tensorsql.planner.unnesting.push_domain import push
from tensorsql.planner.unnesting.without_domain import pull_up_predicates, row_wise


@works_on(DependentJoin)
def unnest_dependent_joins(plan: Plan) -> Plan:
    """Replace every DependentJoin by joins, from the outermost inwards.

    `SELECT … FROM o WHERE x > (SELECT avg(y) FROM i WHERE i.k = o.k)` →
    `o LEFT JOIN (SELECT k, avg(y) FROM i GROUP BY k) USING (k) WHERE x > avg`.
    """
    if isinstance(plan, DependentJoin):
        return unnest_dependent_joins(_unnest(plan))
    inputs = plan.inputs
    new = tuple(map(unnest_dependent_joins, inputs))
    if are_same(new, inputs):
        return plan
    return plan.with_inputs(new)


def _unnest(join: DependentJoin) -> Plan:
    exists = join.kind in ("semi", "anti") and not conjuncts(join.condition)
    right = _existence_only(join.right) if exists else join.right
    left_ids = join.left.ids
    if join.kind != "mark":  # a conjunct that is NULL must not make the mark NULL
        right, condition = pull_up_predicates(right, join.condition, left_ids)
        join = dataclasses.replace(join, condition=condition)
    outer = free_columns(right) & left_ids
    if not outer:
        return Join(join.kind, join.left, right, join.condition, join.mark)
    alone = row_wise(join, right)
    if alone is not None:
        return alone
    domain = Domain.over(join, right, _may_substitute(right, outer))
    pushed = push(right, domain)
    return domain.wrap(_compare(join, pushed, domain))


def _compare(join: DependentJoin, pushed: Pushed, domain: Domain) -> Plan:
    """The join on its own condition and the equality of every domain column."""
    if join.kind == "mark":  # a comparison with NULL must not make the mark NULL
        pushed = made_exact(pushed, domain.ids)
    parts: list[Expression] = [
        equal(field.ref(), pushed.mapping[field.id], null_safe=field.id in pushed.exact)
        for field in domain.columns
    ]
    parts.extend(conjuncts(join.condition))
    left = domain.left_side()
    result: Plan = Join(join.kind, left, pushed.plan, conjunction(parts), join.mark)
    if join.kind in ("semi", "anti", "mark"):
        return result
    wanted = tuple((field, field.ref()) for field in join.fields)
    return result if result.fields == join.fields else Project(result, wanted)


def _existence_only(plan: Plan) -> Plan:
    """EXISTS asks for no order, and for no more than one row."""
    match plan:
        case Sort():
            return _existence_only(plan.input)
        case Limit(count=count, offset=0) if count is None or count > 0:
            return _existence_only(plan.input)
    return plan


def _may_substitute(plan: Plan, outer: frozenset[int]) -> bool:
    """Whether computing with values outside the domain could raise an error that was not there."""
    return not any(
        is_fallible(expression) and columns_of(expression) & outer
        for node in walk_plan(plan)
        for expression in node.expressions
    )
