"""Aggregate: GROUP BY in two steps, per morsel and over all.

Each batch becomes a small table of groups, numbered by first appearance, with a state per
aggregate (see `grouping`). Merging numbers the tables' keys together, in morsel order, and
combines the states: groups come out in the order in which the input first shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.building import concat_batches, null_column
from tensorsql.operators.columns.layouts import true_rows
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.functions.ranges import Range, proven_ranges
from tensorsql.operators.functions.registry import kernel_of
from tensorsql.operators.keys.grouping import Aggregate as AggregateKernel
from tensorsql.operators.keys.grouping import Collecting, Grouped, Reducing
from tensorsql.operators.keys.key_codes import Groups, group_rows
from tensorsql.operators.keys.ordering import directions, order_codes, sort_rows
from tensorsql.operators.runtime.crew import each
from tensorsql.operators.runtime.kept_rows import Columns, KeptRows
from tensorsql.operators.runtime.program import Context, Merging, Run, Scope
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import AggregateCall, Expression
from tensorsql.planner.plans.logical import Aggregate
from tensorsql.storage.columns.column import Batch, Column, Flat, take, valid_rows
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import BIGINT

SAMPLE_ROWS = 8192  # fewer say too little of how much grouping reduces


def compile_aggregate(plan: Aggregate, node: int, compiler: Compiler) -> Stream:
    """A stream over the groups."""
    (stream,) = compiler.inputs(plan, node)
    keys = tuple(expression for _, expression in plan.keys)
    calls = tuple(call for _, call in plan.aggregates)
    sets = plan.grouping_sets
    if sets is None:
        sets = (tuple(range(len(keys))),)
    inputs = (*keys, *(child for call in calls for child in call.children))
    ranges = proven_ranges(plan.input, inputs)
    recipe = AggregateRecipe(node, columns_of(plan.fields), keys, calls, sets, ranges)
    return compiler.reopen(compiler.close(stream, recipe), node)


@dataclass(frozen=True)
class AggregateRecipe:
    """Output columns (keys, then aggregates), what computes them, the grouping sets, and proven
    ranges of stored values by input id."""

    node: int
    columns: Columns
    keys: tuple[Expression, ...]
    calls: tuple[AggregateCall, ...]
    sets: tuple[tuple[int, ...], ...]
    ranges: Mapping[int, Range] = field(default_factory=dict)

    def start(self, run: Run) -> AggregateSink:
        """Compile keys, arguments, filters and orders together, each once."""
        expressions = list(self.keys)
        inputs = []
        for call in self.calls:
            inputs.append(CallInput(call, len(expressions)))
            expressions.extend(call.children)
        evaluator = compile_expressions(expressions, run.context, self.ranges)
        return AggregateSink(self, inputs, evaluator, expressions, run.context)


class CallInput:
    """One aggregate call: its kernel, and where the evaluated columns it reads are."""

    def __init__(self, call: AggregateCall, start: int) -> None:
        self.call = call
        self.kernel: AggregateKernel = _kernel(call)
        after = start + len(call.args)
        self.arguments = range(start, after)
        self.filter = None if call.filter is None else after
        after += call.filter is not None
        self.order = range(after, after + len(call.order_by))
        self.collects = (
            call.distinct or bool(call.order_by) or not isinstance(self.kernel, Reducing)
        )

    def pair(self) -> bool:
        """Go over to states that combine, if the call has some."""
        if self.call.distinct or self.call.order_by:
            return False
        if isinstance(self.kernel, Collecting) and self.kernel.paired is not None:
            self.kernel, self.collects = self.kernel.paired, False
        return not self.collects

    def piece(self, columns: Sequence[Column], groups: Grouped) -> Piece:
        """What one batch leaves of the call."""
        counted = self.counted(columns)
        kept = [columns[place] for place in (*self.arguments, *self.order)]
        if counted is not None:
            rows = kernels.nonzero(counted)
            kept = [take(column, rows) for column in kept]
            groups = Grouped(groups.numbers.index_select(0, rows), groups.count)
        if self.collects:
            return self._distinct(Piece(groups.numbers, kept))
        assert isinstance(self.kernel, Reducing)
        return Piece(None, list(self.kernel.partial(groups, kept, self.call)))

    def counted(self, columns: Sequence[Column]) -> Tensor | None:
        """bool per row: passes the filter and has no NULL argument that would skip it."""
        counted = None if self.filter is None else true_rows(columns[self.filter])
        if self.call.function.nulls == "propagate":
            valid = valid_rows([columns[place] for place in self.arguments])
            if valid is not None and not bool(valid.all()):
                counted = valid if counted is None else counted & valid
        return counted

    def _distinct(self, piece: Piece) -> Piece:
        """For DISTINCT, the first row of each group's values."""
        if not self.call.distinct or not self.arguments:
            return piece
        assert piece.numbers is not None
        keys: list[Column] = [Flat(BIGINT, piece.numbers), *piece.columns[: len(self.arguments)]]
        first = group_rows(keys, len(keys[0])).first
        columns = [take(column, first) for column in piece.columns]
        return Piece(piece.numbers.index_select(0, first), columns)

    def result(self, pieces: Sequence[Piece], merged: Merged) -> Column:
        """The call's output column from the pieces of all tables."""
        if not self.collects and len(pieces) == 1:
            assert isinstance(self.kernel, Reducing)
            return self.kernel.final(tuple(pieces[0].columns), self.call)
        columns = [concat(part) for part in zip(*(piece.columns for piece in pieces), strict=True)]
        if self.collects:
            parts = [
                own.index_select(0, piece.numbers)
                for piece, own in zip(pieces, merged.of_tables(), strict=True)
                if piece.numbers is not None
            ]
            whole = self._distinct(Piece(torch.cat(parts), columns))
            return self._whole(whole, merged.groups.count)
        return self.final(self.combined(merged.groups, columns))

    def final(self, state: Sequence[Column]) -> Column:
        """The output column of states."""
        assert isinstance(self.kernel, Reducing)
        return self.kernel.final(tuple(state), self.call)

    def combined(
        self, groups: Groups, columns: Sequence[Column], sparse: bool = False
    ) -> list[Column]:
        """The states of groups of states; with `sparse` a group may have none."""
        assert isinstance(self.kernel, Reducing)
        there, columns = columns[0].validity, list(columns)
        grouped = Grouped(groups.numbers, groups.count) if sparse else Grouped.of(groups)
        if there is not None:
            rows = kernels.nonzero(there)
            grouped = Grouped(groups.numbers.index_select(0, rows), groups.count)
            columns = [take(column, rows) for column in columns]
        return list(self.kernel.combine(grouped, tuple(columns), self.call))

    def _whole(self, piece: Piece, count: int) -> Column:
        numbers, columns = piece.numbers, piece.columns
        assert numbers is not None
        split = len(self.arguments)
        if self.order:
            codes = order_codes(columns[split:], directions(self.call.order_by))
            order = sort_rows(codes, int(numbers.shape[0]))
            numbers = numbers.index_select(0, order)
            columns = [take(column, order) for column in columns[:split]]
        return self.kernel.whole(Grouped(numbers, count), columns[:split], self.call)


def _kernel(call: AggregateCall) -> AggregateKernel:
    found: Any = kernel_of(call.function.kernel)
    assert isinstance(found, AggregateKernel)
    return found


@dataclass(frozen=True)
class Piece:
    """A call's state in one table: a row per group, or rows with their group's number."""

    numbers: Tensor | None
    columns: list[Column]


@dataclass(frozen=True)
class Table:
    """The groups of one batch: their keys and a piece per call."""

    keys: list[Column]
    count: int
    pieces: list[Piece]


@dataclass(frozen=True)
class Merged:
    """The groups of all tables: their rows are the tables' groups, end to end."""

    groups: Groups
    sizes: Sequence[int]

    @staticmethod
    def of_one(count: int) -> Merged:
        """The groups of a single table, as they are."""
        return Merged(Groups.single(count), [count])

    def of_tables(self) -> Sequence[Tensor]:
        """For each table, the number of each of its groups."""
        return torch.split(self.groups.numbers, list(self.sizes))


@dataclass(frozen=True)
class AggregateSink(Merging):
    """Makes a table per batch and grouping set, and merges them."""

    recipe: AggregateRecipe
    inputs: Sequence[CallInput]
    evaluator: Evaluator
    expressions: Sequence[Expression]
    context: Context
    scope: Scope = "ordered"
    poor: set[int] = field(default_factory=set)  # grouping sets that batches hardly reduce

    def new_state(self) -> list[list[Table]]:
        """Tables of one morsel, per grouping set."""
        return [[] for _ in self.recipe.sets]

    def accumulate(self, state: list[list[Table]], batch: Batch) -> None:
        """Add the batch's tables."""
        columns = self.evaluator(batch)
        for number, (tables, chosen) in enumerate(zip(state, self.recipe.sets, strict=True)):
            self.context.check()
            each_row = number in self.poor
            tables.append(self._table(columns, batch.rows, chosen, each_row))
            if not each_row and 2 * tables[-1].count > max(batch.rows, SAMPLE_ROWS):
                self.poor.add(number)  # what order workers see it in changes no result

    def _table(
        self, columns: Sequence[Column], rows: int, chosen: Sequence[int], each_row: bool = False
    ) -> Table:
        """The groups of some rows, or (`each_row`) every row as a group of its own."""
        keys = [columns[place] for place in chosen]
        groups = Groups.single(rows) if each_row else _groups(keys, rows)
        grouped = Grouped.of(groups) if rows else Grouped(groups.numbers, groups.count)
        pieces = [call.piece(columns, grouped) for call in self.inputs]
        if not each_row:
            keys = [take(key, groups.first) for key in keys]
        return Table(keys, groups.count, pieces)

    def merge(self, states: Sequence[list[list[Table]]]) -> KeptRows:
        """All groups: set by set, in order of first appearance."""
        batches = []
        for place, chosen in enumerate(self.recipe.sets):
            self.context.check()
            tables = [table for state in states for table in state[place]]
            if not tables:
                nothing = [null_column(expression.type, 0) for expression in self.expressions]
                tables = [self._table(nothing, 0, chosen)]
            batches.append(self._merge_set(tables, chosen))
        if len(batches) == 1:
            return KeptRows.of(self.recipe.columns, *batches)
        return KeptRows.of(self.recipe.columns, concat_batches(batches, self.recipe.columns))

    def _merge_set(self, tables: Sequence[Table], chosen: Sequence[int]) -> Batch:
        keys, merged = _merge_keys(tables)
        width, count = len(self.recipe.keys), merged.groups.count
        columns: dict[int, Column] = {}
        for place, (id, kind) in enumerate(self.recipe.columns[:width]):
            inside = place in chosen
            columns[id] = keys[chosen.index(place)] if inside else null_column(kind, count)

        def result(place: int) -> Column:
            return self.inputs[place].result([table.pieces[place] for table in tables], merged)

        results = each(self.context, result, range(len(self.inputs)))
        for (id, _), column in zip(self.recipe.columns[width:], results, strict=True):
            columns[id] = column
        return Batch(columns, count)


def _groups(keys: Sequence[Column], rows: int) -> Groups:
    """As `group_rows`; without keys there is one group even without rows."""
    if keys:
        return group_rows(keys, rows)
    numbers = torch.zeros(rows, dtype=torch.int64)
    return Groups(numbers, 1, torch.zeros(min(rows, 1), dtype=torch.int64), ordered=True)


def _merge_keys(tables: Sequence[Table]) -> tuple[list[Column], Merged]:
    sizes = [table.count for table in tables]
    if len(tables) == 1:
        return tables[0].keys, Merged.of_one(sizes[0])
    keys = [concat(part) for part in zip(*(table.keys for table in tables), strict=True)]
    groups = _groups(keys, sum(sizes))
    return [take(key, groups.first) for key in keys], Merged(groups, sizes)
