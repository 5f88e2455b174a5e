"""The Neural Threshold Algorithm: which rows to run next, and how good an unseen row can be.

Fagin's threshold algorithm (Fagin, Lotem & Naor, JCSS 2003) as in DeepEverest (He et al., PVLDB
15(1)): each neuron of the group visits its partitions of rows, the nearest to the target's
activation first. What is unseen lies, on every neuron, outside what that neuron has visited: the
measure of the nearest such values is the threshold that no unseen row can beat.

The published algorithm with its rules mended: F and V drop a side instead of multiplying by it,
partitions are visited by (distance, |p − the target's partition|) so that the visited ones stay
contiguous on ties, and the caller decides by (value, id) when to stop.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tensorsql.operators.indexes.npi.blocks import Block
from tensorsql.operators.models.measures import Measure
from tensorsql.storage.columns.column import CPU

Step = tuple[Tensor, float, bool]  # row ids to run, the best of all unseen rows, finished


class BlockWalk:
    """The walk through one block. `target_place` is the target's row in it, None if elsewhere."""

    def __init__(
        self, block: Block, group: Tensor, measure: Measure, target_place: int | None, batch: int
    ) -> None:
        self.block = block
        self.group = group
        self.measure = measure
        self.target_place = target_place
        self.batch = batch
        self.lower, self.upper = block.limits(group)
        self.ids = block.partition_ids(group)
        self.order = self._order()
        self.seen = self.ids.new_zeros(block.rows, dtype=torch.bool)
        highest = self.lower.new_full((len(group),), torch.inf)
        self.target = highest if measure.target is None else measure.target

    @property
    def worst(self) -> float:
        """A bound nothing comes before: no unseen row is left."""
        return float("-inf") if self.measure.descending else float("inf")

    def distances(self) -> Tensor:
        """dPar [group, P]: how far each partition is from the target's activation."""
        if self.measure.target is None:
            return torch.zeros_like(self.lower)
        target = self.measure.target[:, None]
        return torch.maximum(self.lower - target, target - self.upper).clamp(min=0)

    def start(self) -> Tensor:
        """sPID [group]: the target's partition, or the nearest one if the target is elsewhere."""
        if self.measure.target is None:
            return self.group.new_zeros(len(self.group))
        if self.target_place is not None:
            return self.ids[:, self.target_place].long()
        return self.distances().argmin(1)

    def _order(self) -> Tensor:
        partitions = torch.arange(self.block.partitions, device=self.lower.device)
        steps = (partitions - self.start()[:, None]).abs()
        nearer = torch.argsort(steps, dim=1, stable=True)
        rank = torch.argsort(self.distances().gather(1, nearer), dim=1, stable=True)
        return nearer.gather(1, rank)

    def steps(self) -> Iterator[Step]:
        """MAI first, then partitions in step over the group, until every row was given out."""
        yield from self._mai_steps()
        visited_low = torch.full_like(self.lower[:, 0], torch.inf)
        visited_high = -visited_low
        first = torch.zeros_like(visited_low, dtype=torch.bool)  # V: partition 0 was visited
        last = torch.zeros_like(first)  # F: partition P − 1 was visited
        for number in range(self.block.partitions):
            visit = self.order[:, number : number + 1]
            rows = self._take((self.ids == visit).any(0))
            visited_low = torch.minimum(visited_low, self.lower.gather(1, visit)[:, 0])
            visited_high = torch.maximum(visited_high, self.upper.gather(1, visit)[:, 0])
            first |= visit[:, 0] == 0
            last |= visit[:, 0] == self.block.partitions - 1
            low = visited_low.masked_fill(last, float("-inf"))
            high = visited_high.masked_fill(first, float("inf"))
            finished = bool(self.seen.all())
            yield rows, self.worst if finished else self.measure.beyond(low, high), finished
            if finished:
                return

    def _take(self, rows: Tensor) -> Tensor:
        """Row ids of those not given out before; now they are."""
        fresh = rows & ~self.seen
        self.seen |= fresh
        return self.block.ids[fresh]

    def _mai_steps(self) -> Iterator[Step]:
        rows, values = self.block.mai(self.group)
        if not rows.shape[1]:
            return
        holds = rows.new_ones(len(rows), dtype=torch.bool)
        if self.measure.target is not None:
            holds = (
                (rows == self.target_place).any(1)
                if self.target_place is not None
                else torch.zeros_like(holds)
            )
        nearest = self._nearest_first(rows[holds], values[holds], holds)
        for batch in torch.split(nearest, self.batch):
            chosen = torch.zeros_like(self.seen)
            chosen[batch] = True
            taken = self._take(chosen)
            finished = bool(self.seen.all())
            limit = self.worst if finished else self._mai_limit(rows, values, holds)
            yield taken, limit, finished
            if finished:
                return

    def _nearest_first(self, rows: Tensor, values: Tensor, holds: Tensor) -> Tensor:
        """All rows of these MAIs by their least distance on a neuron; the target first."""
        if not len(rows):
            return rows.reshape(-1)
        far = self._difference(values, self.target[holds])
        nearest = far.new_full((self.block.rows,), torch.inf)
        nearest.scatter_reduce_(0, rows.reshape(-1), far.reshape(-1), "amin")
        if self.target_place is not None:
            nearest[self.target_place] = float("-inf")
        members = torch.zeros_like(self.seen)
        members[rows.reshape(-1)] = True
        places = torch.nonzero(members)[:, 0]
        return places[torch.argsort(nearest[places], stable=True)]

    def _difference(self, values: Tensor, target: Tensor) -> Tensor:
        """Order within a MAI: distance to the target; with the target at +∞, highest first."""
        if self.measure.target is None:
            return self.upper.amax() - values
        return (values - target[:, None]).abs()

    def _mai_limit(self, rows: Tensor, values: Tensor, holds: Tensor) -> float:
        """The unseen lie beyond what was seen without a gap; neurons without MAI add nothing."""
        low, high = self._idle()
        for position in torch.nonzero(holds)[:, 0].tolist():
            unseen = ~self.seen[rows[position]]
            inside = values[position][unseen]
            target = self.target[position]
            below, above = inside[inside <= target], inside[inside > target]
            # MAI values are in descending order: the first unseen one below is the nearest.
            floor = self.lower[position, 0]
            seen = values[position][~unseen]
            if len(below):
                boundary = seen[seen >= below[0]]
                low[position] = boundary[-1] if len(boundary) else self.upper[position, 0]
            else:
                low[position] = floor if self.block.partitions > 1 else float("-inf")
            if len(above):
                boundary = seen[seen <= above[-1]]
                high[position] = boundary[0] if len(boundary) else target
            else:
                high[position] = float("inf")
        return self.measure.beyond(low, high)

    def _idle(self) -> tuple[Tensor, Tensor]:
        """Boundaries that say nothing of a neuron."""
        if self.measure.target is None:
            return self.upper[:, 0].clone(), self.upper[:, 0].clone()
        return self.target.clone(), self.target.clone()


def walk_blocks(walks: list[BlockWalk]) -> Iterator[Step]:
    """All blocks in step; an unseen row is at best what the best block still offers."""
    if not walks:
        yield torch.zeros(0, dtype=torch.int64, device=CPU), float("inf"), True
        return
    limits = {number: walk.worst for number, walk in enumerate(walks)}
    running = {number: walk.steps() for number, walk in enumerate(walks)}
    choose = max if walks[0].measure.descending else min
    while running:
        rows = []
        for number, steps in list(running.items()):
            taken, limits[number], finished = next(steps)
            rows.append(taken)
            if finished:
                del running[number]
        yield torch.cat(rows), choose(limits.values()), not running
