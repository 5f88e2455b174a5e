"""Window: functions over the rows of a partition in an order; rows keep their place.

All rows are kept, then sorted once per call. Aggregates are computed once per distinct frame: long
frames from trees, short ones and those of aggregates that have no tree over the frame's rows, in
blocks, where a running frame over a large partition costs its square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tensorsql.errors import UnsupportedError
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.functions.registry import kernel_for
from tensorsql.operators.keys.key_codes import Groups, KeyCodes, group_rows, number_groups
from tensorsql.operators.keys.ordering import (
    Partitions,
    directions,
    order_codes,
    partitions,
    sort_rows,
)
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows
from tensorsql.operators.runtime.program import Context, Run
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.operators.windows.framed import FramedCall
from tensorsql.planner.plans.expressions import WindowCall
from tensorsql.planner.plans.logical import Window
from tensorsql.storage.columns.column import Batch, Column, take

LONG = 32  # rows of a frame, on average, from which a tree of them pays


def compile_window(plan: Window, node: int, compiler: Compiler) -> Stream:
    """A stream over the rows with their new columns."""
    (stream,) = compiler.inputs(plan, node)
    calls = tuple((field.id, call) for field, call in plan.calls if isinstance(call, WindowCall))
    recipe = WindowRecipe(node, columns_of(plan.input.fields), columns_of(plan.fields), calls)
    return compiler.reopen(compiler.close(stream, recipe), node)


@dataclass(frozen=True)
class WindowRecipe:
    """The input's columns, the output's, and the calls by output id."""

    node: int
    passed: Columns
    columns: Columns
    calls: tuple[tuple[int, WindowCall], ...]

    def start(self, run: Run) -> WindowSink:
        """Compile what the calls read."""
        for _, call in self.calls:
            if call.ignore_nulls:
                raise UnsupportedError(
                    f"{call.call.function.name} with IGNORE NULLS does not run yet"
                )
        parts = [part for _, call in self.calls for part in _children(call)]
        keys = compile_expressions(parts, run.context)
        return WindowSink(self.passed, keys, recipe=self, context=run.context)


def _children(call: WindowCall) -> list[Any]:
    return [*call.call.children, *call.partition, *(key.expression for key in call.order)]


@dataclass(frozen=True, kw_only=True)
class WindowSink(Keeping):
    """Keeps rows and what the calls read, in order; merging computes each call."""

    recipe: WindowRecipe
    context: Context

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """The input's rows, in order, with a column per call."""
        kept = super().merge(states)
        if not kept.rows:
            return KeptRows(self.recipe.columns)
        rows = kept.joined()
        columns, inputs = dict(rows.batch.columns), rows.keys
        for id, call in self.recipe.calls:
            count = len(_children(call))
            columns[id] = self._compute(call, inputs[:count], rows.batch.count)
            inputs = inputs[count:]
        return KeptRows.of(self.recipe.columns, Batch(columns, rows.batch.count))

    def _compute(self, call: WindowCall, inputs: Sequence[Column], rows: int) -> Column:
        """The call's column for all rows, in their own order."""
        own, middle = len(call.call.children), len(call.call.children) + len(call.partition)
        parts, device = inputs[own:middle], self.context.device
        groups = group_rows(parts) if parts else Groups.whole(rows, device)
        keys = order_codes(inputs[middle:], directions(call.order))
        order = sort_rows([KeyCodes(groups.numbers, max(groups.count, 1)), *keys])
        keys = [KeyCodes(key.codes.index_select(0, order), key.size) for key in keys]
        window = partitions(groups.numbers.index_select(0, order), keys, call.frame)
        arguments = [take(column, order) for column in inputs[:own]]
        if call.call.function.kind == "window":
            function: Any = kernel_for(call.call.function, self.context)
            result: Column = function(window, arguments, call.call)
        else:
            result = self._aggregate(call, window, arguments)
        back = torch.empty_like(order)
        back[order] = torch.arange(rows, device=order.device)
        return take(result, back)

    def _aggregate(self, call: WindowCall, window: Partitions, columns: Sequence[Column]) -> Column:
        """The aggregate of each row's frame, computed once per distinct frame."""
        frames = number_groups(KeyCodes(window.low * (window.rows + 1) + window.high, 2**62))
        low, high = (end.index_select(0, frames.first) for end in (window.low, window.high))
        framed = FramedCall(call.call, columns, low, high, window.start, self.context)
        long = int((high - low).sum()) > LONG * window.rows
        return take(framed.of_long() if long else framed.of_short(), frames.numbers)
