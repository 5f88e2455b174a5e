"""The build side of a join: its rows, kept, and the table that finds them by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tensorsql.operators.columns.building import null_column
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.joins.matcher import KeyMatcher, KeySet, Matcher
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows
from tensorsql.operators.runtime.program import Run
from tensorsql.planner.plans.expressions import Expression


@dataclass(frozen=True)
class BuildRecipe:
    """The columns to keep, the key expressions, and for each key whether NULL equals NULL."""

    node: int
    columns: Columns
    keys: tuple[Expression, ...]
    null_equal: tuple[bool, ...]

    def start(self, run: Run) -> BuildSink:
        """Compile the keys."""
        keys = compile_expressions(self.keys, run.context)
        return BuildSink(self.columns, keys, recipe=self, device=run.context.device)


class BuildSide(KeptRows):
    """All rows of the build side in one batch, with their keys and whether each met a partner."""

    def __init__(self, kept: KeptRows, recipe: BuildRecipe, device: torch.device) -> None:
        rows = kept.joined(device)
        super().__init__(recipe.columns, [rows])
        nothing = [null_column(key.type, 0, device) for key in recipe.keys]
        self.keys = rows.keys if kept.rows else nothing
        self.null_equal = recipe.null_equal
        self.matched = torch.zeros(rows.batch.count, dtype=torch.bool, device=device)
        self.distinct_keys: KeySet | None = None

    def matcher(self, places: Sequence[int] | None = None, probes: int = 0) -> Matcher:
        """A matcher by these of the keys (None = all of them), for some `probes` rows."""
        chosen = range(len(self.keys)) if places is None else places
        if not chosen:
            return Matcher(self.rows, self.matched.device)
        keys = [self.keys[place] for place in chosen]
        return KeyMatcher.fit(keys, [self.null_equal[place] for place in chosen], probes)

    def key_set(self, probes: int) -> KeySet:
        """The set of the keys (at least one), for some `probes` rows; made once."""
        if self.distinct_keys is None:
            self.distinct_keys = KeySet.fit(self.keys, self.null_equal, probes)
        return self.distinct_keys


@dataclass(frozen=True, kw_only=True)
class BuildSink(Keeping):
    """Keeps rows and keys in order."""

    recipe: BuildRecipe
    device: torch.device

    def merge(self, states: Sequence[KeptRows]) -> BuildSide:
        """The build side; its matchers are made by the probes that need them."""
        return BuildSide(super().merge(states), self.recipe, self.device)
