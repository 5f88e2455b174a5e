"""What each kind of index can bound, and the calls of a plan that one is worth using for.

To add a kind: a class and a line here, all that planning knows of it; the kinds themselves,
which build and probe, are in `operators/indexes`. An index applies where its column comes unchanged
from a scan: through filters, joins, sorts and plain projections. The scan then also gives the row
id, which travels beside the column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from tensorsql.planner.analysis.provenance import expose_row_id
from tensorsql.planner.plans.expressions import (
    COSTLY,
    Call,
    ColumnRef,
    Expression,
    highest_cost,
    walk,
)
from tensorsql.planner.plans.index_plans import IndexUse
from tensorsql.planner.plans.logical import Aggregate, Project
from tensorsql.planner.plans.plan import Field, Plan
from tensorsql.planner.plans.traversal import transform_up
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


BOUNDED_FUNCTIONS = frozenset(name for kind in INDEX_METHODS.values() for name in kind.functions)


def costly_calls(expression: Expression) -> tuple[Call, ...]:
    """The calls within an expression that are worth an index."""
    if highest_cost(expression) < COSTLY:
        return ()
    return tuple(
        node for node in walk(expression) if isinstance(node, Call) and node.function.cost >= COSTLY
    )


def find_uses(plan: Plan, calls: Iterable[Call]) -> tuple[Plan, tuple[IndexUse, ...]]:
    """The plan with row ids beside the columns whose calls an index covers, and these indexes."""
    uses: list[IndexUse] = []
    for call in calls:
        column = call.args[0] if call.args else None
        if not isinstance(column, ColumnRef):
            continue
        origin = expose_row_id(plan, column.id)
        if origin is None:
            continue
        for entry in origin.relation.indexes:
            method = INDEX_METHODS.get(entry.method)
            if method is not None and method.covers(entry, call, origin.name):
                plan = origin.plan
                use = (column, origin.name, origin.row_id.ref(), entry.record)
                if use not in uses:
                    uses.append(use)
                break
    return plan, tuple(uses)


def keep_fields(plan: Plan, fields: tuple[Field, ...]) -> Plan:
    """The plan with exactly these output columns, which it has among others."""
    if plan.fields == fields:
        return plan
    return Project(plan, tuple((field, field.ref()) for field in fields))


def rewritten_with_indexes(plan: Plan, rewrite: Callable[[Plan], Plan]) -> Plan:
    """The plan with its nodes rewritten to use indexes, without what only leaves columns away."""
    rewritten = transform_up(plan, rewrite)
    return plan if rewritten is plan else _without_trims(rewritten)


def _without_trims(plan: Plan) -> Plan:
    """Take out projections that only leave columns away below a node that chooses its own."""

    def rewrite(node: Plan) -> Plan:
        if isinstance(node, Project | Aggregate) and _is_trim(node.input):
            return node.with_inputs(node.input.inputs)
        return node

    return transform_up(plan, rewrite)


def _is_trim(plan: Plan) -> bool:
    return isinstance(plan, Project) and all(
        isinstance(source, ColumnRef) and source.id == field.id
        for field, source in plan.assignments
    )
