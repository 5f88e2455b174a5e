"""Operators on the bits of integers, in two's complement."""

from __future__ import annotations

from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import BIGINT, INTEGER, SMALLINT, TINYINT

WHOLE = (TINYINT, SMALLINT, INTEGER, BIGINT)

SIGNATURES = (
    *(Signature("&", (each, each), each, "bits.conjunction") for each in WHOLE),
    *(Signature("|", (each, each), each, "bits.disjunction") for each in WHOLE),
    *(Signature("xor", (each, each), each, "bits.difference") for each in WHOLE),
    *(Signature("~", (each,), each, "bits.complement") for each in WHOLE),
    *(Signature("<<", (each, each), each, "bits.shift_left", fallible=True) for each in WHOLE),
    *(Signature(">>", (each, each), each, "bits.shift_right") for each in WHOLE),
)
