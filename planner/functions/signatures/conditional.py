"""CASE, COALESCE, GREATEST and LEAST; `resolve` writes NULLIF, IFNULL and IF with these."""

from __future__ import annotations

from tensorsql.planner.functions.signatures.result_types import first, second
from tensorsql.planner.plans.signature import Signature

SIGNATURES = (
    Signature(
        "case",
        ("any", "any", "any"),
        second,
        "conditional.case",
        variadic=True,
        nulls="own",
        lazy=True,
        unify="branches",
    ),
    Signature(
        "coalesce",
        ("any", "any"),
        first,
        "conditional.coalesce",
        variadic=True,
        nulls="own",
        lazy=True,
        unify="all",
    ),
    Signature(
        "greatest",
        ("any", "any"),
        first,
        "conditional.greatest",
        variadic=True,
        nulls="own",
        unify="all",
    ),
    Signature(
        "least", ("any", "any"), first, "conditional.least", variadic=True, nulls="own", unify="all"
    ),
)
