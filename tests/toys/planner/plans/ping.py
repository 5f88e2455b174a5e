"""A toy statement as the binder gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensorsql.planner.plans.bound_statements import BoundStatement


@dataclass(frozen=True)
class BoundPing(BoundStatement):
    """Answers."""


def bind_ping(node: Any, environment: Any) -> BoundPing:
    """There is nothing to resolve."""
    return BoundPing()
