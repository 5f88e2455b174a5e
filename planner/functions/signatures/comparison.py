"""Comparisons; both sides are first cast to one common type."""

from __future__ import annotations

from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import BOOLEAN


def _comparison(name: str, kernel: str, *, order: bool = False) -> Signature:
    return Signature(
        name,
        ("any", "any"),
        BOOLEAN,
        f"comparison.{kernel}",
        unify="all" if order else "compare",
        interval="comparison",
    )


def _distinction(name: str, kernel: str) -> Signature:
    return Signature(
        name, ("any", "any"), BOOLEAN, f"comparison.{kernel}", unify="compare", nulls="own"
    )


# `x IN (1, 2, …)` of many literals, which are one list.
IN_VALUES = Signature(
    "in values", ("any", "any"), BOOLEAN, "comparison.contained_in_values", nulls="own", cost=2.0
)
SIGNATURES = (
    _comparison("=", "equal"),
    _comparison("<>", "not_equal"),
    _comparison("<", "less", order=True),
    _comparison("<=", "less_or_equal", order=True),
    _comparison(">", "greater", order=True),
    _comparison(">=", "greater_or_equal", order=True),
    _distinction("is_distinct_from", "is_distinct_from"),
    _distinction("is_not_distinct_from", "is_not_distinct_from"),
    Signature(
        "in",
        ("any", "any"),
        BOOLEAN,
        "comparison.contained",
        variadic=True,
        nulls="own",
        unify="compare",
        cost=2.0,
    ),
    IN_VALUES,
)
