"""Plans as text: what EXPLAIN prints and golden files hold; why a costly call has no index."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from tensorsql.planner.analysis.index_use import INDEX_METHODS, costly_calls
from tensorsql.planner.analysis.provenance import expose_row_id
from tensorsql.planner.plans.expression_text import INFIX, Names, nested, sort_text
from tensorsql.planner.plans.expressions import (
    TRUE,
    Call,
    ColumnRef,
    Expression,
    conjuncts,
    substitute,
    text,
)
from tensorsql.planner.plans.index_plans import IndexFilter, IndexTopN
from tensorsql.planner.plans.logical import (
    Aggregate,
    DependentJoin,
    Distinct,
    Filter,
    Join,
    Limit,
    LiteralRows,
    Project,
    Reference,
    Scan,
    SetOperation,
    Sort,
    TopN,
    Unnest,
    Values,
    Window,
    With,
)
from tensorsql.planner.plans.plan import Field, Plan
from tensorsql.planner.plans.traversal import walk_plan

WIDTH = 110


def column_names(plan: Plan) -> dict[int, str]:
    """A distinct printed name for every column of the plan; a number for what it shares."""
    owners: dict[int, tuple[str, str]] = {}
    copies: dict[int, int] = {}
    for node in walk_plan(plan):
        alias = node.alias if isinstance(node, Scan) else ""
        for field in node.fields:
            if field.id not in owners or alias:
                owners[field.id] = (alias, field.name)
        copies |= _copies(node)
    names = _distinct_names({id: owner for id, owner in owners.items() if id not in copies})
    for copy in copies:
        names[copy] = names.get(_origin(copy, copies), owners[copy][1])
    return names | _shared_numbers(plan)


def _origin(id: int, copies: Mapping[int, int]) -> int:
    while id in copies:
        id = copies[id]
    return id


def _shared_numbers(plan: Plan) -> dict[int, str]:
    nodes = (node for node in walk_plan(plan) if isinstance(node, With))
    ids = (shared for node in nodes for shared, _, _ in node.definitions)
    return {shared: f"#{number}" for number, shared in enumerate(ids, 1)}


def _copies(node: Plan) -> dict[int, int]:
    """Columns of a node that pass one of its input on under another id but the same name."""
    pairs: list[tuple[Field, Expression]] = []
    if isinstance(node, Project):
        pairs.extend(node.assignments)
    if isinstance(node, Aggregate):
        pairs.extend(node.keys)
        firsts = ((f, call) for f, call in node.aggregates if call.function.name == "any_value")
        pairs.extend((field, call.args[0]) for field, call in firsts)
    return {
        field.id: value.id
        for field, value in pairs
        if isinstance(value, ColumnRef) and value.id != field.id and value.name == field.name
    }


def _distinct_names(owners: Mapping[int, tuple[str, str]]) -> dict[int, str]:
    """The name of each column, with its table's alias or a number where others have it too."""
    by_name: dict[str, list[int]] = {}
    for id, (_, name) in sorted(owners.items()):
        by_name.setdefault(name, []).append(id)
    names = {ids[0]: name for name, ids in by_name.items() if len(ids) == 1}
    taken = set(names.values())
    for name, ids in by_name.items():
        for number, id in enumerate(ids if len(ids) > 1 else (), 1):
            alias = owners[id][0]
            shown = f"{alias}.{name}" if alias else name
            names[id] = shown if shown not in taken else f"{shown}#{number}"
            taken.add(names[id])
    return names


def node_text(node: Plan, names: Names) -> str:
    """One node's line, without its inputs."""
    return _WRITERS.get(type(node), _plain)(node, names)


def explain(plan: Plan, note: Callable[[int, Plan], str] | None = None) -> str:
    """The plan as an indented tree; `note(number, node)` adds to a node's text.

    Nodes are numbered in preorder.
    """
    names = column_names(plan)
    lines: list[str] = []
    numbers = itertools.count()

    def visit(node: Plan, depth: int) -> None:
        extra = "" if note is None else note(next(numbers), node)
        lines.extend(_wrapped(node_text(node, names) + extra, "  " * depth))
        for child in node.inputs:
            visit(child, depth + 1)

    visit(plan, 0)
    return "\n".join(lines)


def _wrapped(line: str, indent: str) -> list[str]:
    """A node's text in lines of bearable width; what goes on stands deeper than an input would."""
    lines = [indent]
    for part in re.split("(?<=, )|(?<= AND )|(?<= OR )", line):
        if len(lines[-1]) + len(part.rstrip()) > WIDTH and lines[-1].strip():
            lines.append(indent + "      ")
        lines[-1] += part
    return [each.rstrip() for each in lines]


def _listed(fields: tuple[Field, ...], names: Names) -> str:
    return ", ".join(names.get(field.id, field.name) for field in fields)


def _assigned(pairs: Any, names: Names) -> str:
    def one(field: Field, expression: Expression) -> str:
        shown, name = text(expression, names), names.get(field.id, field.name)
        return shown if shown == name else f"{shown} AS {name}"

    return ", ".join(one(field, expression) for field, expression in pairs)


def _predicate(expression: Expression, names: Names) -> str:
    parts = conjuncts(expression)
    if len(parts) < 2:
        return text(expression, names)
    return " AND ".join(nested(part, names, INFIX["and"]) for part in parts)


def _plain(node: Plan, names: Names) -> str:
    """A node that needs no words of its own."""
    shown = ", ".join(text(item, names) for item in node.expressions)
    return f"{type(node).__name__} {shown}".rstrip()


def _scan(node: Scan, names: Names) -> str:
    alias = f" AS {node.alias}" if node.alias and node.alias != node.relation.name else ""
    columns = _listed(node.fields, names)
    return f"Scan {node.relation.name}{alias} [{columns}]"


def _values(node: Values, names: Names) -> str:
    count = len(node.rows)
    return f"Values {count} row{'' if count == 1 else 's'} [{_listed(node.fields, names)}]"


def _literal_rows(node: LiteralRows, names: Names) -> str:
    return f"Values {node.count} rows [{_listed(node.fields, names)}]"


def _join(node: Join | DependentJoin, names: Names) -> str:
    build = " build left" if isinstance(node, Join) and node.build == "left" else ""
    kind = f"{type(node).__name__} {node.kind}{build}"
    if not conjuncts(node.condition):
        return kind + (" cross" if node.kind == "inner" else "")
    mark = "" if node.mark is None else f" AS {names.get(node.mark.id, node.mark.name)}"
    return f"{kind} on {_predicate(node.condition, names)}{mark}"


def _aggregate(node: Aggregate, names: Names) -> str:
    keys = f" by {_assigned(node.keys, names)}" if node.keys else ""
    sets = ""
    if node.grouping_sets is not None:
        sets = " sets " + ", ".join(
            "(" + ", ".join(names[node.keys[i][0].id] for i in one) + ")"
            for one in node.grouping_sets
        )
    return f"Aggregate{keys}{sets} [{_assigned(node.aggregates, names)}]"


def _limit(node: Limit | TopN | IndexTopN) -> str:
    count = "" if node.count is None else f" limit {node.count}"
    return count + (f" offset {node.offset}" if node.offset else "")


def _index_topn(node: IndexTopN, names: Names) -> str:
    groups = ""
    if node.group_keys:
        aggregates = _assigned(node.aggregates, names)
        groups = f" by {_assigned(node.group_keys, names)} [{aggregates}]"
    where = "" if node.predicate == TRUE else f" where {_predicate(node.predicate, names)}"
    order = f"{sort_text(node.keys, names)}{_limit(node)}"
    return f"IndexTopN {order}{groups}{where}{_using(node)}"


def _using(node: IndexFilter | IndexTopN) -> str:
    return " using " + ", ".join(dict.fromkeys(entry.name for *_, entry in node.indexes))


def _set_operation(node: SetOperation, names: Names) -> str:
    return f"{node.kind.capitalize()}{' all' if node.all else ''} [{_listed(node.fields, names)}]"


def _distinct(node: Distinct, names: Names) -> str:
    if node.on is None:
        return "Distinct"
    return f"Distinct on {', '.join(text(item, names) for item in node.on)}"


def _with(node: With, names: Names) -> str:
    return "With " + ", ".join(f"{name} ({names[shared]})" for shared, name, _ in node.definitions)


_WRITERS: dict[type[Plan], Callable[[Any, Names], str]] = {
    Scan: _scan,
    Values: _values,
    LiteralRows: _literal_rows,
    Filter: lambda node, names: f"Filter {_predicate(node.predicate, names)}{missing_index(node)}",
    Project: lambda node, names: f"Project {_assigned(node.assignments, names)}",
    Join: _join,
    DependentJoin: _join,
    Aggregate: _aggregate,
    Window: lambda node, names: f"Window {_assigned(node.calls, names)}",
    Sort: lambda node, names: f"Sort {sort_text(node.keys, names)}",
    Limit: lambda node, names: f"Limit{_limit(node)}",
    TopN: lambda node, names: (
        f"TopN {sort_text(node.keys, names)}{_limit(node)}{missing_index(node)}"
    ),
    Distinct: _distinct,
    SetOperation: _set_operation,
    Unnest: lambda node, names: f"Unnest {text(node.expression, names)} AS {node.element.name}",
    With: _with,
    Reference: lambda node, names: (
        f"Reference {node.name} ({names.get(node.shared, '#')}) [{_listed(node.fields, names)}]"
    ),
    IndexFilter: lambda node, names: (
        f"IndexFilter {_predicate(node.predicate, names)}{_using(node)}"
    ),
    IndexTopN: _index_topn,
}


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
