"""Function calls of the syntax tree: name and arguments as written, before sqlglot's changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from tensorsql.errors import BindError
from tensorsql.parser.dialect import position, text_of

NULLS: dict[type[exp.Expr], str] = {exp.IgnoreNulls: "ignore", exp.RespectNulls: "respect"}
TRIMS = {"LEADING": "ltrim", "TRAILING": "rtrim"}
NAMES: dict[type[exp.Expr], str] = {
    exp.GroupConcat: "string_agg",
    exp.StrPosition: "strpos",
    exp.CurrentDate: "current_date",
    exp.CurrentTime: "current_time",
    exp.CurrentTimestamp: "current_timestamp",
    exp.Localtime: "current_time",
    exp.Localtimestamp: "current_timestamp",
}
ORDERED_SETS = {
    "percentile_cont": "quantile_cont",
    "percentile_disc": "quantile_disc",
    "quantile_cont": "quantile_cont",
    "quantile_disc": "quantile_disc",
    "mode": "mode",
}


@dataclass(frozen=True)
class CallParts:
    """A call as written: `f(DISTINCT args ORDER BY order) FILTER (WHERE filter)`.

    `nulls` is "ignore", "respect" or nothing.
    """

    name: str
    args: tuple[exp.Expr, ...]
    distinct: bool = False
    order: tuple[exp.Expr, ...] = ()
    filter: exp.Expr | None = None
    nulls: str = ""


def call_parts(node: exp.Expr) -> CallParts:
    """Take a call, with what is wrapped around it and its arguments, apart."""
    match node:
        case exp.Filter():
            inner = call_parts(node.this)
            return dataclasses.replace(inner, filter=node.expression.this)
        case exp.IgnoreNulls() | exp.RespectNulls():
            return dataclasses.replace(call_parts(node.this), nulls=NULLS[type(node)])
        case exp.WithinGroup():
            return _ordered_set(node)
        case exp.Trim():
            name = TRIMS.get(node.args.get("position") or "", "trim")
            written = (node.this, node.expression)
            return CallParts(name, tuple(arg for arg in written if arg is not None))
        case exp.Anonymous():
            return _unwrapped(node.name.lower(), list(node.expressions))
        case _:
            name = NAMES.get(type(node)) or _written_name(node)
            return _unwrapped(name, list(_arguments(node)))


def _written_name(node: exp.Expr) -> str:
    if not isinstance(node, exp.Func):
        raise BindError(f"{text_of(node)} is not a function call", position(node))
    return str(node.meta.get("name") or node.sql_name()).lower()


def _arguments(node: exp.Expr) -> Iterator[exp.Expr]:
    """The arguments that are expressions; whatever else a node of sqlglot's has stays unread."""
    for key in node.arg_types:
        kinds = {type(part) for part in node.iter_expressions() if part.arg_key == key}
        if kinds:
            value = node.args.get(key)
            yield from value if isinstance(value, list) else [value] if value else []


def _unwrapped(name: str, args: list[exp.Expr]) -> CallParts:
    """sqlglot hangs DISTINCT, ORDER BY and IGNORE NULLS on an argument."""
    parts = CallParts(name, ())
    plain: list[exp.Expr] = []
    for argument in args:
        while isinstance(argument, (exp.Order, exp.IgnoreNulls, exp.RespectNulls)):
            if isinstance(argument, exp.Order):
                parts = dataclasses.replace(parts, order=tuple(argument.expressions))
            else:
                parts = dataclasses.replace(parts, nulls=NULLS[type(argument)])
            argument = argument.this
        if isinstance(argument, exp.Distinct):
            parts = dataclasses.replace(parts, distinct=True)
            plain.extend(argument.expressions)
        elif argument is not None:
            plain.append(argument)
    return dataclasses.replace(parts, args=tuple(plain))


def _ordered_set(node: exp.WithinGroup) -> CallParts:
    """`percentile_cont(q) WITHIN GROUP (ORDER BY x)` is `quantile_cont(x, q ORDER BY x)`."""
    inner = call_parts(node.this)
    keys = tuple(node.expression.expressions)
    name = ORDERED_SETS.get(inner.name)
    if name is None:
        raise BindError(f"{inner.name} does not go with WITHIN GROUP", position(node))
    if len(keys) != 1:
        raise BindError(f"WITHIN GROUP of {inner.name} orders by one expression", position(node))
    return dataclasses.replace(inner, name=name, args=(keys[0].this, *inner.args), order=keys)
