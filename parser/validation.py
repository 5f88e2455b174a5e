"""Trees sqlglot accepts from text that is not SQL, refused after parsing."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp


def check_identifier(node: exp.Identifier) -> str | None:
    text = node.this
    plain = node.args.get("quoted") or text[:1].isalpha() or text[:1] == "_"
    return None if plain else f'"{text}" is not a name'


def check_alias(node: exp.Alias) -> str | None:
    return "a star has no alias" if node.this.is_star else None


def check_in(node: exp.In) -> str | None:
    return None if any(node.args.get(key) for key in IN_VALUES) else "IN needs a value"


def check_group(node: exp.Group) -> str | None:
    return None if any(node.args.values()) else "GROUP BY needs an expression"


def check_insert(node: exp.Insert) -> str | None:
    filled = node.expression or node.args.get("default")
    return None if filled else "INSERT needs VALUES or a query"


def check_update(node: exp.Update) -> str | None:
    assigned = node.expressions and all(
        isinstance(item, exp.EQ) and isinstance(item.this, exp.Column) for item in node.expressions
    )
    return None if assigned else "UPDATE needs SET column = value"


def check_delete(node: exp.Delete) -> str | None:
    return None if node.this and not node.args.get("tables") else "DELETE needs FROM"


def check_drop(node: exp.Drop) -> str | None:
    return None if node.args.get("tables") else "DROP needs a name"


def check_set_operation(node: exp.SetOperation) -> str | None:
    queries = all(isinstance(side, QUERIES) for side in (node.this, node.expression))
    return None if queries else f"{node.key.upper()} combines queries"


def check_struct(node: exp.Struct) -> str | None:
    named = node.expressions and all(
        isinstance(item, exp.PropertyEQ) and item.name for item in node.expressions
    )
    return None if named else "a struct needs fields, as in {'name': value}"


def check_table(node: exp.Table) -> str | None:
    if isinstance(node.this, (exp.Placeholder, exp.Parameter)):
        return "a parameter cannot stand for a table; write its name"
    return None


def check_values(node: exp.Values) -> str | None:
    rows = node.expressions and all(row.expressions or row.args for row in node.expressions)
    empty = any(isinstance(row, exp.Tuple) and not row.expressions for row in node.expressions)
    return None if rows and not empty else "VALUES needs at least one value in each row"


def check_star(node: exp.Star) -> str | None:
    empty = any(node.args.get(key) == [] for key in STAR_LISTS)
    return "EXCLUDE and REPLACE need a column" if empty else None


QUERIES = (exp.Query, exp.Values, exp.Table)
IN_VALUES = ("expressions", "query", "unnest", "field")
STAR_LISTS = ("except_", "replace", "rename")

CHECKS: dict[type[exp.Expr], Callable[..., str | None]] = {
    exp.Identifier: check_identifier,
    exp.Alias: check_alias,
    exp.In: check_in,
    exp.Group: check_group,
    exp.Insert: check_insert,
    exp.Update: check_update,
    exp.Delete: check_delete,
    exp.Drop: check_drop,
    exp.Union: check_set_operation,
    exp.Except: check_set_operation,
    exp.Intersect: check_set_operation,
    exp.Star: check_star,
    exp.Struct: check_struct,
    exp.Table: check_table,
    exp.Values: check_values,
}


def first_problem(tree: exp.Expr) -> tuple[exp.Expr, str] | None:
    """The first node of the tree that is not SQL, and why."""
    for node in tree.walk():
        check = CHECKS.get(type(node))
        if check is not None and (problem := check(node)):
            return node, problem
    return None
