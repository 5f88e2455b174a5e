"""Why a costly call runs for every row: what EXPLAIN says where no index is used."""

from __future__ import annotations

from tensorsql.planner.expressions import Call, ColumnRef, Expression, substitute
from tensorsql.planner.logical import Filter, Project, TopN
from tensorsql.planner.plan import Plan
from tensorsql.planner.rules.index_use import costly_calls, expose_row_id
from tensorsql.storage.catalog import IndexEntry, ModelEntry
from tensorsql.storage.indexes import INDEXES

METHODS = {"cp": "CHI", "neuron_distance": "NPI", "neuron_score": "NPI"}


def missing_index(node: Filter | TopN) -> str:
    """` (no index: …)` for the first call of the node that an index could bound, or nothing."""
    below: Plan = node.input
    expressions = node.expressions
    while isinstance(below, Project):
        mapping = {field.id: expression for field, expression in below.assignments}
        expressions = tuple(substitute(expression, mapping) for expression in expressions)
        below = below.input
    call = next((call for each in expressions for call in _bounded(each)), None)
    return "" if call is None else f" (no index: {_reason(below, call)})"


def _bounded(expression: Expression) -> list[Call]:
    return [call for call in costly_calls(expression) if call.function.name in METHODS]


def _reason(plan: Plan, call: Call) -> str:
    column, method = call.args[0], METHODS[call.function.name]
    origin = expose_row_id(plan, column.id) if isinstance(column, ColumnRef) else None
    if origin is None:
        return f"{column} does not come unchanged from a table"
    table = origin.relation.name
    entries = [entry for entry in origin.relation.indexes if entry.method == method]
    if not entries:
        return f"{table} has no {method} index"
    covering = [e for e in entries if INDEXES[method].covers(e, call, origin.name)]
    if covering:
        return f"{covering[0].name} is not applicable here, or switched off"
    stale = next((entry for entry in entries if _is_stale(entry, call)), None)
    if stale is not None:
        return f"{stale.name} is of other weights of model {stale.arguments[0]}"
    return f"no {method} index of {table} covers it"


def _is_stale(entry: IndexEntry, call: Call) -> bool:
    model: ModelEntry | None = call.option("model")
    named = model is not None and entry.arguments[:1] == (model.name,)
    return named and entry.arguments[1:] == (call.option("layer"),)
