"""Statements: `bind`, and one function for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from tensorsql.errors import UnsupportedError
from tensorsql.nesting import nesting
from tensorsql.parser import syntax
from tensorsql.parser.dialect import position, text_of
from tensorsql.parser.door import first_unread
from tensorsql.planner.binder import ddl, describe, dml
from tensorsql.planner.binder.environment import Environment, SessionNames, Words
from tensorsql.planner.binder.parameters import Parameters
from tensorsql.planner.binder.queries import bind_query
from tensorsql.planner.binder.unread import unread_error
from tensorsql.planner.functions.signatures import SIGNATURES, Functions
from tensorsql.planner.plans.bound_statements import (
    Begin,
    BoundStatement,
    Checkpoint,
    Commit,
    Explain,
    IntegrityCheck,
    Query,
    Reset,
    Rollback,
    Set,
)


@nesting
def bind(
    statement: exp.Expr,
    catalog: SessionNames,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    functions: Functions = SIGNATURES,
) -> BoundStatement:
    """The statement with every name resolved against one catalog snapshot and every type checked.

    Errors are BindError, CatalogError, TypeMismatchError or UnsupportedError, with a position.
    """
    values, words = Parameters(statement, parameters), Words(statement, parameters)
    environment = Environment(catalog, values, settings or {}, words, bind_query, functions)
    bound = bind_statement(statement, environment)
    if unread := first_unread(statement):
        raise unread_error(*unread)
    return replace(bound, parameters=values.taken)


def bind_statement(node: exp.Expr, environment: Environment) -> BoundStatement:
    """The bound form of any statement; UnsupportedError for those tensorsql lacks."""
    if isinstance(node, (exp.Query, exp.Values)):
        plan = bind_query(node, environment)
        return Query(plan, tuple(field.name for field in plan.fields))
    bind = STATEMENTS.get(type(node))
    if bind is None:
        words = text_of(node).split(None, 1)[0].upper() if node else "this"
        raise UnsupportedError(f"{words} statements are not supported", position(node))
    return bind(node, environment)


def _explain(node: syntax.ExplainStatement, environment: Environment) -> Explain:
    return Explain(bind_statement(node.this, environment), bool(node.args.get("analyze")))


def _set(node: syntax.SetStatement, environment: Environment) -> Set:
    return Set(node.this.name, ddl.constant(node.args["value"], environment))


Bind = Callable[[Any, Environment], BoundStatement]
STATEMENTS: dict[type[exp.Expr], Bind] = {
    exp.Insert: dml.bind_insert,
    exp.Update: dml.bind_update,
    exp.Delete: dml.bind_delete,
    exp.Create: ddl.bind_create,
    exp.Drop: ddl.bind_drop,
    syntax.CreateModel: ddl.bind_create_model,
    syntax.DropModel: ddl.bind_drop_model,
    syntax.CreateMethodIndex: ddl.bind_create_index,
    syntax.DropIndex: ddl.bind_drop_index,
    syntax.CopyStatement: ddl.bind_copy,
    **describe.DESCRIPTIONS,
    syntax.ExplainStatement: _explain,
    syntax.SetStatement: _set,
    syntax.ResetStatement: lambda node, environment: Reset(node.name),
    syntax.Begin: lambda node, environment: Begin(),
    syntax.Commit: lambda node, environment: Commit(),
    syntax.Rollback: lambda node, environment: Rollback(),
    syntax.Checkpoint: lambda node, environment: Checkpoint(),
    syntax.IntegrityCheck: lambda node, environment: IntegrityCheck(),
}
