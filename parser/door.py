"""The door to syntax trees: sqlglot's grammar is wider than the language.

What is no SQL is refused after parsing (`first_problem`). What was read becomes arguments of nodes,
and an argument that nobody reads would be a clause without effect: so a tree knows what of it was
read while the statement was bound, and the rest is refused (`first_unread`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlglot import exp

from tensorsql.cancellation import check_cancelled

# How something was written where that makes no difference, and sqlglot's notes for translation.
MANNER: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Identifier: ("quoted",),
    exp.Literal: ("is_string",),
    exp.DataType: ("nested",),
    exp.Cast: ("safe",),
    exp.TryCast: ("safe",),
    exp.Window: ("over",),
    exp.Interval: ("fraction_in_string",),
    exp.LimitOptions: ("rows",),
    exp.Concat: ("safe", "coalesce"),
    exp.DPipe: ("safe",),
    exp.Div: ("typed", "safe"),
}


class Arguments(dict[str, Any]):
    """The arguments of a node, and which of them were asked for by name."""

    __slots__ = ("read",)

    def __init__(self, arguments: dict[str, Any]) -> None:
        dict.__init__(self, arguments)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The argument, which is read by this."""
        self.read.add(key)
        return dict.get(self, key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return dict.__getitem__(self, key)


def nodes_of(tree: exp.Expr) -> list[exp.Expr]:
    """The tree and everything below it, parents first; nothing of it counts as read by this."""
    nodes = [tree]
    for node in nodes:  # which grows meanwhile
        check_cancelled()
        for value in node.args.values():
            if isinstance(value, exp.Expr):
                nodes.append(value)
            elif isinstance(value, list):
                nodes += [item for item in value if isinstance(item, exp.Expr)]
    return nodes


def watch(nodes: Iterable[exp.Expr]) -> None:
    """From now on these nodes know what of them was read; copies of them do not."""
    for node in nodes:
        node.args = Arguments(node.args)


def first_unread(tree: exp.Expr) -> tuple[exp.Expr, str] | None:
    """The first node, from the root down, with an argument that was set and never read."""
    for node in nodes_of(tree):
        arguments: dict[str, Any] = node.args
        if not isinstance(arguments, Arguments):  # a node of the binder's own making
            continue
        for key, value in arguments.items():
            unread = key not in arguments.read and is_set(value)
            if unread and key not in MANNER.get(type(node), ()):
                return node, key
    return None


def is_set(value: Any) -> bool:
    """Whether an argument says anything."""
    return value is not None and value is not False and value != []


def _identifier(node: exp.Identifier) -> str | None:
    text = node.this
    plain = node.args.get("quoted") or text[:1].isalpha() or text[:1] == "_"
    return None if plain else f'"{text}" is not a name'


def _alias(node: exp.Alias) -> str | None:
    return "a star has no alias" if node.this.is_star else None


def _in(node: exp.In) -> str | None:
    listed = node.args.get("expressions") is not None
    return None if listed or any(map(node.args.get, IN_VALUES)) else "IN needs a value"


def _window_spec(node: exp.WindowSpec) -> str | None:
    between = node.args.get("end") is not None
    return None if between or node.args.get("start_side") != "FOLLOWING" else FOLLOWING


def _group(node: exp.Group) -> str | None:
    return None if any(node.args.values()) else "GROUP BY needs an expression"


def _insert(node: exp.Insert) -> str | None:
    filled = node.expression or node.args.get("default")
    return None if filled else "INSERT needs VALUES or a query"


def _update(node: exp.Update) -> str | None:
    assigned = node.expressions and all(
        isinstance(item, exp.EQ) and isinstance(item.this, exp.Column) for item in node.expressions
    )
    return None if assigned else "UPDATE needs SET column = value"


def _delete(node: exp.Delete) -> str | None:
    return None if node.this and not node.args.get("tables") else "DELETE needs FROM"


def _drop(node: exp.Drop) -> str | None:
    return None if node.args.get("tables") else "DROP needs a name"


def _set_operation(node: exp.SetOperation) -> str | None:
    queries = all(isinstance(side, QUERIES) for side in (node.this, node.expression))
    if not queries:
        return f"{node.key.upper()} combines queries"
    bare = [side for side in (node.this, node.expression) if not isinstance(side, exp.Subquery)]
    ended = any(side.args.get(key) for side in bare for key in ("order", "limit", "offset"))
    return ENDED.format(node.key.upper()) if ended else None


def _struct(node: exp.Struct) -> str | None:
    named = node.expressions and all(
        isinstance(item, exp.PropertyEQ) and item.name for item in node.expressions
    )
    return None if named else "a struct needs fields, as in {'name': value}"


def _table(node: exp.Table) -> str | None:
    if isinstance(node.this, (exp.Placeholder, exp.Parameter)):
        return "a parameter cannot stand for a table; write its name"
    if any(isinstance(node.args.get(key), str) for key in ("db", "catalog")):
        return "a name is missing between two dots"
    return None


def _values(node: exp.Values) -> str | None:
    rows = node.expressions and all(row.expressions or row.args for row in node.expressions)
    empty = any(isinstance(row, exp.Tuple) and not row.expressions for row in node.expressions)
    return None if rows and not empty else "VALUES needs at least one value in each row"


def _star(node: exp.Star) -> str | None:
    empty = any(node.args.get(key) == [] for key in STAR_LISTS)
    return "EXCLUDE and REPLACE need a column" if empty else None


QUERIES = (exp.Query, exp.Values, exp.Table)
IN_VALUES = ("query", "unnest", "field")
FOLLOWING = "a frame that starts at FOLLOWING needs BETWEEN and an end"
ENDED = "a query inside {} that has ORDER BY or LIMIT stands in parentheses"
STAR_LISTS = ("except_", "replace", "rename")

CHECKS: dict[type[exp.Expr], Callable[..., str | None]] = {
    exp.Identifier: _identifier,
    exp.Alias: _alias,
    exp.In: _in,
    exp.Group: _group,
    exp.Insert: _insert,
    exp.Update: _update,
    exp.Delete: _delete,
    exp.Drop: _drop,
    exp.Union: _set_operation,
    exp.Except: _set_operation,
    exp.Intersect: _set_operation,
    exp.Star: _star,
    exp.Struct: _struct,
    exp.Table: _table,
    exp.Values: _values,
    exp.WindowSpec: _window_spec,
}


def first_problem(nodes: Iterable[exp.Expr]) -> tuple[exp.Expr, str] | None:
    """The first of a tree's nodes that is not SQL, and why."""
    for node in nodes:
        check_cancelled()
        check = CHECKS.get(type(node))
        if check is not None and (problem := check(node)):
            return node, problem
    return None
