"""Aggregate: GROUP BY in two steps, per morsel and over all.

Each batch becomes a small table of groups, numbered by first appearance, with a state per
aggregate (see `grouping`). Merging numbers the tables' keys together, in morsel order, and
combines the states: groups come out in the order in which the input first shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tensorsql.operators.aggregate.calls import CallInput, Merged, call_input
from tensorsql.operators.columns.layouts import null_column
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.functions.ranges import StoredColumns, counted_columns
from tensorsql.operators.keys.grouping import Grouped
from tensorsql.operators.keys.key_codes import Groups, group_rows
from tensorsql.operators.runtime.kept_rows import Columns, KeptRows, KeyedBatch, in_order
from tensorsql.operators.runtime.program import Context, Merging, Run, Scope
from tensorsql.operators.runtime.scheduler import each
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.planner.plans.expressions import AggregateCall, Expression
from tensorsql.planner.plans.logical import Aggregate
from tensorsql.storage.columns.column import Batch, Column, take

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
    counted = counted_columns(plan.input, inputs)
    recipe = AggregateRecipe(node, columns_of(plan.fields), keys, calls, sets, counted)
    return compiler.reopen(compiler.close(stream, recipe), node)


@dataclass(frozen=True)
class AggregateRecipe:
    """Output columns (keys, then aggregates), what computes them, the grouping sets, and
    the stored columns that they compute with by input id."""

    node: int
    columns: Columns
    keys: tuple[Expression, ...]
    calls: tuple[AggregateCall, ...]
    sets: tuple[tuple[int, ...], ...]
    counted: StoredColumns = field(default_factory=dict)

    def start(self, run: Run) -> AggregateSink:
        """Compile keys, arguments, filters and orders together, each once."""
        expressions = list(self.keys)
        calls = []
        for call in self.calls:
            calls.append(call_input(call, run.context, len(expressions)))
            expressions.extend(call.children)
        evaluator = compile_expressions(expressions, run.context, self.counted)
        return AggregateSink(self, calls, evaluator, expressions, run.context)


@dataclass(frozen=True)
class KeptGroups:
    """The groups of each batch, their keys, and what each call keeps of them."""

    groups: KeptRows
    calls: Sequence[KeptRows]

    @staticmethod
    def of(states: Sequence[KeptGroups], calls: int) -> KeptGroups:
        """The groups of all states, one after the other; of none to begin with."""
        calls_kept = [
            in_order((), [state.calls[place] for state in states]) for place in range(calls)
        ]
        return KeptGroups(in_order((), [state.groups for state in states]), calls_kept)

    def merged(self, device: torch.device) -> tuple[Sequence[Column], Merged]:
        """The different groups of all batches: their keys, and which of them each batch's are."""
        sizes = [batch.count for batch in self.groups.batches]
        keys = self.groups.joined().keys
        if len(sizes) == 1:
            return keys, Merged(Groups.single(sizes[0], device), sizes)
        groups = _groups(keys, sum(sizes), device)
        return [take(key, groups.first) for key in keys], Merged(groups, sizes)


@dataclass(frozen=True)
class AggregateSink(Merging):
    """Groups each batch by each grouping set, and merges the groups."""

    recipe: AggregateRecipe
    calls: Sequence[CallInput]
    evaluator: Evaluator
    expressions: Sequence[Expression]
    context: Context
    scope: Scope = "ordered"
    poor: set[int] = field(default_factory=set)  # grouping sets that batches hardly reduce

    @property
    def device(self) -> torch.device:
        """Where the rows lie."""
        return self.context.device

    def new_state(self) -> list[KeptGroups]:
        """The groups of one morsel, per grouping set."""
        return [KeptGroups.of([], len(self.calls)) for _ in self.recipe.sets]

    def accumulate(self, state: list[KeptGroups], batch: Batch) -> None:
        """Add the batch's groups."""
        columns = self.evaluator(batch)
        for number, kept in enumerate(state):
            self.context.check()
            self._add(kept, columns, batch.rows, number)

    def _add(self, kept: KeptGroups, columns: Sequence[Column], rows: int, number: int) -> None:
        """Group some rows by a set; by one that reduces little, every row is a group of its own."""
        keys = [columns[place] for place in self.recipe.sets[number]]
        each_row = number in self.poor
        groups = Groups.single(rows, self.device) if each_row else _groups(keys, rows, self.device)
        grouped = Grouped.of(groups) if rows else Grouped(groups.numbers, groups.count)
        for call, own in zip(self.calls, kept.calls, strict=True):
            own.pieces.append(call.piece(columns, grouped))
        if not each_row:
            keys = [take(key, groups.first) for key in keys]
            if 2 * groups.count > max(rows, SAMPLE_ROWS):
                self.poor.add(number)  # what order workers see it in changes no result
        kept.groups.pieces.append(KeyedBatch(Batch({}, groups.count), keys))

    def merge(self, states: Sequence[list[KeptGroups]]) -> KeptRows:
        """All groups: set by set, in order of first appearance."""
        batches = []
        for number in range(len(self.recipe.sets)):
            self.context.check()
            kept = KeptGroups.of([state[number] for state in states], len(self.calls))
            if not kept.groups.pieces:
                nothing = [null_column(e.type, 0, self.device) for e in self.expressions]
                self._add(kept, nothing, 0, number)
            batches.append(self._result(kept, self.recipe.sets[number]))
        return KeptRows.of(self.recipe.columns, *batches)

    def _result(self, kept: KeptGroups, chosen: Sequence[int]) -> Batch:
        keys, merged = kept.merged(self.device)
        width, count = len(self.recipe.keys), merged.groups.count
        columns: dict[int, Column] = {}
        for place, (id, kind) in enumerate(self.recipe.columns[:width]):
            inside = place in chosen
            columns[id] = (
                keys[chosen.index(place)] if inside else null_column(kind, count, self.device)
            )

        def result(place: int) -> Column:
            return self.calls[place].result(kept.calls[place], merged)

        results = each(self.context, result, range(len(self.calls)))
        for (id, _), column in zip(self.recipe.columns[width:], results, strict=True):
            columns[id] = column
        return Batch(columns, count)


def _groups(keys: Sequence[Column], rows: int, device: torch.device) -> Groups:
    """By keys, or all rows, even none, in one group."""
    return group_rows(keys) if keys else Groups.whole(rows, device)
