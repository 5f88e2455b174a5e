"""IndexTopN over groups: aggregates bounded from their members' bounds, groups verified whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorsql.errors import Error
from tensorsql.operators import kernels
from tensorsql.operators.aggregate.aggregate import AggregateRecipe, AggregateSink
from tensorsql.operators.columns.building import take_batch
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.indexes import INDEXES, protocol
from tensorsql.operators.indexes.protocol import GroupProbe
from tensorsql.operators.keys.key_codes import Groups, group_rows
from tensorsql.operators.keys.ordering import directions
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows
from tensorsql.operators.runtime.program import Context, Run
from tensorsql.operators.search.best_first import Verified, ranks, search
from tensorsql.operators.search.bounds import (
    Bounds,
    BoundsCompiler,
    Composed,
    Known,
    bytes_read,
    full_interval,
    is_bounded,
    row_ids,
)
from tensorsql.operators.search.index_metrics import begin, count_bytes, count_open
from tensorsql.operators.search.index_topn import Decision, bounded_key, first_verified
from tensorsql.planner.analysis.group_intervals import Members, aggregate
from tensorsql.planner.analysis.intervals import Interval, constant, unknown
from tensorsql.planner.plans.expressions import AggregateCall, Call, ColumnRef, Expression, walk
from tensorsql.planner.plans.index_plans import IndexTopN
from tensorsql.planner.plans.plan import fresh_id
from tensorsql.storage.columns import types
from tensorsql.storage.columns.column import Batch, Column, Flat, take


@dataclass(frozen=True)
class GroupBatch(Batch):
    """A row per group, its key columns only, and behind them the members and their groups."""

    members: Batch | None = None
    codes: Tensor | None = None

    def groups(self) -> tuple[Batch, Tensor]:
        """The members and the group number of each."""
        assert self.members is not None
        assert self.codes is not None
        return self.members, self.codes


@dataclass(frozen=True)
class AggregateBounds:
    """Bounds of an aggregate from those of its argument."""

    call: AggregateCall
    argument: Bounds

    def interval(self, batch: Batch) -> Interval:
        """Per group."""
        assert isinstance(batch, GroupBatch)
        members, codes = batch.groups()
        value = full_interval(self.argument.interval(members), members.rows)
        return aggregate(self.call, value, Members(codes, batch.count))


@dataclass(frozen=True)
class GroupProbed:
    """A call over an aggregate of an indexed column, bounded from the members' summaries."""

    call: AggregateCall
    type: types.Type
    probe: GroupProbe
    arguments: Evaluator
    row_id: int

    def interval(self, batch: Batch) -> Interval:
        """Per group."""
        assert isinstance(batch, GroupBatch)
        members, codes = batch.groups()
        try:
            arguments = self.arguments(batch)
        except Error:
            return unknown(self.type)
        ids = row_ids(members, self.row_id)
        return self.probe.group_bounds(
            self.call, protocol.Groups(ids, codes, batch.count), arguments
        )


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
        found = self._group_probe(expression)
        return found or Composed(expression, tuple(map(self.compile, expression.args)))

    def _aggregate(self, expression: Expression) -> AggregateCall | None:
        is_column = isinstance(expression, ColumnRef)
        return self._aggregates.get(expression.id) if is_column else None  # type: ignore[attr-defined]

    def _aggregated(self, call: AggregateCall) -> Bounds:
        if len(call.args) > 1 or not is_bounded(call.type):
            return Known(unknown(call.type))
        argument = self._members.compile(call.args[0]) if call.args else Known(constant(1))
        return AggregateBounds(call, argument)

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
        probe = INDEXES[use[3].method].prepare(use[3], over_member, self._context)
        if not isinstance(probe, GroupProbe):
            return None
        arguments = compile_expressions(call.args[1:], self._context)
        return GroupProbed(combined, call.type, probe, arguments, use[2].id)


@dataclass(frozen=True)
class GroupRecipe:
    """The members' columns, the groups', and the plan node whose keys and indexes count."""

    node: int
    inputs: Columns
    columns: Columns
    plan: IndexTopN

    def start(self, run: Run) -> GroupSink:
        """Prepare the probes; compile keys, predicate, group keys and aggregates."""
        plan, context = self.plan, run.context
        compiler = GroupBoundsCompiler(plan, context)
        keys = [key.expression for key in plan.keys]
        decision = Decision(
            compiler.compile(plan.predicate),
            [compiler.compile(key) for key in keys],
            compile_expressions([plan.predicate, *keys], context),
            context,
            self.node,
        )
        calls = (arg for _, call in plan.aggregates for arg in call.args)
        begin(context, self.node, [plan.predicate, *keys, *calls])
        group_keys = compile_expressions([e for _, e in plan.group_keys], context)
        return GroupSink(
            self.inputs,
            recipe=self,
            decision=decision,
            group_keys=group_keys,
            exact=self._exact(run),
        )

    def _exact(self, run: Run) -> Exact:
        """The aggregates of chosen groups, by group number."""
        number = fresh_id()
        key = ColumnRef(types.BIGINT, number, "group")
        outputs = ((number, types.BIGINT), *self.columns[len(self.plan.group_keys) :])
        calls = tuple(call for _, call in self.plan.aggregates)
        recipe = AggregateRecipe(self.node, outputs, (key,), calls, ((0,),))
        return Exact(number, recipe.start(run))


@dataclass(frozen=True)
class Exact:
    """Aggregates members whose group number is column `number`."""

    number: int
    sink: AggregateSink

    def aggregate(self, members: Batch, codes: Tensor) -> Batch:
        """A row per group number in `codes`, with the number and the aggregates."""
        columns: dict[int, Column] = {**members.columns, self.number: Flat(types.BIGINT, codes)}
        state = self.sink.new_state()
        self.sink.accumulate(state, Batch(columns, members.count))
        return self.sink.merge([state]).table()


@dataclass(frozen=True, kw_only=True)
class GroupSink(Keeping):
    """Keeps the members; merging groups, bounds and verifies them."""

    recipe: GroupRecipe
    decision: Decision
    group_keys: Evaluator
    exact: Exact

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """The groups asked for, in order; ties by the group's first row."""
        kept = super().merge(states)
        plan = self.recipe.plan
        if not kept.rows or plan.count == 0:
            return KeptRows(self.recipe.columns)
        members = kept.table()
        keys = self.group_keys(members)
        groups = group_rows(keys, members.count)
        ids = (id for id, _ in self.recipe.columns)
        columns = {id: take(key, groups.first) for id, key in zip(ids, keys, strict=False)}
        table = GroupBatch(columns, groups.count, members=members, codes=groups.numbers)
        found = self._search(table, groups)
        span = (plan.offset, plan.offset + plan.count)
        return first_verified(found, directions(plan.keys), span, self.recipe.columns)

    def _search(self, table: GroupBatch, groups: Groups) -> list[Verified]:
        plan, decision = self.recipe.plan, self.decision
        predicate = full_interval(decision.predicate.interval(table), table.count)
        intervals = [
            bounded_key(bounds, table, is_bounded(key.expression.type))
            for bounds, key in zip(decision.keys, plan.keys, strict=True)
        ]
        order = directions(plan.keys)
        count_open(decision.context, decision.node, table.count)
        kept = kernels.nonzero(~predicate.rejects).to(torch.int64)
        best = ranks(intervals, order, torch.arange(table.count), best=True)[:, kept.numpy()]
        verifier = GroupVerifier(table, groups, self.exact, decision)

        def verify(positions: Tensor) -> Verified:
            return verifier.verify(kept.index_select(0, positions))

        wanted = plan.offset + plan.count
        return search(best, wanted, verify, order, decision.context)


class GroupVerifier:
    """Exact aggregates of chosen groups, from all their members."""

    def __init__(self, table: GroupBatch, groups: Groups, exact: Exact, decision: Decision) -> None:
        self._table = table
        self._members, _ = table.groups()
        self._exact = exact
        self._decision = decision
        self._numbers = groups.numbers
        self._sorted = kernels.argsort(groups.numbers)
        self._sizes = kernels.count_by(groups.numbers, groups.count)
        self._starts = self._sizes.cumsum(0) - self._sizes

    def verify(self, chosen: Tensor) -> Verified:
        """The groups for which the predicate is TRUE, with exact keys."""
        starts, sizes = (part.index_select(0, chosen) for part in (self._starts, self._sizes))
        _, places = kernels.ranges(starts, sizes)
        # In input order, so that float sums add up as they would without an index.
        rows = self._sorted.index_select(0, places).sort().values
        before = bytes_read(self._members)
        found = self._exact.aggregate(
            take_batch(self._members, rows), self._numbers.index_select(0, rows)
        )
        number = found.columns[self._exact.number]
        assert isinstance(number, Flat)
        keys = take_batch(self._table, number.values)
        batch = Batch({**keys.columns, **found.columns}, found.count)
        context, node = self._decision.context, self._decision.node
        context.metrics.note(node, members=len(rows))
        count_bytes(context, node, bytes_read(self._members) - before)
        return self._decision.verified(batch, number.values)
