"""Why a costly call runs for every row: what EXPLAIN says where no index is used."""

from __future__ import annotations

from tensorsql.planner.analysis.index_methods import INDEX_METHODS
from tensorsql.planner.analysis.index_use import costly_calls
from tensorsql.planner.analysis.provenance import expose_row_id
from tensorsql.planner.plans.expressions import Call, ColumnRef, Expression, substitute
from tensorsql.planner.plans.logical import Filter, Project, TopN
from tensorsql.planner.plans.plan import Plan


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
    return [call for call in costly_calls(expression) if _methods(call)]


def _methods(call: Call) -> list[str]:
    """The kinds of index that can bound the call."""
    return [name for name, kind in INDEX_METHODS.items() if call.function.name in kind.functions]


def _reason(plan: Plan, call: Call) -> str:
    column = call.args[0]
    origin = expose_row_id(plan, column.id) if isinstance(column, ColumnRef) else None
    if origin is None:
        return f"{column} does not come unchanged from a table"
    methods, table = _methods(call), origin.relation.name
    kind = " or ".join(methods)
    entries = [entry for entry in origin.relation.indexes if entry.method in methods]
    if not entries:
        return f"{table} has no {kind} index"
    for entry in entries:
        if INDEX_METHODS[entry.method].covers(entry, call, origin.name):
            return f"{entry.name} is not applicable here, or switched off"
    for entry in entries:
        if wrong := INDEX_METHODS[entry.method].mismatch(entry, call):
            return f"{entry.name} {wrong}"
    return f"no {kind} index of {table} covers it"
