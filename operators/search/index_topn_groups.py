"""IndexTopN over groups: aggregates bounded from their members' bounds, groups verified whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tensorsql.errors import Error
from tensorsql.operators import kernels
from tensorsql.operators.aggregate.aggregate import AggregateRecipe, AggregateSink
from tensorsql.operators.columns.layouts import take_batch, values_of
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.indexes import INDEXES
from tensorsql.operators.indexes.protocol import GroupMembers, GroupProbe
from tensorsql.operators.keys.grouping import Grouped
from tensorsql.operators.keys.key_codes import group_rows
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows, KeyedBatch
from tensorsql.operators.runtime.program import Context, Run
from tensorsql.operators.search.best_first import Search, best_first, ranks, ranks_of
from tensorsql.operators.search.bounds import (
    Bounds,
    BoundsCompiler,
    bytes_read,
    composed,
    fixed,
    full_interval,
    row_ids,
)
from tensorsql.operators.search.criteria import Criteria, count_bytes
from tensorsql.planner.analysis.group_intervals import MemberGroups, aggregate
from tensorsql.planner.analysis.intervals import Interval, constant, unknown
from tensorsql.planner.plans.expressions import AggregateCall, Call, ColumnRef, Expression, walk
from tensorsql.planner.plans.index_plans import IndexTopN
from tensorsql.planner.plans.plan import fresh_id
from tensorsql.storage.columns import types
from tensorsql.storage.columns.changes import to_device
from tensorsql.storage.columns.column import CPU, Batch, Flat, take


@dataclass(frozen=True, kw_only=True)
class GroupBatch(Batch):
    """A row per group, its key columns only, and behind them the members and their groups."""

    members: Batch
    groups: Grouped

    @cached_property
    def _by_group(self) -> Tensor:
        return kernels.argsort(self.groups.numbers)

    def members_of(self, chosen: Tensor) -> Tensor:
        """int64 members of some groups, in input order, in which float sums add up."""
        parts = (self.groups.starts, self.groups.sizes)
        _, places = kernels.ranges(*(part.index_select(0, chosen) for part in parts))
        return self._by_group.index_select(0, places).sort().values


def aggregated(call: AggregateCall, argument: Bounds) -> Bounds:
    """An aggregate, per group, from the bounds of its argument."""

    def interval(batch: Batch) -> Interval:
        assert isinstance(batch, GroupBatch)
        value = full_interval(argument.interval(batch.members), batch.members.rows)
        return aggregate(call, value, MemberGroups(batch.groups.numbers.cpu(), batch.count))

    return Bounds(interval)


def group_probed(
    call: Call, combined: AggregateCall, probe: GroupProbe, arguments: Evaluator, row_id: int
) -> Bounds:
    """A call over an aggregate of an indexed column, per group, from the members' summaries."""

    def interval(batch: Batch) -> Interval:
        assert isinstance(batch, GroupBatch)
        try:
            values = arguments(batch)
        except Error:
            return unknown(call.type)
        ids = row_ids(batch.members, row_id)
        members = GroupMembers(ids, batch.groups.numbers.cpu(), batch.count)
        return probe.group_bounds(combined, members, [to_device(each, CPU) for each in values])

    return Bounds(interval)


class GroupBoundsCompiler(BoundsCompiler):
    """Compiles expressions over an Aggregate's columns."""

    def __init__(self, plan: IndexTopN, context: Context) -> None:
        super().__init__(plan.indexes, context)
        self._members = BoundsCompiler(plan.indexes, context)
        self._aggregates = {field.id: call for field, call in plan.aggregates}

    def compile(self, expression: Expression) -> Bounds:
        """The bounds of an expression, per group."""
        if not any(self._aggregate(node) for node in walk(expression)):
            return super().compile(expression)
        call = self._aggregate(expression)
        if call is not None:
            return self._aggregated(call)
        assert isinstance(expression, Call)
        of_index = self._group_probe(expression)
        return of_index or composed(expression, [self.compile(arg) for arg in expression.args])

    def _aggregate(self, expression: Expression) -> AggregateCall | None:
        is_column = isinstance(expression, ColumnRef)
        return self._aggregates.get(expression.id) if is_column else None  # type: ignore[attr-defined]

    def _aggregated(self, call: AggregateCall) -> Bounds:
        if len(call.args) > 1 or not call.type.is_bounded:
            return fixed(unknown(call.type))
        argument = self._members.compile(call.args[0]) if call.args else fixed(constant(1))
        return aggregated(call, argument)

    def _group_probe(self, call: Call) -> Bounds | None:
        combined = self._aggregate(call.args[0]) if call.args else None
        if combined is None or not combined.args:
            return None
        if any(self._aggregate(e) for a in call.args[1:] for e in walk(a)):
            return None
        over_member = call.with_children((combined.args[0], *call.args[1:]))
        use = self.use(over_member)
        if use is None:
            return None
        row_id, entry = use
        probe = INDEXES[entry.method].prepare(entry, over_member, self._context)
        if not isinstance(probe, GroupProbe):
            return None
        arguments = compile_expressions(call.args[1:], self._context)
        return group_probed(call, combined, probe, arguments, row_id.id)


@dataclass(frozen=True)
class GroupRecipe:
    """The members' columns, the groups', and the plan node whose keys and indexes count."""

    node: int
    inputs: Columns
    columns: Columns
    plan: IndexTopN

    def start(self, run: Run) -> GroupSink:
        """Prepare the probes; compile keys, predicate, group keys and aggregates."""
        plan, context, number = self.plan, run.context, fresh_id()
        criteria = Criteria.of(plan, self.node, GroupBoundsCompiler(plan, context), context)
        group_keys = compile_expressions([e for _, e in plan.group_keys], context)
        aggregates = self._aggregates(number).start(run)
        return GroupSink(
            self.inputs,
            output=self.columns,
            criteria=criteria,
            group_keys=group_keys,
            number=number,
            aggregates=aggregates,
        )

    def _aggregates(self, number: int) -> AggregateRecipe:
        """The aggregates by group number."""
        key = ColumnRef(types.BIGINT, number, "group")
        outputs = ((number, types.BIGINT), *self.columns[len(self.plan.group_keys) :])
        calls = tuple(call for _, call in self.plan.aggregates)
        return AggregateRecipe(self.node, outputs, (key,), calls, ((0,),))


@dataclass(frozen=True, kw_only=True)
class GroupSink(Keeping):
    """Keeps the members; merging groups, bounds and verifies them.

    `aggregates` is of members whose group number is column `number`.
    """

    output: Columns
    criteria: Criteria
    group_keys: Evaluator
    number: int
    aggregates: AggregateSink

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """The groups asked for, in order; ties by the group's first row."""
        kept, criteria = super().merge(states), self.criteria
        if not kept.rows or criteria.plan.count == 0:
            return KeptRows(self.output)
        table = self._groups(kept.table())
        possible = kernels.nonzero(criteria.possible(table)).to(torch.int64)
        places = torch.arange(table.count, device=CPU)
        best = ranks(criteria.bounds(table), criteria.order, places, best=True)

        def verify(positions: Tensor) -> KeyedBatch:
            chosen = possible.index_select(0, positions).to(criteria.context.device)
            return self._verified(table, chosen)

        search = Search(criteria, ranks_of(best, possible), verify, KeptRows(self.output))
        best_first(search)
        return search.first()

    def _groups(self, members: Batch) -> GroupBatch:
        keys = self.group_keys(members)
        groups = group_rows(keys)
        ids = (id for id, _ in self.output)
        columns = {id: take(key, groups.first) for id, key in zip(ids, keys, strict=False)}
        return GroupBatch(columns, groups.count, members=members, groups=Grouped.of(groups))

    def _verified(self, table: GroupBatch, chosen: Tensor) -> KeyedBatch:
        """Those of the chosen groups that count, from all their members."""
        rows, before = table.members_of(chosen), bytes_read(table.members)
        members = take_batch(table.members, rows)
        numbers = Flat(types.BIGINT, table.groups.numbers.index_select(0, rows))
        state = self.aggregates.new_state()
        self.aggregates.accumulate(
            state, Batch({**members.columns, self.number: numbers}, members.count)
        )
        results = self.aggregates.merge([state]).table()
        places = values_of(results.columns[self.number])
        keys = take_batch(table, places)
        context, node = self.criteria.context, self.criteria.node
        context.metrics.note(node, members=len(rows))
        count_bytes(context, node, bytes_read(table.members) - before)
        batch = Batch({**keys.columns, **results.columns}, results.count)
        return self.criteria.verified(batch, places)
