"""Table functions: a name → bind function registry."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from tensorsql.errors import BindError, Error, UnsupportedError, nearest
from tensorsql.parser.dialect import position
from tensorsql.planner.binder import neurons
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.models import (
    find_model,
    inputs_by_name,
    predict_call,
    prediction_type,
)
from tensorsql.planner.binder.scope import NOTHING, FromItem, Scope, Tables, tables_of
from tensorsql.planner.binder.subqueries import plant
from tensorsql.planner.binder.table_arguments import BindItem, TableArguments, table_arguments
from tensorsql.planner.binder.tables import alias_of, scan
from tensorsql.planner.binder.types import type_of_text
from tensorsql.planner.functions.resolve import cast, resolve
from tensorsql.planner.plans.expressions import Expression, Literal
from tensorsql.planner.plans.logical import Filter, Project, Unnest
from tensorsql.planner.plans.plan import Plan, new_field
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import BIGINT, Kind, Type
from tensorsql.storage.formats import READERS
from tensorsql.storage.formats.options import is_names
from tensorsql.storage.tables.catalog import Relation


def bind_call(
    node: exp.Expr, bind_item: BindItem, environment: Environment, outer: Scope | None
) -> Tables:
    """`f(…)` in FROM, under its alias; BindError with the nearest names for an unknown function."""
    call = node.this
    name = call.name.lower()
    bind = TABLE_FUNCTIONS.get(name)
    if bind is None:
        hint = nearest(name, TABLE_FUNCTIONS)
        raise BindError(f'table function "{name}" not found{hint}', position(call))
    try:
        plan = bind(table_arguments(call, bind_item, environment, outer))
    except Error as error:
        if error.position is None:
            error.position = position(call)
        raise
    alias, names = alias_of(node)
    if not alias or names or len(plan.fields) != 1 or name not in NAMED_AFTER_ALIAS:
        return tables_of(plan, alias or name, names)
    return _named_after_alias(plan, alias, name)


def _named_after_alias(plan: Plan, alias: str, name: str) -> Tables:
    """One column, shown under the alias and known by the function's name as well."""
    tables = tables_of(plan, alias, (alias,))
    source = FromItem(alias, tables.columns, ((name, plan.fields[0]),))
    return Tables(plan, (source,), tables.columns)


def read_files(arguments: TableArguments) -> Plan:
    """`read_csv('glob', header => true)`: a scan of the files; the reader checks its options."""
    if len(arguments.positional) != 1:
        raise BindError(f"{arguments.function} takes one path, then name => value options")
    path = arguments.value(arguments.positional[0], "the path")
    paths = path if isinstance(path, tuple) else (path,)
    if not all(isinstance(each, str) for each in paths):
        raise BindError(f"{arguments.function} takes a path in quotes or a list of them")
    options = {
        name: _column_types(arguments, node) if name == "columns" else arguments.constant(name)
        for name, node in arguments.named.items()
    }
    relation = arguments.environment.catalog.file_relation(arguments.function, path, options)
    return _declared(_readable(relation), dict(options.get("columns") or ()))


def _readable(relation: Relation) -> Plan:
    """The rows of a relation without those that turn out to be unreadable, if it asks for that."""
    plan = scan(relation)
    doubtful = [field.ref() for field, name in plan.columns if name == relation.doubtful]
    return Filter(plan, resolve("is_readable", list(doubtful))) if doubtful else plan


def _column_types(arguments: TableArguments, node: exp.Expr) -> dict[str, Type]:
    """What `columns = {'id': 'INTEGER', 'name': 'VARCHAR'}` says."""
    bound = arguments.binder.bind(node)
    kinds = [kind for _, kind in bound.type.fields]
    if not isinstance(bound, Literal) or not kinds or any(not kind.is_text for kind in kinds):
        raise BindError(
            f"columns of {arguments.function} is as in {{'id': 'INTEGER', 'name': 'VARCHAR'}}",
            position(node),
        )
    names = [name for name, _ in bound.type.fields]
    if not is_names(names):
        raise BindError(f"columns of {arguments.function} names a column twice", position(node))
    return {n: type_of_text(str(text)) for n, text in zip(names, bound.value, strict=True)}


def _declared(plan: Plan, declared: dict[str, Type]) -> Plan:
    """The columns cast to the types that `columns` declares: their reader leaves them as text."""
    if not declared:
        return plan
    kinds = {name.lower(): type for name, type in declared.items()}
    fields = [
        new_field(field.name, kinds.get(field.name.lower(), field.type)) for field in plan.fields
    ]
    pairs = zip(fields, plan.fields, strict=True)
    return Project(plan, tuple((field, cast(own.ref(), field.type)) for field, own in pairs))


def series(arguments: TableArguments) -> Plan:
    """`range(stop)`, `range(start, stop[, step])`; generate_series includes its end."""
    arguments.check(3, ())
    function, place = arguments.function, position(arguments.node)
    if not arguments.positional:
        raise BindError(f"{function} takes 1 to 3 integers", place)
    what = function.upper()
    ends = [arguments.binder.row_value(node, what) for node in arguments.positional]
    return unnested(resolve(function, ends, place), function)


def unnested(value: Expression, name: str, ordinality: str | None = None) -> Plan:
    """One row per element of a list."""
    if value.type.kind not in (Kind.LIST, Kind.NULL):
        raise BindError(f"unnest takes a list, not {value.type}")
    base, (planted,) = plant(NOTHING, [value])
    element = new_field(name, value.type.child or types.NULL)
    order = None if ordinality is None else new_field(ordinality, BIGINT)
    return Unnest(base, element, planted, order)


def unnest(arguments: TableArguments) -> Plan:
    """`unnest(list)` in FROM."""
    arguments.check(1, ())
    if not arguments.positional:
        raise BindError("unnest takes a list")
    return unnested(arguments.binder.row_value(arguments.positional[0], "UNNEST"), "unnest")


def bind_unnest(node: exp.Unnest, environment: Environment, outer: Scope | None) -> Tables:
    """`UNNEST(list) [WITH ORDINALITY] AS t(x)`."""
    if len(node.expressions) != 1:
        raise UnsupportedError("UNNEST takes one list", position(node))
    binder = ExpressionBinder(environment, Scope(outer=outer))
    value = binder.row_value(node.expressions[0], "UNNEST")
    plan = unnested(value, "unnest", "ordinality" if node.args.get("offset") else None)
    alias, names = alias_of(node)
    if not alias or names:
        return tables_of(plan, alias or "unnest", names)
    if len(plan.fields) > 1:
        return tables_of(plan, alias, (alias,))
    return _named_after_alias(plan, alias, "unnest")


def predict(arguments: TableArguments) -> Plan:
    """`PREDICT(MODEL = m, DATA = t)`: the rows of t, and `prediction`."""
    arguments.check(0, ("model", "data"))
    model = find_model(arguments.environment, arguments.required("model"))
    tables = arguments.data()
    columns: dict[str, Expression] = {name: field.ref() for name, field in tables.columns}
    inputs = inputs_by_name(model, columns)
    call = predict_call("predict", model, inputs, prediction_type(model))
    taken = {name.lower() for name in columns}
    name = "prediction" if "prediction" not in taken else "prediction_1"
    own = tuple((field, field.ref()) for _, field in tables.columns)
    return Project(tables.plan, (*own, (new_field(name, call.type), call)))


BindTableFunction = Callable[[TableArguments], Plan]
# DuckDB names the one column of these after the alias: `FROM range(3) r` has a column r.
NAMED_AFTER_ALIAS = ("range", "generate_series", "unnest")
TABLE_FUNCTIONS: dict[str, BindTableFunction] = {
    **dict.fromkeys(READERS, read_files),
    "range": series,
    "generate_series": series,
    "unnest": unnest,
    "predict": predict,
    "topk_similar": neurons.topk_similar,
    "topk_highest": neurons.topk_highest,
    "activations": neurons.activations,
}
