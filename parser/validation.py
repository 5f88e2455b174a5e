"""Trees sqlglot accepts from text that is not SQL, refused after parsing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlglot import exp

from tensorsql.cancellation import check_cancelled


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
