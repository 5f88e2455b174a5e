"""Expressions as SQL text: what plans, error messages and golden files show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorsql.planner.plans.expressions import (
    AggregateCall,
    Call,
    ColumnRef,
    Expression,
    Literal,
    Parameter,
    SortKey,
    WindowCall,
    WindowFrame,
    text,
)
from tensorsql.storage.columns.types import NULL, Kind

# How tightly infix operators bind: an operand that binds no tighter stands in parentheses.
INFIX = {"or": 2, "and": 2}
INFIX |= dict.fromkeys(("=", "<>", "<", "<=", ">", ">=", "in", "in values"), 4)
INFIX |= dict.fromkeys(("like", "ilike", "is_null"), 4)
INFIX |= dict.fromkeys(("is_distinct_from", "is_not_distinct_from"), 4)
INFIX |= {"||": 5, "+": 6, "-": 6, "*": 7, "/": 7, "//": 7, "%": 7}
NOT, NEGATE, ATOM = 3, 8, 9
TESTS = {"is_null", "in", "in values", "like", "ilike"}  # whose NOT stands inside
Names = Mapping[int, str]


@text.register
def column_text(column: ColumnRef, names: Names | None = None) -> str:
    """A column by its name."""
    return (names or {}).get(column.id, column.name)


@text.register
def literal_text(literal: Literal, names: Names | None = None) -> str:
    """A literal as SQL would write it, a parameter by its number or name."""
    if isinstance(literal, Parameter):
        return f"${literal.key}" if isinstance(literal.key, int) else f":{literal.key}"
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


@text.register
def call_text(call: Call, names: Names | None = None) -> str:
    """A call as SQL would write it."""
    name, args = call.function.name, [text(arg, names) for arg in call.args]
    if name in TESTS:
        return _test_text(call, names)
    if name in INFIX:
        word = name.replace("_", " ").upper()
        return f" {word} ".join(nested(arg, names, INFIX[name]) for arg in call.args)
    match name:
        case "not":
            return _negated_text(call.args[0], names)
        case "negate":
            return f"-{nested(call.args[0], names, NEGATE)}"
        case "cast" | "try_cast":
            return f"{name.upper()}({args[0]} AS {call.type})"
        case "case":
            return _case_text(args)
        case "cp":
            return _cp_text(args)
    options = [f"{key} => {_option_text(value)}" for key, value in call.options]
    return f"{name}({', '.join(args + options)})"


def _negated_text(expression: Expression, names: Names | None) -> str:
    if isinstance(expression, Call) and expression.function.name in TESTS:
        return _test_text(expression, names, "NOT ")
    return f"NOT {nested(expression, names, NOT)}"


def _test_text(call: Call, names: Names | None, word: str = "") -> str:
    first, *rest = (nested(arg, names, INFIX[call.function.name]) for arg in call.args)
    match call.function.name:
        case "is_null":
            return f"{first} IS {word}NULL"
        case "in":
            return f"{first} {word}IN ({', '.join(rest)})"
        case "in values":
            return f"{first} {word}IN ({_values_text(call.args[1])})"
    return f"{first} {word}{call.function.name.upper()} {rest[0]}"


def _values_text(items: Expression) -> str:
    """The first and the last of many values."""
    assert isinstance(items, Literal)
    kind, values = items.type.child or NULL, items.value
    *first, last = (literal_text(Literal(kind, value)) for value in (*values[:3], values[-1]))
    return f"{', '.join(first)}, … {len(values) - 4} more …, {last}"


def _case_text(args: list[str]) -> str:
    pairs = zip(args[:-1:2], args[1::2], strict=False)
    arms = " ".join(f"WHEN {condition} THEN {value}" for condition, value in pairs)
    return f"CASE {arms} ELSE {args[-1]} END"


def _cp_text(args: list[str]) -> str:
    mask, *roi, low, high = args
    return f"CP({mask}, {roi[0] if roi else '-'}, ({low}, {high}))"


def _option_text(value: Any) -> str:
    name = getattr(value, "name", None)
    return str(value if name is None else name)


def nested(expression: Expression, names: Names | None, outer: int) -> str:
    """An operand of an operator that binds as tightly as `outer` says."""
    shown = text(expression, names)
    name = expression.function.name if isinstance(expression, Call) else ""
    binds = {"not": NOT, "negate": NEGATE, **INFIX}.get(name, ATOM)
    return f"({shown})" if binds <= outer else shown


@text.register
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


@text.register
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
