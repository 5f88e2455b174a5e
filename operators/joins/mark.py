"""Mark join: a three-valued column that says whether any build row meets the condition.

It makes IN, ANY and EXISTS values that may stand anywhere in an expression (Neumann, Leis & Kemper,
The Complete Story of Joins, BTW 2017).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.joins.build import BuildSide, Matcher, matched, pairs
from tensorsql.operators.joins.probe import JoinProbe, PairFilter, ProbeRecipe
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.plans.expressions import Expression, conjunction
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Batch, Column, Flat, present_rows, take
from tensorsql.storage.columns.types import BOOLEAN


class MarkProbe(JoinProbe):
    """TRUE where a build row meets the condition; NULL where none does but for some it is NULL.

    A row without a TRUE gets a NULL only from build rows with which it agrees in the keys that
    cannot be NULL, and only where a NULL is: in its own key, in the build row's, or in the rest of
    the condition. Only those pairs are looked at.
    """

    only_existence = True

    def __init__(self, recipe: ProbeRecipe, build: BuildSide, context: Context) -> None:
        super().__init__(recipe, build, context)
        self.unknown = Unknown(recipe, build, context)

    def process(self, batch: Batch) -> Iterator[Batch]:
        """The batch's rows with their mark."""
        hits = self.hits(batch)
        keys = [] if self.keys is None else [expand(key) for key in self.keys(batch)]
        unknown = self.unknown.rows(batch, keys, hits)
        validity = ~unknown if bool(unknown.any()) else None
        columns = {id: batch.column(id) for id in self.recipe.passed}
        columns[self.recipe.extra[0]] = Flat(BOOLEAN, hits, validity)
        yield Batch(columns, batch.rows, None, batch.morsel)


@dataclass
class Unknown:
    """Finds the rows whose mark is NULL."""

    recipe: ProbeRecipe
    build: BuildSide
    context: Context
    matchers: dict[tuple[int, ...], Matcher] = field(default_factory=dict)

    def rows(self, batch: Batch, keys: list[Column], hits: Tensor) -> Tensor:
        """bool per selected row: no TRUE, but a NULL."""
        open_rows = ~hits
        unknown = torch.zeros_like(hits)
        if self.build.rows == 0:
            return unknown
        nullable = self._nullable(keys)
        if not nullable and self.recipe.condition.residual is None:
            return unknown
        if len(self.recipe.condition.keys) == 1 and self.recipe.condition.residual is None:
            return open_rows & self._single_key(keys[0])
        left = kernels.nonzero(open_rows)
        self._mark(unknown, batch.select(left), [take(key, left) for key in keys], left)
        return unknown

    def _nullable(self, keys: list[Column]) -> list[int]:
        """Places of the keys whose comparison may be NULL."""
        return [
            place
            for place, key in enumerate(self.recipe.condition.keys)
            if not key.null_equal
            and (keys[place].validity is not None or self.build.keys[place].validity is not None)
        ]

    def _single_key(self, key: Column) -> Tensor:
        """x = y alone: NULL for a NULL x, and for all where some y is NULL."""
        there = self.build.keys[0].validity
        if there is not None and not bool(there.all()):
            return there.new_ones(len(key))
        return ~present_rows(key)

    def _mark(self, unknown: Tensor, batch: Batch, keys: list[Column], rows: Tensor) -> None:
        """Evaluate the rest of the condition on the pairs that agree in the keys without NULL."""
        if batch.rows == 0:
            return
        conditions = self.recipe.condition.keys
        nullable = self._nullable(keys)
        safe = tuple(place for place in range(len(conditions)) if place not in nullable)
        if safe not in self.matchers:
            self.matchers[safe] = self.build.matcher(safe)
        matches = self.matchers[safe].match([keys[place] for place in safe], batch.rows)
        if not bool(matched(matches).any()):
            return
        rest: list[Expression] = [conditions[place].condition for place in nullable]
        if self.recipe.condition.residual is not None:
            rest.append(self.recipe.condition.residual)
        condition = PairFilter(conjunction(rest), self.context)
        for block in pairs(matches):
            self.context.check()
            valid = present_rows(condition.column(batch, self.build, block))
            probe = block.probe.index_select(0, kernels.nonzero(~valid))
            unknown[rows.index_select(0, probe).to(torch.int64)] = True
