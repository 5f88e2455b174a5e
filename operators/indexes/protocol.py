"""The bounds protocol: an interval per row from an index, exact verification of the undecided.

Masks (CHI), neurons (NPI), zone maps and whatever comes next are this one idea. An index promises
only: `lower <= exact value <= upper` for every row it covers, NULL and NaN possible only where it
says so. Rows it does not cover have trivial bounds. The two operators `IndexFilter` and `IndexTopN`
do the rest for every kind of index; exact values come from evaluating the expression itself.

Free of torch: an index kind imports it when it builds or probes, so that planning never does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tensorsql.planner.analysis.intervals import Interval
from tensorsql.planner.plans.expressions import AggregateCall, Call
from tensorsql.storage.tables.catalog import IndexEntry, Relation

if TYPE_CHECKING:
    from torch import Tensor

    from tensorsql.operators.runtime.program import Context
    from tensorsql.storage.columns.column import Column

    Arguments = Sequence[Column]


class Probe(Protocol):
    """Bounds of one call for the rows of one relation."""

    def bounds(self, row_ids: Tensor, arguments: Arguments) -> Interval:
        """Bounds of the call's value, tensors of n doubles.

        `row_ids` is int64 [n], -1 = no row; `arguments` are the values of the call's arguments
        after the first (the indexed column), n rows each.
        """


@dataclass(frozen=True)
class GroupMembers:
    """Members and their groups: row ids int64 [n], group numbers int64 [n] in 0 … count - 1."""

    row_ids: Tensor
    codes: Tensor
    count: int


@runtime_checkable
class GroupProbe(Protocol):
    """Optional: bounds of a call over an aggregate of the column, from the members' summaries."""

    def group_bounds(
        self, aggregate: AggregateCall, members: GroupMembers, arguments: Arguments
    ) -> Interval:
        """Bounds per group; `arguments` have one row per group."""


@runtime_checkable
class SortedAccess(Protocol):
    """Optional: what the threshold algorithm needs beyond bounds (visit partitions in step)."""

    def steps(self) -> Iterator[tuple[Tensor, float, bool]]:
        """Per step: row ids to run next, the threshold for all rows not yet run, finished?"""

    def covered(self, row_ids: Tensor) -> Tensor:
        """Which rows (bool [n]) `steps` gives out; the others have to be run beside it."""


class Index(Protocol):
    """One kind of index (a file in this folder)."""

    method: str  # the word after USING

    def build(self, entry: IndexEntry, relation: Relation, context: Context) -> IndexEntry:
        """The entry with its blocks built for the relation's rows; checks arguments and options."""

    def last_row(self, entry: IndexEntry) -> int:
        """The last row id the entry has bounds for, -1 if none."""

    def extend(self, entry: IndexEntry, relation: Relation, context: Context) -> IndexEntry:
        """The entry with blocks for rows behind the last one; the same if it cannot have them."""

    def prepare(self, entry: IndexEntry, call: Call, context: Context) -> Probe:
        """A probe for this call; may run inference, e.g. for the target of a similarity query."""
