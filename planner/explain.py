"""Plans and expressions as text: what EXPLAIN prints and golden files hold.

One line per node, inputs indented below. A column prints by its name; where two columns of a plan
share a name, by `alias.name`, and by `name#2` where that is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tensorsql.planner.expressions import (
    AggregateCall,
    Call,
    ColumnRef,
    Expression,
    Literal,
    SortKey,
    WindowCall,
    WindowFrame,
    conjuncts,
)
from tensorsql.planner.logical import (
    Aggregate,
    DependentJoin,
    Distinct,
    Field,
    Filter,
    IndexFilter,
    IndexTopN,
    Join,
    Limit,
    Plan,
    Project,
    Reference,
    Scan,
    SetOperation,
    Sort,
    TableCall,
    TopN,
    Unnest,
    Values,
    Window,
    With,
    walk_plan,
)
from tensorsql.storage.types import Kind

INFIX = {"=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "//", "%", "||", "and", "or", "like"}
INFIX |= {"ilike", "is_distinct_from", "is_not_distinct_from"}
Names = Mapping[int, str]


def literal_text(literal: Literal) -> str:
    """A literal as SQL would write it."""
    value = literal.value
    if value is None:
        return "NULL"
    match literal.type.kind:
        case Kind.VARCHAR | Kind.ENUM | Kind.UUID:
            return "'" + str(value).replace("'", "''") + "'"
        case Kind.DATE | Kind.TIME | Kind.TIMESTAMP:
            return f"{literal.type.kind.value} '{value}'"
        case Kind.INTERVAL:
            months, days, micros = value
            parts = [(months, "months"), (days, "days"), (micros, "microseconds")]
            shown = " ".join(f"{count} {unit}" for count, unit in parts if count)
            return f"INTERVAL '{shown or '0 days'}'"
        case Kind.LIST:
            return "[" + ", ".join(map(str, value)) + "]"
        case Kind.BOX:
            return "box(" + ", ".join(f"{corner:g}" for corner in value) + ")"
        case Kind.BOOLEAN:
            return "TRUE" if value else "FALSE"
        case _:
            return str(value)


def call_text(call: Call, names: Names | None = None) -> str:
    """A call as SQL would write it."""
    name, args = call.function.name, [text(arg, names) for arg in call.args]
    if name in INFIX:
        word = name.replace("_", " ").upper()
        return f" {word} ".join(
            _nested(arg, shown) for arg, shown in zip(call.args, args, strict=True)
        )
    match name:
        case "not":
            return f"NOT {_nested(call.args[0], args[0])}"
        case "negate":
            return f"-{_nested(call.args[0], args[0])}"
        case "is_null":
            return f"{_nested(call.args[0], args[0])} IS NULL"
        case "cast" | "try_cast":
            return f"{name.upper()}({args[0]} AS {call.type})"
        case "in":
            return f"{_nested(call.args[0], args[0])} IN ({', '.join(args[1:])})"
        case "case":
            return _case_text(args)
    options = [f"{key} => {_option_text(value)}" for key, value in call.options]
    return f"{name}({', '.join(args + options)})"


def _case_text(args: list[str]) -> str:
    pairs = zip(args[:-1:2], args[1::2], strict=False)
    arms = " ".join(f"WHEN {condition} THEN {value}" for condition, value in pairs)
    return f"CASE {arms} ELSE {args[-1]} END"


def _option_text(value: Any) -> str:
    name = getattr(value, "name", None)
    return str(value if name is None else name)


def _nested(expression: Expression, shown: str) -> str:
    infix = isinstance(expression, Call) and expression.function.name in INFIX
    return f"({shown})" if infix else shown


def aggregate_text(call: AggregateCall, names: Names | None = None) -> str:
    """An aggregate as SQL would write it."""
    inner = ", ".join(text(arg, names) for arg in call.args) or (
        "*" if call.function.name == "count" else ""
    )
    if call.order_by:
        inner += " ORDER BY " + sort_text(call.order_by, names)
    shown = f"{call.function.name}({'DISTINCT ' if call.distinct else ''}{inner})"
    if call.filter is not None:
        shown += f" FILTER (WHERE {text(call.filter, names)})"
    return shown


def window_text(window: WindowCall, names: Names | None = None) -> str:
    """A window call as SQL would write it."""
    parts = []
    if window.partition:
        parts.append("PARTITION BY " + ", ".join(text(item, names) for item in window.partition))
    if window.order:
        parts.append("ORDER BY " + sort_text(window.order, names))
    if window.frame is not None:
        parts.append(_frame_text(window.frame, names))
    call = aggregate_text(window.call, names).replace(
        "(*)", "()" if not window.call.args else "(*)"
    )
    return f"{call} OVER ({' '.join(parts)})"


def _frame_text(frame: WindowFrame, names: Names | None) -> str:
    def end(kind: str, offset: Expression | None) -> str:
        return kind if offset is None else f"{text(offset, names)} {kind}"

    return f"{frame.unit} BETWEEN {end(*frame.start)} AND {end(*frame.end)}".upper()


def sort_text(keys: tuple[SortKey, ...], names: Names | None = None) -> str:
    """ORDER BY items as SQL would write them."""

    def one(key: SortKey) -> str:
        shown = text(key.expression, names) + (" DESC" if key.descending else "")
        return shown + (" NULLS FIRST" if key.nulls_first else "")

    return ", ".join(map(one, keys))


def text(expression: Expression, names: Names | None = None) -> str:
    """Any expression as SQL would write it; `names` override the columns' own."""
    match expression:
        case ColumnRef():
            return (names or {}).get(expression.id, expression.name)
        case Literal():
            return literal_text(expression)
        case Call():
            return call_text(expression, names)
        case AggregateCall():
            return aggregate_text(expression, names)
        case WindowCall():
            return window_text(expression, names)
    return repr(expression)


def column_names(plan: Plan) -> dict[int, str]:
    """A distinct printed name for every column of the plan."""
    owners: dict[int, tuple[str, str]] = {}
    for node in walk_plan(plan):
        alias = node.alias if isinstance(node, Scan) else ""
        for field in node.fields:
            if field.id not in owners or alias:
                owners[field.id] = (alias, field.name)
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
    return _WRITERS[type(node)](node, names)


def explain(plan: Plan, note: Callable[[int, Plan], str] | None = None) -> str:
    """The plan as an indented tree; `note(number, node)` adds to a node's line, numbers preorder."""
    names = column_names(plan)
    lines: list[str] = []

    def visit(node: Plan, depth: int) -> None:
        number = len(lines)
        line = "  " * depth + node_text(node, names)
        lines.append(line)
        if note is not None:
            lines[number] += note(number, node)
        for child in node.inputs:
            visit(child, depth + 1)

    visit(plan, 0)
    return "\n".join(lines)


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
    return " AND ".join(
        f"({text(part, names)})"
        if isinstance(part, Call) and part.function.name == "or"
        else text(part, names)
        for part in parts
    )


def _scan(node: Scan, names: Names) -> str:
    alias = f" AS {node.alias}" if node.alias and node.alias != node.relation.name else ""
    columns = _listed(node.fields, names)
    where = "" if not conjuncts(node.predicate) else f" where {_predicate(node.predicate, names)}"
    return f"Scan {node.relation.name}{alias} [{columns}]{where}"


def _values(node: Values, names: Names) -> str:
    count = len(node.rows)
    return f"Values {count} row{'' if count == 1 else 's'} [{_listed(node.fields, names)}]"


def _table_call(node: TableCall, names: Names) -> str:
    arguments = ", ".join(f"{name} => {text(value, names)}" for name, value in node.arguments)
    return f"TableCall {node.function.name}({arguments}) [{_listed(node.fields, names)}]"


def _join(node: Join | DependentJoin, names: Names) -> str:
    kind = f"{type(node).__name__} {node.kind}"
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


def _missing_index(node: Filter | TopN) -> str:
    from tensorsql.planner.missing_index import missing_index  # rules print plans, too

    return missing_index(node)


def _limit(node: Limit | TopN | IndexTopN) -> str:
    count = "" if node.count is None else f" limit {node.count}"
    return count + (f" offset {node.offset}" if node.offset else "")


def _set_operation(node: SetOperation, names: Names) -> str:
    return f"{node.kind.capitalize()}{' all' if node.all else ''} [{_listed(node.fields, names)}]"


def _distinct(node: Distinct, names: Names) -> str:
    if node.on is None:
        return "Distinct"
    return f"Distinct on {', '.join(text(item, names) for item in node.on)}"


def _with(node: With, names: Names) -> str:
    return "With " + ", ".join(f"{name} (#{shared})" for shared, name, _ in node.definitions)


_WRITERS: dict[type[Plan], Callable[[Any, Names], str]] = {
    Scan: _scan,
    Values: _values,
    TableCall: _table_call,
    Filter: lambda node, names: (
        f"Filter {_predicate(node.predicate, names)}{_missing_index(node)}"
    ),
    Project: lambda node, names: f"Project {_assigned(node.assignments, names)}",
    Join: _join,
    DependentJoin: _join,
    Aggregate: _aggregate,
    Window: lambda node, names: f"Window {_assigned(node.calls, names)}",
    Sort: lambda node, names: f"Sort {sort_text(node.keys, names)}",
    Limit: lambda node, names: f"Limit{_limit(node)}",
    TopN: lambda node, names: (
        f"TopN {sort_text(node.keys, names)}{_limit(node)}{_missing_index(node)}"
    ),
    Distinct: _distinct,
    SetOperation: _set_operation,
    Unnest: lambda node, names: f"Unnest {text(node.expression, names)} AS {node.element.name}",
    With: _with,
    Reference: lambda node, names: (
        f"Reference {node.name} (#{node.shared}) [{_listed(node.fields, names)}]"
    ),
    IndexFilter: lambda node, names: f"IndexFilter {_predicate(node.predicate, names)}",
    IndexTopN: lambda node, names: f"IndexTopN {sort_text(node.keys, names)}{_limit(node)}",
}
