"""Set operations: UNION, INTERSECT and EXCEPT, with and without ALL, by key codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import take_batch
from tensorsql.operators.distinct import DistinctRecipe
from tensorsql.operators.keys.key_codes import group_rows
from tensorsql.operators.runtime.kept_rows import Columns, KeptRows
from tensorsql.operators.runtime.program import Run, Source
from tensorsql.operators.runtime.streams import Compiler, Stream, columns_of, input_numbers
from tensorsql.planner.plans.logical import SetOperation
from tensorsql.storage.columns.column import Batch
from tensorsql.storage.columns.concat import concat


def compile_set_operation(plan: SetOperation, node: int, compiler: Compiler) -> Stream:
    """A stream over the result; both inputs are kept first."""
    numbers = tuple(
        compiler.collect(compiler.compile(child, number), number, child.fields)
        for child, number in zip(plan.inputs, input_numbers(plan, node), strict=True)
    )
    columns = columns_of(plan.columns)
    inputs = tuple(tuple(field.id for field in child.fields) for child in plan.inputs)
    if plan.kind != "union":
        return Stream(MatchRecipe(node, numbers, inputs, columns, plan.kind, plan.all))
    union = Stream(UnionRecipe(node if plan.all else -1, numbers, inputs, columns))
    if plan.all:
        return union
    on = tuple(field.ref() for field in plan.columns)
    return compiler.reopen(compiler.close(union, DistinctRecipe(node, columns, on)), node)


@dataclass(frozen=True)
class UnionRecipe:
    """Source recipe: the results `reads` one after the other, their columns renamed by position."""

    node: int
    reads: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    columns: Columns

    def start(self, run: Run) -> UnionSource:
        """The source."""
        return UnionSource([run.results[number] for number in self.reads], self)


@dataclass(frozen=True)
class UnionSource:
    """Morsels of the first input, then of the next."""

    sources: Sequence[Source]
    recipe: UnionRecipe

    def morsels(self, size: int) -> int:
        """Those of all inputs."""
        return sum(source.morsels(size) for source in self.sources)

    def read(self, morsel: int, size: int) -> Batch:
        """A morsel of one input."""
        place = morsel
        for source, ids in zip(self.sources, self.recipe.inputs, strict=True):
            count = source.morsels(size)
            if place < count:
                return replace(_renamed(source.read(place, size), ids, self.recipe), morsel=morsel)
            place -= count
        raise IndexError(morsel)


def _renamed(batch: Batch, ids: Sequence[int], recipe: UnionRecipe | MatchRecipe) -> Batch:
    pairs = zip(recipe.columns, ids, strict=True)
    return replace(batch, columns={new: batch.columns[old] for (new, _), old in pairs})


@dataclass(frozen=True)
class MatchRecipe:
    """Source recipe: INTERSECT or EXCEPT of two results, in the left one's order."""

    node: int
    reads: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    columns: Columns
    kind: str
    all: bool

    def start(self, run: Run) -> KeptRows:
        """Number the rows of both sides together and keep left rows by how often each occurs."""
        left, right = (
            _renamed(run.results[number].read(0, 0), ids, self)
            for number, ids in zip(self.reads, self.inputs, strict=True)
        )
        if not left.count:
            return KeptRows(self.columns)
        keys = [concat([left.columns[id], right.columns[id]]) for id, _ in self.columns]
        groups = group_rows(keys)
        own, other = groups.numbers[: left.count], groups.numbers[left.count :]
        there = kernels.count_by(other, groups.count).index_select(0, own)
        before = _occurrence(own, groups.count)
        if self.all:
            wanted = before < there if self.kind == "intersect" else before >= there
        else:
            wanted = (before == 0) & ((there > 0) if self.kind == "intersect" else (there == 0))
        return KeptRows.of(self.columns, take_batch(left, kernels.nonzero(wanted)))


def _occurrence(numbers: Tensor, count: int) -> Tensor:
    """For each row, how many rows before it are of the same group."""
    order = kernels.argsort(numbers)
    sizes = kernels.count_by(numbers, count)
    starts = torch.cumsum(sizes, 0) - sizes
    result = torch.empty_like(numbers)
    place = torch.arange(numbers.shape[0], device=numbers.device) - starts.index_select(
        0, numbers.index_select(0, order)
    )
    result[order] = place
    return result
