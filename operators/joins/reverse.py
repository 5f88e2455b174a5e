"""Semi and anti joins from the other side: keep the left rows, mark those that right rows meet.

The better way where the left side is the smaller one: no table of the right side is made. The rows
come in the left side's order, as they do from a probe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorsql.operators import kernels
from tensorsql.operators.joins.build import BuildSide, KeySet
from tensorsql.operators.joins.probe import JoinProbe, ProbeRecipe
from tensorsql.operators.runtime.kept_rows import KeptRows
from tensorsql.operators.runtime.program import Merging, Run, Scope
from tensorsql.planner.analysis.predicates import Condition
from tensorsql.storage.columns.column import Batch


@dataclass(frozen=True)
class ReverseRecipe:
    """The kept side's number, the condition, the probe side's columns and about how many rows."""

    node: int
    build: int
    condition: Condition
    passed: tuple[int, ...]
    probes: int

    @property
    def reads(self) -> tuple[int, ...]:
        """The kept side."""
        return (self.build,)

    def start(self, run: Run) -> ReverseProbe:
        """Index the kept side and compile the expressions."""
        build = run.results[self.build]
        assert isinstance(build, BuildSide)
        recipe = ProbeRecipe(
            self.node, self.build, ReverseProbe, self.condition, self.passed, (), self.probes
        )
        return ReverseProbe(recipe, build, run.context)


class ReverseProbe(JoinProbe):
    """Marks the kept rows that meet the condition; puts nothing out."""

    only_existence = True

    def key_set(self, build: BuildSide) -> KeySet:
        """The kept side's keys, none of them marked."""
        return build.key_set(self.recipe.probes)

    def process(self, batch: Batch) -> Iterator[Batch]:
        """Mark what the batch's rows meet."""
        if self.distinct_keys is not None and self.keys is not None:
            self.distinct_keys.mark(self.keys(batch))
        else:
            for block in self.pairs(batch):
                kernels.mark(self.build.matched, block.build)
        yield from ()


@dataclass(frozen=True)
class MarkedRecipe:
    """The kept side's number, and whether marked rows are the result or the others."""

    node: int
    build: int
    marked: bool

    @property
    def reads(self) -> tuple[int, ...]:
        """The kept side."""
        return (self.build,)

    def start(self, run: Run) -> MarkedSink:
        """The sink."""
        build = run.results[self.build]
        assert isinstance(build, BuildSide)
        return MarkedSink(build, self.marked)


@dataclass(frozen=True)
class MarkedSink(Merging):
    """Takes nothing; its result is the kept rows with a mark, or those without."""

    build: BuildSide
    marked: bool
    scope: Scope = "worker"

    def new_state(self) -> None:
        """Nothing to keep."""

    def accumulate(self, state: None, batch: Batch) -> None:
        """Never called: the probe puts nothing out."""

    def merge(self, states: Sequence[None]) -> KeptRows:
        """The rows, in their order."""
        flags = (
            self.build.matched
            if self.build.distinct_keys is None
            else self.build.distinct_keys.marked()
        )
        rows = kernels.nonzero(flags if self.marked else ~flags)
        return KeptRows.of(self.build.columns, self.build.table().select(rows).compact())
