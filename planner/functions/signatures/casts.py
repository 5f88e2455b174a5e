"""CAST and TRY_CAST: the target type is the Call's `type`.

CAST has two overloads, so that a conversion that cannot fail is known as such: the first may raise.
"""

from __future__ import annotations

from tensorsql.planner.functions.signatures.result_types import first
from tensorsql.planner.plans.signature import Signature

CAST = Signature("cast", ("any",), first, "casts.cast", fallible=True, interval="cast")
SAFE_CAST = Signature("cast", ("any",), first, "casts.safe_cast", interval="cast")
TRY_CAST = Signature("try_cast", ("any",), first, "casts.try_cast", cost=2.0)

SIGNATURES = (CAST, SAFE_CAST, TRY_CAST)
