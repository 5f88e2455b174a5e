"""Bounds of one neuron query from NPI blocks, and the order in which NTA would run the rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tensorsql.operators.indexes.npi.blocks import Block
from tensorsql.operators.indexes.npi.nta import BlockWalk, walk_blocks
from tensorsql.operators.models.measures import Length, Measure
from tensorsql.planner.analysis.intervals import Interval

if TYPE_CHECKING:
    from tensorsql.operators.models.inference import Question
    from tensorsql.storage.columns.column import Column

CELLS = 2**22  # boxes bounded at a time: neurons × rows


class NpiProbe:
    """`batch_size`: inputs the model runs at once, so verify that many at a time."""

    def __init__(self, blocks: Sequence[Block], question: Question, batch_size: int) -> None:
        self.blocks = [block for block in blocks if block.rows]
        self.group = question.group
        self.target_row = question.target_row
        self.measure = _monotone_where_proven(question.measure, self.blocks, question.group)
        self.batch_size = batch_size

    def bounds(self, row_ids: Tensor, arguments: Sequence[Column] = ()) -> Interval:
        """Bounds of the distance or score; rows in no block may have any value, or none."""
        upper = torch.full_like(row_ids, torch.inf, dtype=torch.float64)
        lower, unknown = -upper, torch.ones_like(row_ids, dtype=torch.bool)
        for block in self.blocks:
            places, inside = block.places(row_ids)
            lower[inside], upper[inside] = self._block_bounds(block, places)
            unknown &= ~inside
        return Interval(lower, upper, unknown, unknown)

    def _block_bounds(self, block: Block, places: Tensor) -> tuple[Tensor, Tensor]:
        size = max(1, CELLS // len(self.group))
        parts = [
            self.measure.bounds(*block.boxes(self.group, part))
            for part in torch.split(places, size)
        ]
        return torch.cat([low for low, _ in parts]), torch.cat([high for _, high in parts])


class WalkingProbe(NpiProbe):
    """A probe of a measure that the threshold algorithm may be used for."""

    def covered(self, row_ids: Tensor) -> Tensor:
        """Which rows (bool [n]) `steps` will give out; the others have to be run beside it."""
        inside = torch.zeros_like(row_ids, dtype=torch.bool)
        for block in self.blocks:
            inside |= block.places(row_ids)[1]
        return inside

    def steps(self) -> Iterator[tuple[Tensor, float, bool]]:
        """The threshold algorithm: row ids to run next, the best of all unseen, finished?"""
        walks = [
            BlockWalk(block, self.group, self.measure, self._target_place(block), self.batch_size)
            for block in self.blocks
        ]
        return walk_blocks(walks)

    def _target_place(self, block: Block) -> int | None:
        if self.target_row is None:
            return None
        places, inside = block.places(block.ids.new_tensor([self.target_row]))
        return int(places[0]) if bool(inside[0]) else None


def probe_of(blocks: Sequence[Block], question: Question, batch_size: int) -> NpiProbe:
    """A probe with sorted access where the measure is monotone, with bounds alone otherwise."""
    probe = WalkingProbe(blocks, question, batch_size)
    return probe if probe.measure.monotone else NpiProbe(blocks, question, batch_size)


def _monotone_where_proven(measure: Measure, blocks: Sequence[Block], group: Tensor) -> Measure:
    """The norm grows with each activation where no indexed one is negative."""
    if not isinstance(measure, Length):
        return measure
    proven = all(bool((block.limits(group)[0] >= 0).all()) for block in blocks)
    return dataclasses.replace(measure, monotone=proven)
