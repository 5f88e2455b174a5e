"""Subqueries: first expressions that hold a plan, then DependentJoins on the plan around them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from tensorsql.errors import BindError
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.base import Binder
from tensorsql.planner.binder.placeholders import SubqueryExpression, contains, left_outside
from tensorsql.planner.binder.scope import NOTHING
from tensorsql.planner.functions.resolve import resolve
from tensorsql.planner.plans.expressions import (
    TRUE,
    Call,
    Expression,
    conjunction,
    conjuncts,
    transform,
)
from tensorsql.planner.plans.logical import DependentJoin, DependentKind, Filter, Unnest
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import BOOLEAN, Kind

QUERIES = (exp.Query, exp.Values)
NEGATED = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _plan(binder: Binder, node: exp.Expr, columns: int | None = None) -> Plan:
    plan = binder.environment.query(node, binder.scope)
    if columns is not None and len(plan.fields) != columns:
        expected = "one column" if columns == 1 else f"{columns} columns"
        raise BindError(
            f"the subquery has {len(plan.fields)} columns, {expected} expected", position(node)
        )
    return plan


def scalar(binder: Binder, node: exp.Expr) -> Expression:
    """`(SELECT …)` as a value: NULL without a row, an error with two."""
    plan = _plan(binder, node, 1)
    field = plan.fields[0]
    return SubqueryExpression(field.type, "single", plan, TRUE, field)


def exists(binder: Binder, node: exp.Expr) -> Expression:
    """`EXISTS (SELECT …)`: never NULL."""
    return _mark(_plan(binder, node), TRUE)


def in_subquery(binder: Binder, left: exp.Expr, query: exp.Expr) -> Expression:
    """`x IN (SELECT …)`, `(x, y) IN (SELECT …)`: three-valued."""
    items = left.expressions if isinstance(left, exp.Tuple) else [left]
    values = binder.bind_all(items)
    plan = _plan(binder, query, len(values))
    equal = [
        resolve("=", [value, field.ref()]) for value, field in zip(values, plan.fields, strict=True)
    ]
    return _mark(plan, conjunction(equal))


def quantifier(node: exp.Expr) -> tuple[bool, exp.Expr] | None:
    """Whether it is ALL, and of what, if the node is `ANY (…)`, `SOME (…)` or `ALL (…)`."""
    if isinstance(node, (exp.Any, exp.All)):
        inner = node.this
        return isinstance(node, exp.All), inner.unnest() if isinstance(inner, exp.Paren) else inner
    called = isinstance(node, exp.Anonymous) and node.name.upper() in ("ANY", "SOME", "ALL")
    if called and len(node.expressions) == 1:
        return node.name.upper() == "ALL", node.expressions[0]
    return None


def quantified(
    binder: Binder, name: str, left: exp.Expr, universal: bool, right: exp.Expr
) -> Expression:
    """`x < ANY (SELECT …)`, `x < ANY (list)`; `x < ALL (…)` is NOT `x >= ANY (…)`."""
    if name not in NEGATED:
        raise BindError("ANY and ALL go with =, <>, <, <=, > and >= only")
    value = binder.bind(left)
    plan = _plan(binder, right, 1) if isinstance(right, QUERIES) else _elements(binder, right)
    test = resolve(NEGATED[name] if universal else name, [value, plan.fields[0].ref()])
    mark = _mark(plan, test)
    return resolve("not", [mark]) if universal else mark


def _elements(binder: Binder, node: exp.Expr) -> Plan:
    """The elements of a list, one a row."""
    listed = binder.bind(node)
    if listed.type.kind not in (Kind.LIST, Kind.NULL):
        raise BindError(f"ANY and ALL take a subquery or a list, not {listed.type}", position(node))
    base, (planted,) = plant(NOTHING, [listed])
    return Unnest(base, new_field("element", listed.type.child or types.NULL), planted)


def _mark(plan: Plan, condition: Expression) -> SubqueryExpression:
    return SubqueryExpression(BOOLEAN, "mark", plan, condition, new_field("mark", BOOLEAN))


def dependent(
    kind: DependentKind,
    left: Plan,
    right: Plan,
    condition: Expression,
    mark: Field | None = None,
) -> Plan:
    """A join whose right side reads the left; not as aggregates, which GROUP BY has taken out."""
    if any(call.reads(left.ids) for call in left_outside(right)):
        raise BindError(
            "FROM, LATERAL, ON, WHERE and SET cannot contain an aggregate of the tables that they "
            "belong to; compute it in a subquery that reads these tables in its own FROM"
        )
    return DependentJoin(kind, left, right, condition, mark)


def plant(plan: Plan, expressions: Sequence[Expression]) -> tuple[Plan, list[Expression]]:
    """Join the subqueries in the expressions to the plan and read their columns instead."""
    current = plan

    def join(node: Expression) -> Expression:
        nonlocal current
        if not isinstance(node, SubqueryExpression):
            return node
        if all(field.id != node.field.id for field in current.fields):
            mark = node.field if node.kind == "mark" else None
            current = dependent(node.kind, current, node.plan, node.condition, mark)
        return node.field.ref()

    planted = [transform(expression, join) for expression in expressions]
    return current, planted


def filtered(plan: Plan, predicate: Expression) -> Plan:
    """The rows that meet a predicate: EXISTS and IN conjuncts become semi and anti joins."""
    parts = conjuncts(predicate)
    plain = [part for part in parts if not contains(part, SubqueryExpression)]
    if plain:
        plan = Filter(plan, conjunction(plain))
    for part in parts:
        if contains(part, SubqueryExpression):
            plan = _filtered_by_subquery(plan, part)
    return plan


def _filtered_by_subquery(plan: Plan, part: Expression) -> Plan:
    subquery, negated = _marked(part)
    # NOT IN keeps its mark: where the mark is NULL no row passes, which an anti join gets wrong.
    if subquery is not None and not (negated and subquery.condition != TRUE):
        plan, (condition,) = plant(plan, [subquery.condition])
        return dependent("anti" if negated else "semi", plan, subquery.plan, condition)
    planted, (predicate,) = plant(plan, [part])
    return Filter(planted, predicate)


def _marked(part: Expression) -> tuple[SubqueryExpression | None, bool]:
    if isinstance(part, Call) and part.function.name == "not":
        subquery, negated = _marked(part.args[0])
        return subquery, not negated
    if isinstance(part, SubqueryExpression) and part.kind == "mark":
        return part, False
    return None, False
