"""PREDICT over one TENSOR or over numbers by position; the model is an option of the call."""

from __future__ import annotations

from tensorsql.planner.functions import Signature
from tensorsql.storage.types import DOUBLE, Kind, list_of

TENSOR = ((Kind.TENSOR,),)
NUMBERS = (DOUBLE,)
COST = 1_000_000.0

SIGNATURES = tuple(
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
