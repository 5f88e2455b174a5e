"""A join's condition as equality keys and the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tensorsql.planner.plans.expressions import Call, Expression, columns_of, conjunction, conjuncts
from tensorsql.planner.plans.plan import Plan


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
