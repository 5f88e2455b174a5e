"""Scan: rows of a relation at its snapshot, deleted rows left out."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tensorsql.operators import kernels
from tensorsql.operators.runtime.kept_rows import morsel_count, morsel_range
from tensorsql.operators.runtime.program import Run
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.planner.plans.logical import Scan
from tensorsql.storage.columns.changes import to_device
from tensorsql.storage.columns.column import CPU, Batch, Flat
from tensorsql.storage.columns.types import BIGINT
from tensorsql.storage.tables.catalog import Reader, Relation, TableName


def compile_scan(plan: Scan, node: int, compiler: Compiler) -> Stream:
    """A stream that starts at the relation."""
    columns = tuple((field.id, name) for field, name in plan.columns)
    row_id = None if plan.row_id is None else plan.row_id.id
    return Stream(ScanRecipe(node, plan.relation.reference, columns, row_id))


@dataclass(frozen=True)
class ScanRecipe:
    """Which columns of which relation, as (id, column name); `row_id` is the row id's column id."""

    node: int
    relation: TableName | Relation
    columns: tuple[tuple[int, str], ...]
    row_id: int | None

    def start(self, run: Run) -> ScanSource:
        """Open the relation at the run's snapshot."""
        relation, device = run.context.relation(self.relation), run.context.device
        return ScanSource(relation.open(), relation.rows, self.columns, self.row_id, device)


@dataclass(frozen=True)
class ScanSource:
    """Morsels are ranges of positions; deleted positions are left out by a selection."""

    reader: Reader
    rows: int
    columns: tuple[tuple[int, str], ...]
    row_id: int | None
    device: torch.device = CPU

    def morsels(self, size: int) -> int:
        """Morsels of `size` positions."""
        return morsel_count(self.rows, size)

    def read(self, morsel: int, size: int) -> Batch:
        """Positions morsel * size …"""
        start, stop = morsel_range(morsel, size, self.rows)
        # Workers start at different columns, so that they load different ones of a file.
        turn = morsel % max(len(self.columns), 1)
        order = (*self.columns[turn:], *self.columns[:turn])
        # A reader of costly values can name them first, so that only those used are read.
        read = getattr(self.reader, "late", self.reader.read)
        columns = {id: to_device(read(name, start, stop), self.device) for id, name in order}
        if self.row_id is not None:
            row_ids = self.reader.row_ids(start, stop).to(self.device)
            columns[self.row_id] = Flat(BIGINT, row_ids)
        live = self.reader.live(start, stop)
        selection = None if live is None else kernels.nonzero(live.to(self.device))
        return Batch(columns, stop - start, selection, morsel)
