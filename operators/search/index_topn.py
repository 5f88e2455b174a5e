"""IndexTopN: the first rows or groups by a costly key, verified best bound first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import take_batch, values_of
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows, KeyedBatch
from tensorsql.operators.runtime.program import Run
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of
from tensorsql.operators.search.best_first import (
    MIN_BATCH,
    Search,
    best_first,
    ranks,
    sorted_access,
    walk,
)
from tensorsql.operators.search.bounds import Bounds, BoundsCompiler, row_ids
from tensorsql.operators.search.criteria import Criteria
from tensorsql.operators.search.index_topn_groups import GroupRecipe
from tensorsql.planner.analysis.intervals import Interval
from tensorsql.planner.plans.index_plans import IndexTopN
from tensorsql.planner.plans.logical import Values
from tensorsql.storage.columns.column import CPU, Batch, Column, Flat
from tensorsql.storage.columns.types import BOOLEAN, DOUBLE


def compile_index_topn(plan: IndexTopN, node: int, compiler: Compiler) -> Stream:
    """A stream over the rows or groups kept."""
    (stream,) = compiler.inputs(plan, node)
    bare = replace(plan, input=Values((), ()))  # recipes hold no plans but their own node
    recipe = GroupRecipe if plan.group_keys else IndexTopNRecipe
    columns = columns_of(plan.input.fields), columns_of(plan.fields)
    return compiler.reopen(compiler.close(stream, recipe(node, *columns, bare)), node)


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
        criteria = Criteria.of(self.plan, self.node, compiler, run.context)
        return IndexTopNSink(self.inputs, output=self.columns, criteria=criteria)


@dataclass(frozen=True, kw_only=True)
class IndexTopNSink(Keeping):
    """Keeps candidates with the bounds of their keys; merging verifies them."""

    output: Columns
    criteria: Criteria

    def accumulate(self, state: KeptRows, batch: Batch) -> None:
        """Keep the rows that the predicate's bounds do not reject."""
        possible = self.criteria.possible(batch)
        if not bool(possible.all()):
            rows = kernels.nonzero(possible).to(self.criteria.context.device)
            batch = batch.select(rows)
        batch = batch.compact(id for id, _ in self.columns)
        bounds = self.criteria.bounds(batch)
        state.add(batch, [column for interval in bounds for column in _columns_of(interval)])

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """The rows asked for, in order."""
        kept, criteria = super().merge(states), self.criteria
        if not kept.rows or criteria.plan.count == 0:
            return KeptRows(self.output)
        rows = kept.joined()
        places = torch.arange(rows.batch.count, device=CPU)
        best = ranks(_intervals_of(rows.keys), criteria.order, places, best=True)

        def verify(positions: Tensor) -> KeyedBatch:
            positions = positions.to(criteria.context.device)
            return criteria.verified(take_batch(rows.batch, positions), positions)

        search = Search(criteria, best, verify, KeptRows(self.output))
        access = sorted_access(criteria)
        if access is None:
            best_first(search, batch_size(criteria.keys))
        else:
            probe, row_id = access
            walk(search, probe, row_ids(rows.batch, row_id))
        return search.first()


def batch_size(keys: Sequence[Bounds]) -> int:
    """How many rows to verify at least at a time, where an index says what suits its calls."""
    return max([MIN_BATCH, *(getattr(key.probe, "batch_size", MIN_BATCH) for key in keys)])


def _columns_of(interval: Interval) -> Sequence[Column]:
    """Bounds as columns, to be kept beside the rows."""
    ends = (Flat(DOUBLE, end) for end in (interval.lower, interval.upper))
    flags = (Flat(BOOLEAN, flag) for flag in (interval.may_be_null, interval.may_be_nan))
    return [*ends, *flags]


def _intervals_of(columns: Sequence[Column]) -> list[Interval]:
    """The bounds of each key again."""
    parts = [values_of(column) for column in columns]
    return [Interval(*parts[start : start + 4]) for start in range(0, len(parts), 4)]
