"""A toy table function."""

from __future__ import annotations

from typing import Any

from tensorsql.planner.plans.expressions import Literal
from tensorsql.planner.plans.logical import Values
from tensorsql.planner.plans.plan import Plan, new_field
from tensorsql.storage.columns.types import BIGINT


def countdown(arguments: Any) -> Plan:
    """`countdown(3)`: 3, 2, 1."""
    arguments.check(1, ())
    start = arguments.value(arguments.positional[0], "the start")
    rows = tuple((Literal(BIGINT, number),) for number in range(start, 0, -1))
    return Values((new_field("n", BIGINT),), rows)
