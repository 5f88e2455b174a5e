"""FROM: tables, views, files, subqueries, table functions and the joins between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sqlglot import exp

from tensorsql.errors import BindError, CatalogError, Error, UnsupportedError, nearest
from tensorsql.parser.dialect import parse, position, text_of
from tensorsql.planner.binder import joins, table_functions
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.scope import (
    EMPTY,
    ROW_ID,
    FromItem,
    Scope,
    Tables,
    named_columns,
    tables_of,
)
from tensorsql.planner.binder.unread import refuse_unread
from tensorsql.planner.plans.logical import Scan
from tensorsql.planner.plans.plan import Plan, new_field
from tensorsql.storage.columns.types import BIGINT
from tensorsql.storage.formats import named_format
from tensorsql.storage.tables.catalog import Relation, ViewEntry


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
    for join, closer in joins.by_comma([*(first.args.get("joins") or []), *rest]):
        tables = joins.bind_join(tables, join, environment, outer, closer)
    return tables


def bind_item(node: exp.Expr, environment: Environment, outer: Scope | None) -> Tables:
    """One item of a FROM clause under its alias. `outer` sees the items before it."""
    match node:
        case exp.Table() if isinstance(node.this, (exp.Unnest, exp.Values)):
            return bind_item(node.this, environment, outer)
        case exp.Table() if isinstance(node.this, (exp.Anonymous, exp.Func)):
            return table_functions.bind_call(node, node.this, environment, outer)
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


def alias_of(node: exp.Expr) -> tuple[str, tuple[str, ...]]:
    """The alias and the column names of an item, empty where there are none."""
    return node.alias, tuple(node.alias_column_names)


def _parenthesized(node: exp.Subquery, environment: Environment, outer: Scope | None) -> Tables:
    """`(a JOIN b ON …)`: the tables inside keep their names, unless an alias hides them."""
    tables = bind_joined(node.this, [], environment, outer)
    alias, names = alias_of(node)
    if not alias:
        return tables
    columns = named_columns(tuple(field for _, field in tables.columns), alias, names)
    return Tables(tables.plan, (FromItem(alias, columns),), columns)


def _derived(node: exp.Expr, environment: Environment, outer: Scope | None) -> Tables:
    from tensorsql.planner.binder.queries import bind_query  # a query has a FROM clause

    alias, names = alias_of(node)
    plan = bind_query(node, environment, outer)
    return tables_of(plan, alias or "unnamed_subquery", names)


def bind_table(node: exp.Table, environment: Environment) -> Tables:
    """A CTE, view, table, Python object or file, by name."""
    alias, names = alias_of(node)
    plan = named_plan(node, environment)
    if isinstance(plan, Scan) and plan.relation.identity is not None and environment.words.row_id:
        plan = with_row_id(plan)
    return tables_of(plan, alias or node.name, names)


def named_plan(node: exp.Table, environment: Environment) -> Plan:
    """The rows of what a table name means; CatalogError with the nearest names."""
    name = table_name(node)
    common = environment.common_tables.get(name.lower())
    if common is not None and not node.args.get("db"):
        return common.plan()
    view = environment.catalog.view(name)
    if view is not None:
        return bind_view(view, environment)
    relation = environment.catalog.relation(name) or environment.catalog.replacement(name)
    if relation is None and node.this.quoted:
        relation = _file(name, environment)
    if relation is None:
        raise missing_table(node, environment)
    return scan(relation, alias_of(node)[0] or name)


def table_name(node: exp.Table) -> str:
    """The table's name; `main` is the only schema."""
    schema = node.args.get("db")
    if schema is None or schema.name.lower() == "main":
        return str(node.name)
    return f"{schema.name}.{node.name}"


def missing_table(node: exp.Table, environment: Environment) -> CatalogError:
    """The error for a name nothing has."""
    name = table_name(node)
    known = [*environment.catalog.table_names(), *environment.catalog.view_names()]
    known += [table.name for table in environment.common_tables.values()]
    return CatalogError(f'table "{name}" not found{nearest(name, known)}', position(node))


def _file(name: str, environment: Environment) -> Relation | None:
    found = named_format(name)
    if found is None:
        return None
    return environment.catalog.file_relation(found.readers[0], name, {})


def scan(relation: Relation, alias: str = "") -> Scan:
    """Every column of a relation; pruning takes away the unread."""
    columns = tuple(
        (new_field(column.name, column.type), column.name) for column in relation.schema.columns
    )
    return Scan(relation, columns, alias=alias or relation.name)


def with_row_id(plan: Scan) -> Scan:
    """The scan with the numbers that name its table's rows."""
    return dataclasses.replace(plan, row_id=new_field(ROW_ID, BIGINT))


def bind_view(view: ViewEntry, environment: Environment) -> Plan:
    """A view's text, bound in place."""
    from tensorsql.planner.binder.queries import bind_query, renamed

    if view.name.lower() in environment.views:
        raise BindError(f'view "{view.name}" is defined by itself')
    (tree,) = parse(view.sql)
    try:
        plan = bind_query(tree, environment.for_view(view.name, tree))
        refuse_unread(tree)
    except Error as error:
        # The place is one in the view's text, not in the statement the user wrote.
        raise type(error)(f'view "{view.name}" is broken: {error.message}') from None
    return renamed(plan, named_columns(plan.fields, view.name, view.columns))
