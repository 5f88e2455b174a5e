"""Probing: a pipeline operator per join kind, over the same matches and pairs.

Output follows the probe side's order; the matches of one probe row come in build order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tensorsql.errors import DataError
from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import take_or_null, true_rows
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.joins.build import (
    BuildSide,
    KeySet,
    Matcher,
    Matches,
    Pairs,
    matched,
    pairs,
)
from tensorsql.operators.runtime.program import Context, Operator, Run
from tensorsql.planner.analysis.predicates import Condition
from tensorsql.planner.plans.expressions import Expression, columns_of
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Batch, Column, Constant, take


@dataclass(frozen=True)
class ProbeRecipe:
    """A join's probe: the build side's number, the kind's class, condition and output ids.

    `probes` is about how many rows are to come.
    """

    node: int
    build: int
    kind: type[JoinProbe]
    condition: Condition
    passed: tuple[int, ...]
    extra: tuple[int, ...]
    probes: int = 0

    @property
    def reads(self) -> tuple[int, ...]:
        """The build side."""
        return (self.build,)

    def start(self, run: Run) -> Operator:
        """Index the build side and compile the expressions."""
        build = run.results[self.build]
        assert isinstance(build, BuildSide)
        return self.kind(self, build, run.context)


class PairFilter:
    """A condition over pairs, evaluated on just the columns it reads."""

    def __init__(self, condition: Expression, context: Context) -> None:
        self.ids = columns_of(condition)
        self.evaluate: Evaluator = compile_expressions([condition], context)

    def column(self, batch: Batch, build: BuildSide, block: Pairs) -> Column:
        """The condition's value for each pair."""
        columns = gather(batch, self.ids & batch.columns.keys(), block.probe)
        columns |= gather(build.table(), self.ids & build.table().columns.keys(), block.build)
        return self.evaluate(Batch(columns, int(block.probe.shape[0])))[0]


class JoinProbe:
    """What all kinds share; `only_existence`: which build rows match does not matter."""

    only_existence = False

    def __init__(self, recipe: ProbeRecipe, build: BuildSide, context: Context) -> None:
        self.recipe = recipe
        self.build = build
        self.context = context
        keys = [key.probe for key in recipe.condition.keys]
        self.keys = compile_expressions(keys, context) if keys else None
        residual = recipe.condition.residual
        self.residual = None if residual is None else PairFilter(residual, context)
        self.distinct_keys: KeySet | None = None
        self.matcher = Matcher(build.rows, build.matched.device)
        if self.only_existence and keys and residual is None:
            self.distinct_keys = self.key_set(build)
        else:
            self.matcher = build.matcher(probes=recipe.probes)

    def key_set(self, build: BuildSide) -> KeySet:
        """The build side's keys, where they alone decide whether there is a match."""
        keys = build.key_set(self.recipe.probes)
        keys.fill()
        return keys

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The kind's output for a batch."""
        raise NotImplementedError

    def match(self, batch: Batch) -> Matches:
        """The build rows of each selected row by the keys alone."""
        return self.matcher.match([] if self.keys is None else self.keys(batch), batch.rows)

    def pairs(self, batch: Batch) -> Iterator[Pairs]:
        """The pairs that meet the whole condition, in blocks of whole probe rows."""
        for block in pairs(self.match(batch)):
            self.context.check()
            if self.residual is None:
                yield block
                continue
            true = true_rows(self.residual.column(batch, self.build, block))
            passing = kernels.nonzero(true)
            probe, build = (rows.index_select(0, passing) for rows in (block.probe, block.build))
            yield replace(block, probe=probe, build=build)

    def output(self, batch: Batch, probe: Tensor, build: Tensor) -> Batch:
        """Probe rows beside build rows, NULL where the build row is negative."""
        columns = gather(batch, self.recipe.passed, probe)
        table = self.build.table()
        rows = int(probe.shape[0])
        for id in self.recipe.extra:
            columns[id] = _build_column(table.columns[id], build)
        return Batch(columns, rows, None, batch.morsel)

    def hits(self, batch: Batch) -> Tensor:
        """bool per selected row: whether any build row meets the whole condition."""
        if self.distinct_keys is not None and self.keys is not None:
            return self.distinct_keys.holds(self.keys(batch))
        if self.residual is None:
            return matched(self.match(batch))
        flags = torch.zeros(batch.rows, dtype=torch.bool, device=self.build.matched.device)
        for block in self.pairs(batch):
            kernels.mark(flags, block.probe)
        return flags


class InnerProbe(JoinProbe):
    """Every pair."""

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The pairs of the batch, in blocks."""
        for block in self.pairs(batch):
            yield self.output(batch, block.probe, block.build)


class OuterProbe(JoinProbe):
    """Every pair, and probe rows without one beside NULLs; marks the build rows it met."""

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The pairs of the batch, in blocks, unmatched rows in their place."""
        for block in self.pairs(batch):
            kernels.mark(self.build.matched, block.build)
            yield self.output(batch, *with_unmatched(block))


class SingleProbe(JoinProbe):
    """At most one build row for each probe row, else an error."""

    def process(self, batch: Batch) -> Iterator[Batch]:
        """Each row once."""
        for block in self.pairs(batch):
            if bool((block.probe[1:] == block.probe[:-1]).any()):
                raise DataError(
                    "more than one row returned by a subquery used as an expression - scalar "
                    "subqueries can only return a single row; add LIMIT 1 or an aggregate"
                )
            yield self.output(batch, *with_unmatched(block))


class SemiProbe(JoinProbe):
    """Probe rows with a match."""

    only_existence = True

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The batch with a smaller selection."""
        yield batch.select(kernels.nonzero(self.hits(batch)))


class AntiProbe(JoinProbe):
    """Probe rows without a match."""

    only_existence = True

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The batch with a smaller selection."""
        yield batch.select(kernels.nonzero(~self.hits(batch)))


def with_unmatched(block: Pairs) -> tuple[Tensor, Tensor]:
    """Probe and build rows of the pairs, and (probe row, -1) in order for rows without any."""
    rows = block.stop - block.start
    met = block.probe.new_zeros(rows, dtype=torch.bool)
    kernels.mark(met, block.probe - block.start)
    missing = kernels.nonzero(~met) + block.start
    if int(missing.shape[0]) == 0:
        return block.probe, block.build
    probe = torch.cat([block.probe, missing])
    build = torch.cat([block.build, torch.full_like(missing, -1)])
    order = kernels.argsort(probe)
    return probe.index_select(0, order), build.index_select(0, order)


def gather(batch: Batch, ids: Iterable[int], rows: Tensor) -> dict[int, Column]:
    """Columns of a batch at some of its selected rows (ascending or not, repeats allowed)."""
    chosen = rows
    if batch.selection is not None:
        chosen = batch.selection.index_select(0, rows)
    elif int(rows.shape[0]) == batch.count and _is_identity(rows):
        return {id: batch.columns[id] for id in ids}
    return {id: take(batch.columns[id], chosen) for id in ids}


def _is_identity(rows: Tensor) -> bool:
    return torch.equal(rows, torch.arange(len(rows), dtype=rows.dtype, device=rows.device))


def _build_column(column: Column, rows: Tensor) -> Column:
    """Build rows of a column; the single row of a scalar subquery stays a constant."""
    if len(column) == 1 and bool((rows == 0).all()):
        return Constant(expand(column), int(rows.shape[0]))
    return take_or_null(column, rows)
