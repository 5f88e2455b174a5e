"""The kernel of a toy aggregate."""

from __future__ import annotations

from collections.abc import Sequence

from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.keys.grouping import Collecting, Grouped
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.column import Column, Flat


class Evens(Collecting):
    """How many values are even."""

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        """One row per group."""
        return Flat(call.type, rows.sums((values_of(arguments[0]) % 2 == 0).long()))


evens = Evens()
