"""Predicates taken apart and built: equalities, keys of joins, what rejects NULL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tensorsql.planner.functions.resolve import resolve
from tensorsql.planner.plans.expressions import (
    Call,
    ColumnRef,
    Expression,
    columns_of,
    conjunction,
    conjuncts,
)
from tensorsql.planner.plans.plan import Plan
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


def column_equalities(condition: Expression) -> list[tuple[ColumnRef, ColumnRef]]:
    """The columns that the conjuncts of a condition equate."""
    pairs = map(column_equality, conjuncts(condition))
    return [pair for pair in pairs if pair is not None]


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


@dataclass(frozen=True)
class Key:
    """An equality between an expression of each side."""

    probe: Expression
    build: Expression
    null_equal: bool
    condition: Expression


@dataclass(frozen=True)
class Condition:
    """A join condition as equality keys and what else must be TRUE (None = nothing)."""

    keys: tuple[Key, ...]
    residual: Expression | None


def split(condition: Expression, probe: Plan, build: Plan) -> Condition:
    """Take the equalities between the sides out of a condition."""
    probe_ids, build_ids = probe.ids, build.ids
    keys, rest = [], []
    for part in conjuncts(condition):
        key = _key(part, probe_ids.issuperset, build_ids.issuperset)
        if key is None:
            rest.append(part)
        else:
            keys.append(key)
    return Condition(tuple(keys), conjunction(rest) if rest else None)


def _key(
    part: Expression,
    of_probe: Callable[[frozenset[int]], bool],
    of_build: Callable[[frozenset[int]], bool],
) -> Key | None:
    names = {"=": False, "is_not_distinct_from": True}
    if not isinstance(part, Call) or part.function.name not in names:
        return None
    first, second = part.args
    if first.type != second.type or not columns_of(first) or not columns_of(second):
        return None
    null_equal = names[part.function.name]
    if of_probe(columns_of(first)) and of_build(columns_of(second)):
        return Key(first, second, null_equal, part)
    if of_probe(columns_of(second)) and of_build(columns_of(first)):
        return Key(second, first, null_equal, part)
    return None
