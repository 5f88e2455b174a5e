"""Stars of a select list: `*`, `t.*`, EXCLUDE, REPLACE, RENAME, LIKE 'a%', COLUMNS('pattern')."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from tensorsql.errors import BindError, nearest
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.scope import Columns, Scope
from tensorsql.planner.plans.expressions import Expression

Item = tuple[str, Expression]
Test = Callable[[pa.Array, str], pa.Array]


def _like(names: pa.Array, pattern: str) -> pa.Array:
    return pc.match_like(names, pattern)


def _ilike(names: pa.Array, pattern: str) -> pa.Array:
    return pc.match_like(names, pattern, ignore_case=True)


def _similar(names: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(names, rf"\A(?:{pattern})\z")


def _searched(names: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(names, pattern)


# `* LIKE 'a%'` keeps the columns whose names pass.
TESTS: dict[type[exp.Expr], Test] = {
    exp.Like: _like,
    exp.ILike: _ilike,
    exp.SimilarTo: _similar,
}


def is_star(node: exp.Expr) -> bool:
    """Whether a select item stands for several columns."""
    inner = node.this if isinstance(node, exp.Not) else node
    inner = inner.this if type(inner) in TESTS else inner
    named = isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)
    return named or isinstance(inner, exp.Star) or _is_columns(inner)


def expand(scope: Scope, node: exp.Expr, bind: Callable[[exp.Expr], Expression]) -> list[Item]:
    """The columns a star stands for, by name."""
    negated = isinstance(node, exp.Not)
    inner = node.this if negated else node
    if (test := TESTS.get(type(inner))) is not None:
        items = expand(scope, inner.this, bind)
        return _matching(items, test, inner.expression, negated)
    if not _is_columns(node):
        return _listed(scope, node, bind)
    argument = node.expressions[0] if len(node.expressions) == 1 else None
    if isinstance(argument, exp.Star):
        return _listed(scope, argument, bind)
    every = [(name, field.ref()) for name, field in scope.tables.columns]
    return _matching(every, _searched, argument or node)


def _is_columns(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "columns"


def _listed(scope: Scope, node: exp.Expr, bind: Callable[[exp.Expr], Expression]) -> list[Item]:
    star = node.this if isinstance(node, exp.Column) else node
    columns = _columns(scope, node)
    names = [name.lower() for name, _ in columns]
    excluded = {item.name.lower() for item in star.args.get("except_") or []}
    replaced = {item.alias.lower(): item.this for item in star.args.get("replace") or []}
    renamed = {item.this.name.lower(): item.alias for item in star.args.get("rename") or []}
    present = set(names)
    for name in (*excluded, *replaced, *renamed):
        if name not in present:
            raise BindError(f'column "{name}" of the star list not found{nearest(name, names)}')
    items = [
        (
            renamed.get(name.lower(), name),
            bind(replaced[name.lower()]) if name.lower() in replaced else field.ref(),
        )
        for name, field in columns
        if name.lower() not in excluded
    ]
    pattern = star.args.get("ilike")
    return items if pattern is None else _matching(items, _ilike, pattern)


def _columns(scope: Scope, node: exp.Expr) -> Columns:
    if isinstance(node, exp.Column):
        alias = node.table
        item = scope.tables.item(alias)
        if item is None:
            names = [item.alias for item in scope.tables.items]
            raise BindError(
                f'table "{alias}" not found in FROM{nearest(alias, names)}', position(node)
            )
        return item.columns
    if not scope.tables.items:
        raise BindError("a star needs a FROM clause")
    return scope.tables.columns


def _matching(
    items: Sequence[Item], test: Test, node: exp.Expr, negated: bool = False
) -> list[Item]:
    """The items whose names pass the test with a pattern, or do not pass it."""
    if not isinstance(node, exp.Literal) or not node.is_string:
        raise BindError("columns are chosen by a star or by a pattern in quotes", position(node))
    pattern = node.name
    try:
        passed = test(pa.array([name for name, _ in items], pa.string()), pattern).to_pylist()
    except pa.ArrowInvalid as problem:
        raise BindError(f"not a pattern: {str(problem).lower()}", position(node)) from None
    matching = [item for item, there in zip(items, passed, strict=True) if there != negated]
    if not matching:
        raise BindError(f"no column matches '{pattern}'", position(node))
    return matching
