"""Stars of a select list: `*`, `t.*`, EXCLUDE, REPLACE, RENAME, COLUMNS('pattern')."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from tensorsql.errors import BindError, nearest
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.scope import Columns, Scope
from tensorsql.planner.expressions import Expression

Item = tuple[str, Expression]


def is_star(node: exp.Expr) -> bool:
    """Whether a select item stands for several columns."""
    return (
        isinstance(node, exp.Star)
        or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))
        or _pattern(node) is not None
    )


def expand(scope: Scope, node: exp.Expr, bind: Callable[[exp.Expr], Expression]) -> list[Item]:
    """The columns a star stands for, by name."""
    if (pattern := _pattern(node)) is not None:
        return _matching(scope, node, pattern)
    star = node.this if isinstance(node, exp.Column) else node
    columns = _columns(scope, node)
    names = [name.lower() for name, _ in columns]
    excluded = {item.name.lower() for item in star.args.get("except_") or []}
    replaced = {item.alias.lower(): item.this for item in star.args.get("replace") or []}
    renamed = {item.this.name.lower(): item.alias for item in star.args.get("rename") or []}
    for name in (*excluded, *replaced, *renamed):
        if name not in names:
            raise BindError(f'column "{name}" of the star list not found{nearest(name, names)}')
    return [
        (
            renamed.get(name.lower(), name),
            bind(replaced[name.lower()]) if name.lower() in replaced else field.ref(),
        )
        for name, field in columns
        if name.lower() not in excluded
    ]


def _columns(scope: Scope, node: exp.Expr) -> Columns:
    if isinstance(node, exp.Column):
        alias = node.table
        source = scope.tables.source(alias)
        if source is None:
            known = [item.alias for item in scope.tables.sources]
            raise BindError(
                f'table "{alias}" not found in FROM{nearest(alias, known)}', position(node)
            )
        return source.columns
    if not scope.tables.sources:
        raise BindError("a star needs a FROM clause")
    return scope.tables.columns


def _pattern(node: exp.Expr) -> str | None:
    """The pattern of `COLUMNS('…')`; COLUMNS(*) matches everything."""
    if not isinstance(node, exp.Anonymous) or node.name.lower() != "columns":
        return None
    argument = node.expressions[0] if len(node.expressions) == 1 else None
    if isinstance(argument, exp.Star):
        return ""
    if not isinstance(argument, exp.Literal) or not argument.is_string:
        raise BindError("COLUMNS takes a star or a pattern in quotes", position(node))
    return argument.name


def _matching(scope: Scope, node: exp.Expr, pattern: str) -> list[Item]:
    try:
        found = [item for item in scope.tables.columns if re.search(pattern, item[0])]
    except re.error as problem:
        raise BindError(f"'{pattern}' is not a pattern: {problem}", position(node)) from None
    if not found:
        raise BindError(f"no column matches '{pattern}'", position(node))
    return [(name, field.ref()) for name, field in found]
