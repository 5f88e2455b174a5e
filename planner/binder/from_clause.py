"""FROM: tables, views, files, subqueries, table functions and the joins between them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from tensorsql.errors import UnsupportedError
from tensorsql.parser.dialect import position, text_of
from tensorsql.planner.binder import joins, table_functions
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.scope import EMPTY, FromItem, Scope, Tables, named_columns, tables_of
from tensorsql.planner.binder.tables import alias_of, bind_table


def bind_from(node: exp.Select, environment: Environment, outer: Scope | None) -> Tables:
    """The FROM clause and its joins; one row without columns if there is none."""
    clause = node.args.get("from_")
    if clause is None:
        return EMPTY
    return bind_joined(clause.this, node.args.get("joins") or [], environment, outer)


def bind_joined(
    first: exp.Expr, rest: Sequence[exp.Join], environment: Environment, outer: Scope | None
) -> Tables:
    """A table and the tables joined to it, left to right; JOIN binds closer than a comma."""
    tables = bind_item(first, environment, outer)
    return bind_joins(tables, [*(first.args.get("joins") or []), *rest], environment, outer)


def bind_joins(
    tables: Tables, nodes: Sequence[exp.Join], environment: Environment, outer: Scope | None
) -> Tables:
    """`tables` joined with one item after the other."""
    for node, closer in joins.by_comma(nodes):
        joins.join_kind(node)  # tells of joins that there are not before their tables are bound
        # As in DuckDB an item may read the ones before it, with or without the word LATERAL.
        right = bind_joined(node.this, closer, environment, Scope(tables, outer))
        tables = joins.bind_join(tables, right, node, environment, outer)
    return tables


def bind_item(node: exp.Expr, environment: Environment, outer: Scope | None) -> Tables:
    """One item of a FROM clause under its alias. `outer` sees the items before it."""
    match node:
        case exp.Table() if isinstance(node.this, (exp.Unnest, exp.Values)):
            return bind_item(node.this, environment, outer)
        case exp.Table() if isinstance(node.this, (exp.Anonymous, exp.Func)):
            return table_functions.bind_call(node, bind_item, environment, outer)
        case exp.Table():
            return bind_table(node, environment)
        case exp.Unnest():
            return table_functions.bind_unnest(node, environment, outer)
        case exp.Subquery() if _is_join(node):
            return _parenthesized(node, environment, outer)
        case exp.Subquery() | exp.Values():
            return _derived(node, environment, outer)
    raise UnsupportedError(f"{text_of(node)} is not supported in FROM", position(node))


def _is_join(node: exp.Expr) -> bool:
    """Whether it is tables in parentheses, not a query."""
    inner = node.this
    if isinstance(inner, exp.Subquery):
        return not node.args.get("alias") or bool(inner.args.get("joins")) or _is_join(inner)
    return isinstance(inner, exp.Table)


def _parenthesized(node: exp.Subquery, environment: Environment, outer: Scope | None) -> Tables:
    """`(a JOIN b ON …)`: the tables inside keep their names, unless an alias hides them."""
    tables = bind_joined(node.this, [], environment, outer)
    alias, names = alias_of(node)
    if not alias:
        return tables
    columns = named_columns(tuple(field for _, field in tables.columns), alias, names)
    return Tables(tables.plan, (FromItem(alias, columns),), columns)


def _derived(node: exp.Expr, environment: Environment, outer: Scope | None) -> Tables:
    alias, names = alias_of(node)
    plan = environment.query(node, outer)
    return tables_of(plan, alias or "unnamed_subquery", names)
