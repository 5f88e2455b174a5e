"""What each kind of index can bound: all that planning knows of it. To add one: a class and a line.

The kinds themselves, which build and probe, are in `operators/indexes`.
"""

from __future__ import annotations

from typing import Protocol

from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.tables.catalog import IndexEntry, ModelEntry


class IndexMethod(Protocol):
    """One kind of index."""

    functions: frozenset[str]  # whose calls it can bound, if an entry covers them

    def covers(self, entry: IndexEntry, call: Call, column: str) -> bool:
        """Whether the entry bounds this call, whose first argument is this stored column."""

    def mismatch(self, entry: IndexEntry, call: Call) -> str:
        """Why an entry does not cover the call, in words for EXPLAIN; "" = nothing to tell."""


class Chi:
    """`CP(mask, …)` and, from the members, CP over INTERSECT, UNION and AVG of a group."""

    functions = frozenset({"cp"})

    def covers(self, entry: IndexEntry, call: Call, column: str) -> bool:
        """Every CP over the indexed column."""
        return call.function.name in self.functions and entry.arguments[0].lower() == column.lower()

    def mismatch(self, entry: IndexEntry, call: Call) -> str:
        """Only the column can differ."""
        return ""


class Npi:
    """Distances and scores by any neurons of one layer of one model."""

    functions = frozenset({"neuron_distance", "neuron_score"})

    def covers(self, entry: IndexEntry, call: Call, column: str) -> bool:
        """The same column, layer and weights: an index of replaced weights is never used."""
        if call.function.name not in self.functions or len(entry.arguments) != 2:
            return False
        model: ModelEntry = call.option("model")
        return (
            entry.options.get("image", "").lower() == column.lower()
            and entry.arguments[1] == call.option("layer")
            and entry.options.get("weights_hash") == model.weights_hash
        )

    def mismatch(self, entry: IndexEntry, call: Call) -> str:
        """Whether it is of this layer of the model, before the model was replaced."""
        model: ModelEntry = call.option("model")
        current = entry.options.get("weights_hash") == model.weights_hash
        if current or tuple(entry.arguments) != (model.name, call.option("layer")):
            return ""
        return f"is of other weights of model {model.name}"


INDEX_METHODS: dict[str, IndexMethod] = {
    "CHI": Chi(),
    "NPI": Npi(),
}
