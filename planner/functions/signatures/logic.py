"""AND, OR, NOT and tests for NULL."""

from __future__ import annotations

from tensorsql.planner.plans.signature import AND, NOT, OR, Signature
from tensorsql.storage.columns.types import BOOLEAN

SIGNATURES = (
    AND,
    OR,
    NOT,
    Signature("is_null", ("any",), BOOLEAN, "logic.is_null", nulls="own"),
)
