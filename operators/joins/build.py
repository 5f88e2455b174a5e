"""The build side of a join: its rows, kept, and the table that finds them by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorsql.operators.columns.building import concat_batches, null_column
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.joins.matcher import KeyMatcher, KeySet, Matcher
from tensorsql.operators.runtime.program import Merging, Run, Scope
from tensorsql.operators.runtime.result import Columns, Keyed, Rows
from tensorsql.planner.plans.expressions import Expression
from tensorsql.storage.columns.column import Batch, Column
from tensorsql.storage.columns.concat import concat


@dataclass(frozen=True)
class BuildRecipe:
    """The columns to keep, the key expressions, and for each key whether NULL equals NULL."""

    node: int
    columns: Columns
    keys: tuple[Expression, ...]
    null_equal: tuple[bool, ...]

    def start(self, run: Run) -> BuildSink:
        """Compile the keys."""
        return BuildSink(self, compile_expressions(self.keys, run.context))


class BuildSide(Rows):
    """All rows of the build side in one batch, with their keys and whether each met a partner."""

    keys: list[Column]
    null_equal: tuple[bool, ...]
    matched: Tensor

    def __init__(self, batch: Batch, keys: list[Column], recipe: BuildRecipe) -> None:
        super().__init__([batch], recipe.columns)
        self.keys = keys
        self.null_equal = recipe.null_equal
        self.matched = torch.zeros(batch.count, dtype=torch.bool)
        self.known: KeySet | None = None

    def matcher(self, places: Sequence[int] | None = None, probes: int = 0) -> Matcher:
        """A matcher by these of the keys (None = all of them), for some `probes` rows."""
        chosen = range(len(self.keys)) if places is None else places
        if not chosen:
            return Matcher(self.rows)
        keys = [self.keys[place] for place in chosen]
        return KeyMatcher.fit(keys, [self.null_equal[place] for place in chosen], probes)

    def key_set(self, probes: int) -> KeySet:
        """The set of the keys (at least one), for some `probes` rows; made once."""
        if self.known is None:
            self.known = KeySet.fit(self.keys, self.null_equal, probes)
        return self.known


@dataclass(frozen=True)
class BuildSink(Merging):
    """Keeps rows and keys in order."""

    recipe: BuildRecipe
    keys: Evaluator
    scope: Scope = "ordered"

    def new_state(self) -> Keyed:
        """The rows of one morsel."""
        return Keyed()

    def accumulate(self, state: Keyed, batch: Batch) -> None:
        """Keep a batch and its keys."""
        state.keys.append(list(self.keys(batch)) if self.recipe.keys else [])
        state.batches.append(batch.compact(id for id, _ in self.recipe.columns))

    def merge(self, states: Sequence[Keyed]) -> BuildSide:
        """The build side; its matchers are made by the probes that need them."""
        batches = [batch for state in states for batch in state.batches]
        parts = [keys for state in states for keys in state.keys]
        keys = [concat(column) for column in zip(*parts, strict=True)]
        if not parts:
            keys = [null_column(key.type, 0) for key in self.recipe.keys]
        return BuildSide(concat_batches(batches, self.recipe.columns), keys, self.recipe)
