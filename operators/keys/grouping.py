"""What an aggregate function is to the Aggregate operator.

Its kernel is a `Reducing` or a `Collecting` object. Both see only rows that count: FILTER is
applied, and rows with a NULL argument are gone where the signature propagates NULLs. Reducing
ones keep a state of columns, one row per group, made per morsel and combined in morsel order:
integers, counts, extremes. Collecting ones keep the rows themselves and compute once over all of
them in row order, so that sums of floats do not depend on the morsel size; their memory is the
rows'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import null_column, take_or_null
from tensorsql.operators.keys.key_codes import Groups, KeyCodes, group_rows
from tensorsql.operators.keys.ordering import Direction, order_codes, sort_rows
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.column import Column, Flat
from tensorsql.storage.columns.types import BIGINT


@dataclass
class Grouped:
    """int64 group number per row, 0 … count - 1; a group may have no rows.

    `firsts`, if known, is every group's first row; `ordered`: the numbers ascend.
    """

    numbers: Tensor
    count: int
    firsts: Tensor | None = None
    ordered: bool = False
    known_sums: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @staticmethod
    def of(groups: Groups) -> Grouped:
        """All rows of some groups, none of which is empty."""
        return Grouped(groups.numbers, groups.count, groups.first, groups.ordered)

    @cached_property
    def runs(self) -> Tensor | None:
        """Where each group's rows begin, if they lie together and no group is empty."""
        rows = int(self.numbers.shape[0])
        return self.firsts if self.ordered and rows else None

    @cached_property
    def sizes(self) -> Tensor:
        """int64 rows per group."""
        if self.runs is not None:
            ends = torch.cat([self.runs[1:], self.runs.new_tensor([self.numbers.shape[0]])])
            return ends - self.runs
        return kernels.count_by(self.numbers, self.count)

    def sums(self, values: Tensor) -> Tensor:
        """int64 sum per group of int64 values whose sums fit; remembered."""
        if id(values) not in self.known_sums:
            if self.runs is not None:
                made = kernels.run_sums(values, self.runs)
            else:
                made = kernels.sum_by(self.numbers, self.count, values)
            self.known_sums[id(values)] = (values, made)
        return self.known_sums[id(values)][1]

    @cached_property
    def present(self) -> Tensor | None:
        """bool per group: whether it has rows; None = all have."""
        if self.firsts is not None:
            return None
        filled = self.sizes > 0
        return None if bool(filled.all()) else filled

    @cached_property
    def starts(self) -> Tensor:
        """Where each group's rows begin once they are sorted by group."""
        return self.sizes.cumsum(0) - self.sizes

    def sorted_by(self, column: Column) -> Tensor:
        """int64 rows by group, then ascending by a column, then in row order."""
        keys = [KeyCodes(self.numbers, max(self.count, 1)), *order_codes([column], [Direction()])]
        return sort_rows(keys)

    def ranked(self, column: Column) -> Callable[[Tensor], Tensor]:
        """From places in each group's ascending order to rows, -1 where the group has none."""
        order = self.sorted_by(column)

        def row(place: Tensor) -> Tensor:
            if int(order.shape[0]) == 0:
                return order.new_full((self.count,), -1)
            at = (self.starts + place).clamp(max=int(order.shape[0]) - 1)
            return order.index_select(0, at).masked_fill(self.sizes == 0, -1)

        return row

    def distinct(self, columns: Sequence[Column]) -> Tensor:
        """int64 different values per group."""
        keys: list[Column] = [Flat(BIGINT, self.numbers), *columns]
        first = group_rows(keys).first
        return kernels.count_by(self.numbers.index_select(0, first), self.count)

    def first(self) -> Tensor:
        """int64 first row of each group, -1 where it has none."""
        if self.firsts is not None:
            return self.firsts
        rows = int(self.numbers.shape[0])
        firsts = kernels.first_by(self.numbers, self.count)
        return firsts.masked_fill_(firsts == rows, -1)

    def pick(self, column: Column, rows: Tensor) -> Column:
        """The column at one row per group, NULL where it is -1."""
        if len(column) == 0:
            return null_column(column.type, self.count, self.numbers.device)
        return take_or_null(column, rows)


class RankedRows(Protocol):
    """The rows of groups, or of overlapping frames, as ranks in their order tell them."""

    @property
    def count(self) -> int:
        """How many groups there are."""

    @property
    def sizes(self) -> Tensor:
        """int64 rows per group."""

    @property
    def present(self) -> Tensor | None:
        """bool per group: whether it has rows; None = all have."""

    def first(self) -> Tensor:
        """int64 first row of each group, -1 where it has none."""

    def pick(self, column: Column, rows: Tensor) -> Column:
        """The column at one row per group, NULL where it is -1."""

    def ranked(self, column: Column) -> Callable[[Tensor], Tensor]:
        """From places in each group's ascending order to rows, -1 where the group has none."""

    def distinct(self, columns: Sequence[Column]) -> Tensor:
        """int64 different values per group."""


State = tuple[Column, ...]


class AggregateKernel:
    """Base of all aggregate kernels."""

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        """One row per group from all the rows that count, in their order."""
        raise NotImplementedError


class Collecting(AggregateKernel):
    """An aggregate that needs all rows at once: only `whole`.

    `paired` has states and another order of adding, which suits long frames of a window.
    """

    paired: Reducing | None = None


class Ranking(Collecting):
    """A collecting aggregate that reads rows by rank only, so that long frames cost little."""

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        """One row per group."""
        return self.of_ranks(rows, arguments, call)

    def of_ranks(
        self, rows: RankedRows, arguments: Sequence[Column], call: AggregateCall
    ) -> Column:
        """One row per group, or per frame."""
        raise NotImplementedError


class Reducing(AggregateKernel):
    """An aggregate with a small state; NULL in its first column marks groups without rows.

    `of_distinct` computes it, too, of different values only.
    """

    of_distinct: Ranking | None = None

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        """The state of some rows."""
        raise NotImplementedError

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        """The state of several states: their rows in morsel order, by group."""
        raise NotImplementedError

    def final(self, state: State, call: AggregateCall) -> Column:
        """The result."""
        return state[0]

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        """The result of a state."""
        return self.final(self.partial(rows, arguments, call), call)
