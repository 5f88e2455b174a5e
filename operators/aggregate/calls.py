"""Aggregate calls over batches: those whose states combine, and those that collect their rows.

Both leave a piece of each batch and make their result of all pieces. Reducing calls leave a state
per group. Collecting ones (DISTINCT, ORDER BY, kernels without states) leave the rows themselves,
each with the number of its group among the batch's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import true_rows, values_of
from tensorsql.operators.functions.registry import kernel_for
from tensorsql.operators.keys.grouping import AggregateKernel, Collecting, Grouped, Reducing
from tensorsql.operators.keys.key_codes import Groups, group_rows
from tensorsql.operators.keys.ordering import directions, order_codes, sort_rows
from tensorsql.operators.runtime.kept_rows import KeptRows, KeyedBatch
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.column import Batch, Column, Flat, take, valid_rows
from tensorsql.storage.columns.types import BIGINT


@dataclass(frozen=True)
class Merged:
    """The groups of all batches: their rows are the batches' groups, end to end."""

    groups: Groups
    sizes: Sequence[int]

    def of_batches(self) -> Sequence[Tensor]:
        """For each batch, the number of each of its groups."""
        return torch.split(self.groups.numbers, list(self.sizes))


class CallInput(ABC):
    """One aggregate call, and where the evaluated columns it reads are."""

    def __init__(self, call: AggregateCall, start: int = 0) -> None:
        self.call = call
        after = start + len(call.args)
        self.arguments = range(start, after)
        self.filter = None if call.filter is None else after
        after += call.filter is not None
        self.order = range(after, after + len(call.order_by))

    def counted(self, columns: Sequence[Column]) -> Tensor | None:
        """bool per row: passes the filter and has no NULL argument that would skip it."""
        counted = None if self.filter is None else true_rows(columns[self.filter])
        if self.call.function.nulls == "propagate":
            valid = valid_rows([columns[place] for place in self.arguments])
            if valid is not None and not bool(valid.all()):
                counted = valid if counted is None else counted & valid
        return counted

    def read(self, columns: Sequence[Column], groups: Grouped) -> tuple[Sequence[Column], Grouped]:
        """Arguments and orders of the rows that count, and their groups."""
        counted = self.counted(columns)
        columns = [columns[place] for place in (*self.arguments, *self.order)]
        if counted is None:
            return columns, groups
        rows = kernels.nonzero(counted)
        numbers = groups.numbers.index_select(0, rows)
        return [take(column, rows) for column in columns], Grouped(numbers, groups.count)

    @abstractmethod
    def piece(self, columns: Sequence[Column], groups: Grouped) -> KeyedBatch:
        """What one batch leaves of the call."""

    @abstractmethod
    def result(self, kept: KeptRows, merged: Merged) -> Column:
        """The call's output column from the pieces of all batches."""

    @abstractmethod
    def whole(self, columns: Sequence[Column], groups: Grouped) -> Column:
        """The call's output column from one batch that is all there is."""


class ReducingCall(CallInput):
    """A call whose state is a row per group; a piece is the states of a batch's groups."""

    def __init__(self, call: AggregateCall, kernel: Reducing, start: int = 0) -> None:
        super().__init__(call, start)
        self.kernel = kernel

    def state(self, columns: Sequence[Column], groups: Grouped) -> Sequence[Column]:
        """The states of one batch's groups."""
        arguments, groups = self.read(columns, groups)
        return self.kernel.partial(groups, arguments, self.call)

    def combined(
        self, groups: Groups, states: Sequence[Column], sparse: bool = False
    ) -> Sequence[Column]:
        """The states of groups of states; with `sparse` a group may have none."""
        grouped = Grouped(groups.numbers, groups.count) if sparse else Grouped.of(groups)
        there = states[0].validity
        if there is not None:
            rows = kernels.nonzero(there)
            grouped = Grouped(groups.numbers.index_select(0, rows), groups.count)
            states = [take(column, rows) for column in states]
        return self.kernel.combine(grouped, tuple(states), self.call)

    def final(self, states: Sequence[Column]) -> Column:
        """The output column of states."""
        return self.kernel.final(tuple(states), self.call)

    def piece(self, columns: Sequence[Column], groups: Grouped) -> KeyedBatch:
        """The states."""
        return KeyedBatch(Batch(dict(enumerate(self.state(columns, groups))), groups.count))

    def result(self, kept: KeptRows, merged: Merged) -> Column:
        """States combined in the batches' order; those of a single batch are the groups'."""
        alone, states = len(kept.pieces) == 1, list(kept.table().columns.values())
        return self.final(states if alone else self.combined(merged.groups, states))

    def whole(self, columns: Sequence[Column], groups: Grouped) -> Column:
        """From states that need no combining."""
        return self.final(self.state(columns, groups))


class CollectingCall(CallInput):
    """A call computed over all its rows at once; a piece is a batch's rows with their groups."""

    def __init__(self, call: AggregateCall, kernel: AggregateKernel, start: int = 0) -> None:
        super().__init__(call, start)
        self.kernel = kernel

    def piece(self, columns: Sequence[Column], groups: Grouped) -> KeyedBatch:
        """The rows that count; for DISTINCT, the first of each group's values."""
        columns, groups = self._distinct(*self.read(columns, groups))
        numbers = Flat(BIGINT, groups.numbers)
        return KeyedBatch(Batch(dict(enumerate(columns)), len(numbers)), [numbers])

    def result(self, kept: KeptRows, merged: Merged) -> Column:
        """Over the rows of all batches, in order."""
        parts = [
            groups.index_select(0, values_of(piece.keys[0]))
            for piece, groups in zip(kept.pieces, merged.of_batches(), strict=True)
        ]
        columns = list(kept.table().columns.values())
        return self._whole(columns, Grouped(torch.cat(parts), merged.groups.count))

    def whole(self, columns: Sequence[Column], groups: Grouped) -> Column:
        """Over the batch's rows."""
        return self._whole(*self.read(columns, groups))

    def _distinct(
        self, columns: Sequence[Column], groups: Grouped
    ) -> tuple[Sequence[Column], Grouped]:
        if not self.call.distinct or not self.arguments:
            return columns, groups
        values = columns[: len(self.arguments)]
        first = group_rows([Flat(BIGINT, groups.numbers), *values]).first
        numbers = groups.numbers.index_select(0, first)
        return [take(column, first) for column in columns], Grouped(numbers, groups.count)

    def _whole(self, columns: Sequence[Column], groups: Grouped) -> Column:
        columns, groups = self._distinct(columns, groups)
        split = len(self.arguments)
        if self.order:
            codes = order_codes(columns[split:], directions(self.call.order_by))
            order = sort_rows(codes)
            groups = Grouped(groups.numbers.index_select(0, order), groups.count)
            columns = [take(column, order) for column in columns[:split]]
        return self.kernel.whole(groups, columns[:split], self.call)


def aggregate_kernel(call: AggregateCall, context: Context) -> AggregateKernel:
    """The kernel that the call's signature names."""
    kernel: Any = kernel_for(call.function, context)
    assert isinstance(kernel, AggregateKernel)
    return kernel


def call_input(call: AggregateCall, context: Context, start: int = 0) -> CallInput:
    """The call over evaluated columns from place `start` on."""
    kernel = aggregate_kernel(call, context)
    if isinstance(kernel, Reducing) and not (call.distinct or call.order_by):
        return ReducingCall(call, kernel, start)
    return CollectingCall(call, kernel, start)


def paired_call(call: AggregateCall, context: Context) -> ReducingCall | None:
    """The call by states that combine, be it with another order of adding; None without such."""
    kernel: Any = aggregate_kernel(call, context)
    if isinstance(kernel, Collecting):
        kernel = kernel.paired
    if kernel is None or call.distinct or call.order_by:
        return None
    return ReducingCall(call, kernel)
