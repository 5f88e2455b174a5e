"""Small builders of predicates the rules need."""

from __future__ import annotations

from tensorsql.planner.functions.resolve import resolve
from tensorsql.planner.plans.expressions import Call, ColumnRef, Expression
from tensorsql.planner.plans.signature import NOT
from tensorsql.storage.columns.types import BOOLEAN


def equal(left: Expression, right: Expression, null_safe: bool = False) -> Expression:
    """left = right, or IS NOT DISTINCT FROM where NULL equals NULL."""
    return resolve("is_not_distinct_from" if null_safe else "=", [left, right])


def is_not_null(expression: Expression) -> Expression:
    """expression IS NOT NULL."""
    return Call(BOOLEAN, NOT, (resolve("is_null", [expression]),))


def equality(expression: Expression) -> tuple[Expression, Expression] | None:
    """The two sides of an `=`, or None."""
    if isinstance(expression, Call) and expression.function.name == "=":
        return expression.args[0], expression.args[1]
    return None


def column_equality(expression: Expression) -> tuple[ColumnRef, ColumnRef] | None:
    """The two columns of a `column = column`, or None."""
    sides = equality(expression)
    if sides is None:
        return None
    left, right = sides
    return (left, right) if isinstance(left, ColumnRef) and isinstance(right, ColumnRef) else None


def rejects_null(predicate: Expression, ids: frozenset[int]) -> bool:
    """Whether the predicate cannot be TRUE where all columns `ids` are NULL (strict in one)."""
    if isinstance(predicate, ColumnRef):
        return predicate.id in ids
    if not isinstance(predicate, Call):
        return False
    match predicate.function.name:
        case "and":
            return any(rejects_null(arg, ids) for arg in predicate.args)
        case "or":
            return all(rejects_null(arg, ids) for arg in predicate.args)
        case "not":
            inner = predicate.args[0]
            if isinstance(inner, Call) and inner.function.name == "is_null":
                return null_in_null_out(inner.args[0], ids)
        case "in" | "in values":
            return null_in_null_out(predicate.args[0], ids)
    return null_in_null_out(predicate, ids)


def null_in_null_out(expression: Expression, ids: frozenset[int]) -> bool:
    """Whether the value is NULL wherever all columns `ids` are NULL."""
    if isinstance(expression, ColumnRef):
        return expression.id in ids
    if isinstance(expression, Call) and expression.function.nulls == "propagate":
        return any(null_in_null_out(arg, ids) for arg in expression.args)
    return False
