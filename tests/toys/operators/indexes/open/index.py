"""A toy index, which bounds nothing: every row is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorsql.operators.indexes.protocol import Probe
from tensorsql.planner.analysis.intervals import Interval
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.tables.catalog import IndexEntry, Relation

if TYPE_CHECKING:
    from torch import Tensor


class OpenIndex:
    """USING OPEN."""

    method = "OPEN"

    def build(self, entry: IndexEntry, relation: Relation, context: Any) -> IndexEntry:
        """There is nothing to build."""
        return entry

    def last_row(self, entry: IndexEntry) -> int:
        """No row has bounds."""
        return -1

    def extend(self, entry: IndexEntry, relation: Relation, context: Any) -> IndexEntry:
        """Nor will one."""
        return entry

    def prepare(self, entry: IndexEntry, call: Call, context: Any) -> Probe:
        """A probe of nothing."""
        return OpenProbe()


class OpenProbe:
    """Any value, or none."""

    def bounds(self, row_ids: Tensor, arguments: Any) -> Interval:
        """Trivial bounds."""
        import torch

        far = torch.full(row_ids.shape, torch.inf, dtype=torch.float64)
        unknown = torch.ones(row_ids.shape, dtype=torch.bool)
        return Interval(-far, far, unknown, unknown)
