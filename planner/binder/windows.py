"""Window functions: OVER clauses bound, then collected into a Window node."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError, nearest
from tensorsql.parser.dialect import position, text_of
from tensorsql.planner.binder import functions
from tensorsql.planner.binder.base import Binder
from tensorsql.planner.binder.calls import call_parts
from tensorsql.planner.binder.placeholders import contains, distinct_nodes
from tensorsql.planner.binder.subqueries import plant
from tensorsql.planner.functions.folding import fold
from tensorsql.planner.functions.resolve import cast
from tensorsql.planner.plans.expressions import (
    Expression,
    Literal,
    SortKey,
    WindowCall,
    WindowFrame,
    transform,
)
from tensorsql.planner.plans.logical import Window
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.storage.columns.types import BIGINT

End = tuple[str, Expression | None]
# The kinds of ends of a frame, in the order in which they come.
PLACES = {
    "unbounded preceding": 0,
    "preceding": 1,
    "current row": 2,
    "following": 3,
    "unbounded following": 4,
}
Clause = tuple[tuple[Expression, ...], tuple[SortKey, ...], WindowFrame | None]


def bind_window(binder: Binder, node: exp.Window) -> Expression:
    """`f(…) OVER (PARTITION BY … ORDER BY … frame)`, or OVER a named window."""
    parts = call_parts(node.this)
    kind = functions.function_kind(binder, parts.name)
    if kind not in ("aggregate", "window"):
        hint = "" if kind else "; there is no such function"
        raise BindError(f"{parts.name} is neither an aggregate nor a window function{hint}")
    if kind == "window" and (parts.distinct or parts.order or parts.filter is not None):
        raise UnsupportedError(
            f"{parts.name} OVER takes no DISTINCT, ORDER BY or FILTER of its own", position(node)
        )
    call = functions.aggregate(binder, parts)
    clause = _bound_clause(binder, node)
    bound = WindowCall(call.type, call, *clause, parts.nulls == "ignore")
    if any(contains(child, WindowCall) for child in bound.children):
        raise BindError("a window function cannot contain another window function")
    return bound


def _bound_clause(binder: Binder, node: exp.Window) -> Clause:
    clause = _window_clause(binder, node)
    partition = tuple(binder.bind_all(clause["partition_by"]))
    order = tuple(binder.sort_key(item) for item in clause["order"])
    spec = clause["spec"]
    return partition, order, None if spec is None else _frame(binder, spec)


def _window_clause(binder: Binder, node: exp.Window) -> dict[str, Any]:
    """Partition, order and frame; what a named window has and the clause itself lacks is added."""
    order = node.args.get("order")
    own = {
        "partition_by": node.args.get("partition_by") or [],
        "order": order.expressions if order is not None else [],
        "spec": node.args.get("spec"),
    }
    name = node.args.get("alias")
    if name is None:
        return own
    windows = binder.scope.windows
    if name.name.lower() not in windows:
        raise BindError(
            f'window "{name.name}" not found{nearest(name.name, windows)}', position(node)
        )
    base = _window_clause(binder, windows[name.name.lower()])
    for key, words in (("partition_by", "PARTITION BY"), ("order", "ORDER BY")):
        if own[key] and base[key]:
            raise BindError(f'window "{name.name}" has its {words} already', position(node))
    return {key: own[key] or base[key] for key in own}


def check_windows(binder: Binder) -> None:
    """Bind the windows of the WINDOW clause, also those nothing uses, for their errors' sake."""
    for node in binder.scope.windows.values():
        _bound_clause(binder, node)


def _frame(binder: Binder, spec: exp.WindowSpec) -> WindowFrame:
    start = _end(binder, spec.args.get("start"), spec.args.get("start_side"), "preceding")
    end = _end(binder, spec.args.get("end"), spec.args.get("end_side"), "following")
    _check_ends(start[0], end[0], spec)
    exclude = spec.args.get("exclude")
    text = "" if exclude is None else exclude.name.lower()
    return WindowFrame(str(spec.args["kind"]).lower(), start, end, text)


def _check_ends(start: str, end: str, spec: exp.WindowSpec) -> None:
    """A frame must not end before every place where it may start, whatever its offsets are."""
    wrong = f"{start} as its start" if start == "unbounded following" else ""
    if end == "unbounded preceding":
        wrong = f"{end} as its end"
    elif PLACES[start] > PLACES[end]:
        wrong = f"an end ({end}) before its start ({start})"
    if wrong:
        raise BindError(f"a window frame cannot have {wrong}", position(spec))


def _end(binder: Binder, value: exp.Expr | str | None, side: str | None, usual: str) -> End:
    if value is None or value == "CURRENT ROW":
        return ("current row", None)
    word = (side or usual).lower()
    if value == "UNBOUNDED":
        return (f"unbounded {word}", None)
    assert isinstance(value, exp.Expr)
    offset = transform(cast(binder.bind(value), BIGINT), lambda part: fold(part) or part)
    if not isinstance(offset, Literal):
        raise UnsupportedError("the offset of a window frame must be a constant", position(value))
    if offset.value is None or offset.value < 0:
        raise BindError(
            f"the offset of a window frame is a number of rows, not {text_of(value)}",
            position(value),
        )
    return (word, offset)


def add_windows(plan: Plan, expressions: list[Expression]) -> tuple[Plan, list[Expression]]:
    """Compute the window calls in the expressions (equal ones once) and read their columns."""
    windows = distinct_nodes(expressions, WindowCall)
    if not windows:
        return plan, expressions
    plan, calls = plant(plan, windows)
    fields: dict[Expression, Field] = {
        call: new_field(call.call.function.name, call.type) for call in windows
    }

    def read(node: Expression) -> Expression:
        return fields[node].ref() if node in fields else node

    pairs = zip(fields.values(), calls, strict=True)
    planned = tuple((field, call) for field, call in pairs if isinstance(call, WindowCall))
    return Window(plan, planned), [transform(item, read) for item in expressions]
