"""PREDICT over one TENSOR or over numbers by position, and what images can be read.

The model is an option of the call.
"""

from __future__ import annotations

from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import BOOLEAN, DOUBLE, Kind, list_of

TENSOR = ((Kind.TENSOR,),)
NUMBERS = (DOUBLE,)
COST = 1_000_000.0

# Whether a file's image can be decoded: what stands beside it is cheaper, and goes first.
IS_READABLE = Signature(
    "is_readable", (TENSOR[0],), BOOLEAN, "images.is_readable", nulls="own", cost=COST / 100
)
PREDICT = tuple(
    Signature(
        name,
        parameters,
        result,
        f"models.{name}",
        variadic=parameters is NUMBERS,
        nulls="own",
        fallible=True,
        cost=cost,
    )
    for name, result in (("predict", DOUBLE), ("predict_proba", list_of(DOUBLE)))
    for parameters, cost in ((TENSOR, COST), (NUMBERS, COST / 1000))
)
SIGNATURES = (IS_READABLE, *PREDICT)
