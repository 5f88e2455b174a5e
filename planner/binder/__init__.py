"""Binding: syntax trees to plans; names become columns, subqueries dependent joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from tensorsql.nesting import nesting
from tensorsql.planner.binder.catalog import BindCatalog
from tensorsql.planner.binder.environment import Environment, Words
from tensorsql.planner.binder.parameters import Parameters
from tensorsql.planner.binder.queries import bind_query
from tensorsql.planner.binder.statements import bind_statement
from tensorsql.planner.binder.unread import refuse_unread
from tensorsql.planner.plans.statements import BoundStatement

__all__ = ["BindCatalog", "bind"]


@nesting
def bind(
    statement: exp.Expr,
    catalog: BindCatalog,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> BoundStatement:
    """The statement with every name resolved against one catalog snapshot and every type checked.

    Errors are BindError, CatalogError, TypeMismatchError or UnsupportedError, with a position.
    """
    values = Parameters(statement, parameters)
    environment = Environment(
        catalog, values, settings or {}, Words(statement, parameters), bind_query
    )
    bound = bind_statement(statement, environment)
    refuse_unread(statement)
    return bound
