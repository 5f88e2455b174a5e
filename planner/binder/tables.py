"""What the name of a table means: a CTE, view, table, Python object or file."""

from __future__ import annotations

import dataclasses

from sqlglot import exp

from tensorsql.errors import BindError, CatalogError, Error, nearest
from tensorsql.parser.dialect import parse, position
from tensorsql.parser.door import first_unread
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.scope import ROW_ID, Tables, named_columns, renamed, tables_of
from tensorsql.planner.binder.unread import unread_error
from tensorsql.planner.plans.logical import Scan
from tensorsql.planner.plans.plan import Plan, new_field
from tensorsql.storage.columns.types import BIGINT
from tensorsql.storage.formats import named_format
from tensorsql.storage.tables.catalog import Relation, ViewEntry


def alias_of(node: exp.Expr) -> tuple[str, tuple[str, ...]]:
    """The alias and the column names of an item, empty where there are none."""
    return node.alias, tuple(node.alias_column_names)


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
    names = [*environment.catalog.table_names(), *environment.catalog.view_names()]
    names += [table.name for table in environment.common_tables.values()]
    return CatalogError(f'table "{name}" not found{nearest(name, names)}', position(node))


def _file(name: str, environment: Environment) -> Relation | None:
    format = named_format(name)
    if format is None:
        return None
    return environment.catalog.file_relation(format.readers[0], name, {})


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
    if view.name.lower() in environment.views:
        raise BindError(f'view "{view.name}" is defined by itself')
    (tree,) = parse(view.sql)
    try:
        plan = environment.for_view(view.name, tree).query(tree)
        if unread := first_unread(tree):
            raise unread_error(*unread)
    except Error as error:
        # The place is one in the view's text, not in the statement the user wrote.
        raise type(error)(f'view "{view.name}" is broken: {error.message}') from None
    return renamed(plan, named_columns(plan.fields, view.name, view.columns))
