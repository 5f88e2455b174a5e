"""The end of a full join: unmatched build rows follow once all probe rows are through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import null_column
from tensorsql.operators.joins.build import BuildSide
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows
from tensorsql.operators.runtime.program import Run
from tensorsql.storage.columns.column import Batch, take


@dataclass(frozen=True)
class FullRecipe:
    """The build side's result number, all output columns and those of the probe side."""

    node: int
    build: int
    columns: Columns
    probe: Columns

    @property
    def reads(self) -> tuple[int, ...]:
        """The build side."""
        return (self.build,)

    def start(self, run: Run) -> FullSink:
        """The sink."""
        build = run.results[self.build]
        assert isinstance(build, BuildSide)
        return FullSink(self.columns, probe=self.probe, build=build)


@dataclass(frozen=True, kw_only=True)
class FullSink(Keeping):
    """Keeps the probe's output and adds the build rows that met nothing, beside NULLs."""

    probe: Columns
    build: BuildSide

    def merge(self, states: Sequence[KeptRows]) -> KeptRows:
        """Probe output in order, then unmatched build rows in theirs."""
        kept = super().merge(states)
        rows = kernels.nonzero(~self.build.matched)
        count = int(rows.shape[0])
        columns = {id: null_column(kind, count, rows.device) for id, kind in self.probe}
        for id, column in self.build.table().columns.items():
            columns[id] = take(column, rows)
        if count:
            kept.add(Batch(columns, count))
        return kept
