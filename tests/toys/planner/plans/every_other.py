"""A toy node."""

from __future__ import annotations

from dataclasses import dataclass

from tensorsql.planner.plans.plan import Plan, Unary


@dataclass(frozen=True)
class EveryOther(Unary):
    """The first, third, fifth … row."""

    input: Plan
