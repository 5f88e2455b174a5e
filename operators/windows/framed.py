"""An aggregate of many overlapping frames: from trees, or over the rows of each frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.operators import kernels
from tensorsql.operators.aggregate.calls import aggregate_kernel, call_input, paired_call
from tensorsql.operators.keys.grouping import AggregateKernel, Grouped, Ranking, Reducing
from tensorsql.operators.runtime.program import Context
from tensorsql.operators.windows.frame_ranks import FramedRows, previous
from tensorsql.operators.windows.frame_tree import FrameTree
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.column import Column, take
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.ragged import cumulated

BLOCK_ROWS = 1 << 20


@dataclass(frozen=True)
class FramedCall:
    """A call, the columns it reads, its frames, low … high - 1 of their rows each, and for each
    row where its partition starts; and where its kernel is found."""

    call: AggregateCall
    columns: Sequence[Column]
    low: Tensor
    high: Tensor
    start: Tensor
    context: Context

    def of_long(self) -> Column:
        """A row per frame, in about the time of sorting if the call has such a way."""
        counted = self._counted()
        results = counted._trees() if counted.rows else None
        return counted.of_short() if results is None else results

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.start.shape[0])

    def _counted(self) -> FramedCall:
        """Without rows that do not count, and without repeated values if all frames agree on it."""
        narrowed = self
        counted = call_input(self.call, self.context).counted(self.columns)
        if counted is not None:
            narrowed = self._kept(counted)
        if self.call.distinct and self.call.args and narrowed._running:
            earlier = previous(narrowed.columns[: len(self.call.args)])
            narrowed = narrowed._kept(earlier < narrowed.start)
            narrowed = replace(narrowed, call=replace(narrowed.call, distinct=False))
        return narrowed

    @property
    def _running(self) -> bool:
        """Whether every frame begins where its partition does."""
        low = self.low[self.low < self.high]
        return bool((self.start.index_select(0, low) == low).all())

    def _kept(self, mask: Tensor) -> FramedCall:
        """Of some rows only; the filter is among what `mask` says."""
        before = cumulated(mask)
        rows = kernels.nonzero(mask)
        columns = list(self.columns)
        if self.call.filter is not None:
            del columns[len(self.call.args)]
        columns = [take(column, rows) for column in columns]
        low, high = before.index_select(0, self.low), before.index_select(0, self.high)
        start = before.index_select(0, self.start.index_select(0, rows))
        return FramedCall(replace(self.call, filter=None), columns, low, high, start, self.context)

    def _trees(self) -> Column | None:
        """The result from trees; None if the call has none."""
        call = self.call
        kernel: AggregateKernel | None = aggregate_kernel(call, self.context)
        if call.distinct and isinstance(kernel, Reducing):
            kernel, call = kernel.of_distinct, replace(call, distinct=False)
        if isinstance(kernel, Ranking) and not (call.distinct or call.order_by):
            rows = FramedRows(self.low, self.high)
            return kernel.of_ranks(rows, self.columns[: len(call.args)], call)
        paired = paired_call(self.call, self.context)
        if paired is None:
            return None
        return FrameTree.of(paired, self.columns, self.start).results(self.low, self.high)

    def of_short(self) -> Column:
        """A row per frame, from all rows of all frames, some at a time."""
        call, sizes, results = call_input(self.call, self.context), self.high - self.low, []
        for first, last in _blocks(sizes):
            check_cancelled()
            owner, members = kernels.ranges(self.low[first:last], sizes[first:last])
            grouped = Grouped(owner.to(torch.int64), last - first)
            results.append(call.whole([take(column, members) for column in self.columns], grouped))
        return concat(results)


def _blocks(sizes: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of frames with some `BLOCK_ROWS` rows in all."""
    ends, start, done = sizes.cumsum(0), 0, 0
    while start < int(sizes.shape[0]):
        stop = int(torch.searchsorted(ends, done + BLOCK_ROWS, right=True))
        stop = min(max(stop, start + 1), int(sizes.shape[0]))
        yield start, stop
        start, done = stop, int(ends[stop - 1])
