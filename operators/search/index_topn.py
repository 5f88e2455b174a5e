"""IndexTopN: the first rows or groups by a costly key, verified best bound first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.building import concat_batches, take_batch
from tensorsql.operators.columns.layouts import true_rows
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.keys.ordering import Direction, directions, order_codes, sort_rows
from tensorsql.operators.runtime.kept_rows import Columns, KeptRows
from tensorsql.operators.runtime.program import Context, Merging, Run, Scope
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.operators.search.best_first import MIN_BATCH, Verified, ranks, search
from tensorsql.operators.search.bounds import (
    Bounds,
    BoundsCompiler,
    Probed,
    bytes_read,
    exact_interval,
    full_interval,
    is_bounded,
    row_ids,
)
from tensorsql.operators.search.index_metrics import begin, count_bytes, count_open, count_verified
from tensorsql.operators.search.threshold import sorted_access, walk
from tensorsql.planner.analysis.intervals import INFINITY, Interval
from tensorsql.planner.plans.index_plans import IndexTopN
from tensorsql.planner.plans.logical import Values
from tensorsql.storage.columns.column import Batch, Column, Flat, take
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import BIGINT


def compile_index_topn(plan: IndexTopN, node: int, compiler: Compiler) -> Stream:
    """A stream over the rows or groups kept."""
    from tensorsql.operators.search.index_topn_groups import GroupRecipe

    (stream,) = compiler.inputs(plan, node)
    bare = replace(plan, input=Values((), ()))  # recipes hold no plans but their own node
    inputs, columns = columns_of(plan.input.fields), columns_of(plan.fields)
    if plan.group_keys:
        number = compiler.close(stream, GroupRecipe(node, inputs, columns, bare))
    else:
        number = compiler.close(stream, IndexTopNRecipe(node, inputs, columns, bare))
    return compiler.reopen(number, node)


@dataclass(frozen=True)
class IndexTopNRecipe:
    """The input's columns, the output's, and the plan node whose keys and indexes count."""

    node: int
    inputs: Columns
    columns: Columns
    plan: IndexTopN

    def start(self, run: Run) -> IndexTopNSink:
        """Prepare the probes and compile keys and predicate."""
        compiler = BoundsCompiler(self.plan.indexes, run.context)
        keys = [key.expression for key in self.plan.keys]
        bounds = [compiler.compile(key) for key in keys]
        begin(run.context, self.node, [self.plan.predicate, *keys])
        return IndexTopNSink(
            self,
            Decision(
                compiler.compile(self.plan.predicate),
                bounds,
                compile_expressions([self.plan.predicate, *keys], run.context),
                run.context,
                self.node,
            ),
        )


@dataclass(frozen=True)
class Decision:
    """Bounds and exact values of predicate and keys."""

    predicate: Bounds
    keys: Sequence[Bounds]
    exact: Evaluator
    context: Context
    node: int

    def verified(self, batch: Batch, places: Tensor) -> Verified:
        """The rows for which the predicate is TRUE, with exact keys."""
        before = bytes_read(batch)
        condition, *keys = self.exact(batch)
        count_verified(self.context, self.node, batch.rows)
        count_bytes(self.context, self.node, bytes_read(batch) - before)
        kept = kernels.nonzero(true_rows(condition))
        keys = [take(key, kept) for key in keys]
        intervals = [key_interval(key) for key in keys]
        return Verified(places.index_select(0, kept), take_batch(batch, kept), keys, intervals)


def key_interval(key: Column) -> Interval:
    """The exact bounds of a number; any other key stays open."""
    if is_bounded(key.type):
        return full_interval(exact_interval(key), len(key))
    return open_interval(len(key))


def open_interval(rows: int) -> Interval:
    """Bounds of a key that does not order as a number: nothing below it can be skipped."""
    return full_interval(Interval(-INFINITY, INFINITY), rows)


@dataclass(frozen=True)
class Candidates:
    """Rows that may count, with the bounds of their keys."""

    batch: Batch
    keys: Sequence[Interval]


@dataclass(frozen=True)
class IndexTopNSink(Merging):
    """Keeps candidates with their bounds; merging verifies them."""

    recipe: IndexTopNRecipe
    decision: Decision
    scope: Scope = "ordered"

    def new_state(self) -> list[Candidates]:
        """Candidates of one morsel."""
        return []

    def accumulate(self, state: list[Candidates], batch: Batch) -> None:
        """Keep the rows that the predicate's bounds do not reject."""
        predicate = full_interval(self.decision.predicate.interval(batch), batch.rows)
        rejected = predicate.rejects
        count_open(self.decision.context, self.decision.node, batch.rows)
        if bool(rejected.any()):
            batch = batch.select(kernels.nonzero(~rejected))
        batch = batch.compact(id for id, _ in self.recipe.inputs)
        keys = self.recipe.plan.keys
        intervals = [
            bounded_key(bounds, batch, is_bounded(key.expression.type))
            for bounds, key in zip(self.decision.keys, keys, strict=True)
        ]
        state.append(Candidates(batch, intervals))

    def merge(self, states: Sequence[list[Candidates]]) -> KeptRows:
        """The rows asked for, in order."""
        pieces = [piece for state in states for piece in state]
        plan = self.recipe.plan
        if not pieces or plan.count == 0:
            return KeptRows(self.recipe.columns)
        table = concat_batches([piece.batch for piece in pieces], self.recipe.inputs)
        intervals = [
            join_intervals(part) for part in zip(*(piece.keys for piece in pieces), strict=True)
        ]
        order = directions(plan.keys)
        best = ranks(intervals, order, torch.arange(table.count), best=True)

        def verify(positions: Tensor) -> Verified:
            return self.decision.verified(take_batch(table, positions), positions)

        wanted = plan.offset + plan.count
        context = self.decision.context
        access = sorted_access(self.decision.keys, context)
        if access is None:
            smallest = batch_size(self.decision.keys)
            found = search(best, wanted, verify, order, context, smallest)
        else:
            probe, row_id = access
            ids = row_ids(table, row_id)
            found = walk(probe, ids, best, wanted, verify, order, context)
        return first_verified(found, order, (plan.offset, wanted), self.recipe.columns)


def batch_size(keys: Sequence[Bounds]) -> int:
    """How many rows to verify at least at a time, where an index says what suits its calls."""
    probes = [key.probe for key in keys if isinstance(key, Probed)]
    return max([MIN_BATCH, *(getattr(probe, "batch_size", MIN_BATCH) for probe in probes)])


def bounded_key(bounds: Bounds, batch: Batch, numeric: bool) -> Interval:
    """The bounds of a key for every row of a batch."""
    if not numeric:
        return open_interval(batch.rows)
    return full_interval(bounds.interval(batch), batch.rows)


def join_intervals(parts: Sequence[Interval]) -> Interval:
    """Bounds of several batches' rows, one after the other."""
    return Interval(
        torch.cat([part.lower for part in parts]),
        torch.cat([part.upper for part in parts]),
        torch.cat([part.may_be_null for part in parts]),
        torch.cat([part.may_be_nan for part in parts]),
    )


def first_verified(
    found: Sequence[Verified],
    order: Sequence[Direction],
    span: tuple[int, int],
    columns: Columns,
) -> KeptRows:
    """Rows span[0] … span[1] - 1 of the verified ones in exact order, ties by place."""
    if not found:
        return KeptRows(columns)
    table = concat_batches([part.batch for part in found], columns)
    keys = [concat(part) for part in zip(*(part.keys for part in found), strict=True)]
    keys.append(Flat(BIGINT, torch.cat([part.places for part in found])))
    chosen = sort_rows(order_codes(keys, [*order, Direction()]), table.count)
    return KeptRows.of(columns, take_batch(table, chosen[span[0] : span[1]]))
