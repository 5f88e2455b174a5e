"""CREATE and DROP of tables, views, models and indexes; COPY."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlglot import exp

from tensorsql.errors import BindError, CatalogError, UnsupportedError, nearest
from tensorsql.parser import syntax
from tensorsql.parser.dialect import position, stored_text, text_of
from tensorsql.planner.binder.dml import bind_default, bind_insert_plan, target_relation
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.queries import casted
from tensorsql.planner.binder.scope import Scope, named_columns, renamed
from tensorsql.planner.binder.tables import scan, table_name
from tensorsql.planner.binder.types import bind_type
from tensorsql.planner.binder.unread import words_of
from tensorsql.planner.functions.casts import can_cast
from tensorsql.planner.plans.bound_statements import (
    BoundStatement,
    CopyTo,
    CreateIndex,
    CreateModel,
    CreateTable,
    CreateView,
    Drop,
    Insert,
    Options,
    Query,
)
from tensorsql.planner.plans.expressions import Literal
from tensorsql.planner.plans.logical import Limit
from tensorsql.planner.plans.plan import Plan
from tensorsql.storage.columns.types import INTEGER, VARCHAR, Kind, Type
from tensorsql.storage.formats import format_option, reader_of, writer_of
from tensorsql.storage.tables.catalog import ColumnSchema, TableSchema

_TABLE_SAYS = {"columns", "names", "all_varchar"}
_WRITTEN_AS_TEXT = (Kind.INTERVAL, Kind.BLOB)
_NESTED = (Kind.LIST, Kind.STRUCT, Kind.BOX, Kind.TENSOR)


def option_values(node: exp.Expression, environment: Environment) -> Options:
    """The options of a statement as Python values; a bare word is text."""
    options = syntax.options(node)
    return tuple((name, constant(value, environment)) for name, value in options.items())


def constant(node: exp.Expr, environment: Environment) -> Any:
    """The Python value of a constant expression; a bare word is text."""
    if isinstance(node, exp.Var) or (isinstance(node, exp.Column) and len(node.parts) == 1):
        return node.name
    bound = ExpressionBinder(environment, Scope()).bind(node)
    if not isinstance(bound, Literal):
        raise BindError(f"{text_of(node)} is not a constant", position(node))
    return bound.value


def bind_create(node: exp.Create, environment: Environment) -> BoundStatement:
    """CREATE TABLE, CREATE TABLE … AS, CREATE VIEW."""
    kind = (node.kind or "").upper()
    if kind == "VIEW":
        return _view(node, environment)
    if kind != "TABLE":
        raise UnsupportedError(f"CREATE {kind} is not supported")
    replace, exists = bool(node.args.get("replace")), bool(node.args.get("exists"))
    if node.expression is not None:
        schema, plan = _table_as(node, environment)
        return CreateTable(schema, plan, replace, exists)
    return CreateTable(_schema(node.this, environment), None, replace, exists)


def new_name(node: exp.Table) -> str:
    """The name of a table or view to be created; BindError for one in a schema but `main`."""
    schema = node.args.get("db")
    if schema is not None and schema.name.lower() != "main":
        raise BindError(f'schema "{schema.name}" not found; tables are in "main"', position(schema))
    return str(node.name)


def _table_as(node: exp.Create, environment: Environment) -> tuple[TableSchema, Plan]:
    target = node.this
    names: tuple[str, ...] = ()
    if isinstance(target, exp.Schema):
        names, target = tuple(item.name for item in target.expressions), target.this
    plan = environment.query(node.expression)
    name = new_name(target)
    plan = renamed(plan, named_columns(plan.fields, name, names))
    columns = tuple(
        ColumnSchema(field.name, INTEGER if field.type.kind is Kind.NULL else field.type)
        for field in plan.fields
    )
    plan = casted(plan, [column.type for column in columns])
    if _without_data(node):
        plan = Limit(plan, 0)
    return _checked(TableSchema(name, columns)), plan


def _without_data(node: exp.Create) -> bool:
    """Whether WITH NO DATA is written."""
    properties = node.args.get("properties")
    clauses = [] if properties is None else properties.expressions
    for item in clauses:
        if not isinstance(item, exp.WithDataProperty):
            raise UnsupportedError(f"{words_of(item)} is not supported", position(node))
    return any(item.args.get("no") for item in clauses)


def _checked(schema: TableSchema) -> TableSchema:
    seen: set[str] = set()
    for column in schema.columns:
        if column.name.lower() in seen:
            raise BindError(
                f'table {schema.name} has two columns "{column.name}"; give one an alias'
            )
        seen.add(column.name.lower())
    return schema


def _schema(node: exp.Schema, environment: Environment) -> TableSchema:
    columns: list[ColumnSchema] = []
    primary: tuple[str, ...] = ()
    unique: list[tuple[str, ...]] = []
    for item in node.expressions:
        if isinstance(item, exp.ColumnDef):
            column, keys = _column(item, environment)
            columns.append(column)
            primary = (column.name,) if "primary" in keys else primary
            unique += [(column.name,)] if "unique" in keys else []
            continue
        if isinstance(item, exp.Identifier):
            raise BindError(f'column "{item.name}" needs a type', position(item))
        constraint = item.expressions[0] if isinstance(item, exp.Constraint) else item
        names = tuple(part.name for part in _key_columns(constraint))
        if isinstance(constraint, exp.PrimaryKey):
            primary = names
        elif isinstance(constraint, exp.UniqueColumnConstraint):
            unique.append(names)
        else:
            raise UnsupportedError(f"{text_of(item)} is not supported", position(item))
    schema = _checked(TableSchema(new_name(node.this), tuple(columns), primary, tuple(unique)))
    return _with_keys(schema)


def _key_columns(node: exp.Expr) -> list[exp.Expr]:
    inner = node.this
    node.args.get("include")  # empty, or its own arguments are refused
    return list(node.expressions or (inner.expressions if isinstance(inner, exp.Schema) else []))


def _with_keys(schema: TableSchema) -> TableSchema:
    """Key columns exist; those of the primary key are NOT NULL."""
    names = [column.name for column in schema.columns]
    for name in (*schema.primary_key, *(name for key in schema.unique for name in key)):
        if schema.column(name) is None:
            raise BindError(f'key column "{name}" not found in {schema.name}{nearest(name, names)}')
    keys = {name.lower() for name in schema.primary_key}
    columns = tuple(
        ColumnSchema(item.name, item.type, item.not_null or item.name.lower() in keys, item.default)
        for item in schema.columns
    )
    return TableSchema(schema.name, columns, schema.primary_key, schema.unique)


def _column(node: exp.ColumnDef, environment: Environment) -> tuple[ColumnSchema, set[str]]:
    kind = node.args.get("kind")
    if kind is None:
        raise BindError(f'column "{node.name}" needs a type', position(node))
    not_null, keys = False, set()
    default: exp.Expr | None = None
    for item in node.args.get("constraints") or []:
        match item.kind:
            case exp.NotNullColumnConstraint():
                not_null = not item.kind.args.get("allow_null")
            case exp.DefaultColumnConstraint():
                default = item.kind.this
            case exp.PrimaryKeyColumnConstraint():
                keys.add("primary")
            case exp.UniqueColumnConstraint():
                keys.add("unique")
            case _:
                raise UnsupportedError(f"{words_of(item.kind)} is not supported", position(node))
    text = None if default is None else stored_text(default)
    column = ColumnSchema(node.name, bind_type(kind), not_null, text)
    if default is not None:
        bind_default(default, column, environment)
    return column, keys


def _view(node: exp.Create, environment: Environment) -> CreateView:
    target = node.this
    names: tuple[str, ...] = ()
    if isinstance(target, exp.Schema):
        names, target = tuple(item.name for item in target.expressions), target.this
    if any(node.expression.find_all(exp.Placeholder)):
        raise BindError("a view cannot have parameters")
    name = new_name(target)
    plan = environment.query(node.expression)
    named_columns(plan.fields, name, names)
    replace, exists = bool(node.args.get("replace")), bool(node.args.get("exists"))
    return CreateView(name, stored_text(node.expression), names, replace, exists)


def bind_drop(node: exp.Drop, environment: Environment) -> Drop:
    """DROP TABLE and DROP VIEW, which must exist unless IF EXISTS says otherwise."""
    kind = (node.args.get("kind") or "").lower()
    targets = node.args.get("tables") or ([node.this] if node.this is not None else [])
    if kind not in ("table", "view") or len(targets) != 1:
        raise UnsupportedError(f"DROP {kind.upper()} takes one table or view", position(node))
    name, exists = table_name(targets[0]), bool(node.args.get("exists"))
    for key in ("cascade", "restrict"):
        node.args.get(key)  # nothing depends on a table or a view
    catalog = environment.catalog
    tables, views = list(catalog.table_names()), list(catalog.view_names())
    own, other = (tables, views) if kind == "table" else (views, tables)
    if name.lower() in {item.lower() for item in other}:
        actual = "view" if kind == "table" else "table"
        raise CatalogError(
            f'"{name}" is a {actual}; write DROP {actual.upper()}', position(targets[0])
        )
    return _drop("table" if kind == "table" else "view", name, exists, own, targets[0])


def _drop(kind: Any, name: str, if_exists: bool, names: list[str], node: exp.Expr) -> Drop:
    if not if_exists and name.lower() not in {item.lower() for item in names}:
        raise CatalogError(f'{kind} "{name}" not found{nearest(name, names)}', position(node))
    return Drop(kind, name, if_exists)


def bind_drop_model(node: syntax.DropModel, environment: Environment) -> Drop:
    """DROP MODEL."""
    names = list(environment.catalog.model_names())
    return _drop("model", node.name, bool(node.args.get("exists")), names, node.this)


def bind_drop_index(node: syntax.DropIndex, environment: Environment) -> Drop:
    """DROP INDEX."""
    names = list(environment.catalog.index_names())
    return _drop("index", node.name, bool(node.args.get("exists")), names, node.this)


def bind_create_model(node: syntax.CreateModel, environment: Environment) -> CreateModel:
    """CREATE MODEL; the file is read when the statement runs."""
    return CreateModel(
        node.name,
        node.args["source"].name,
        option_values(node, environment),
        bool(node.args.get("replace")),
        bool(node.args.get("if_not_exists")),
    )


def bind_create_index(node: syntax.CreateMethodIndex, environment: Environment) -> CreateIndex:
    """CREATE INDEX … USING method; the method checks its arguments and options."""
    relation = target_relation(node.args["table"], environment)
    arguments = tuple(str(constant(item, environment)) for item in node.args.get("arguments") or [])
    return CreateIndex(
        node.name,
        relation,
        node.args["method"].name,
        arguments,
        option_values(node, environment),
        bool(node.args.get("replace")),
        bool(node.args.get("if_not_exists")),
    )


def bind_copy(node: syntax.CopyStatement, environment: Environment) -> BoundStatement:
    """COPY … TO a file; COPY t FROM a file is an INSERT of the file's rows."""
    path = str(constant(node.args["path"], environment))
    options = option_values(node, environment)
    if node.args["direction"] == "to":
        query = _copied(node, environment)
        writer = writer_of(path, format_option(dict(options)))
        if writer.textual:
            query = replace(query, plan=_texts(query.plan, writer.flat))
        return CopyTo(query, path, options)
    return _copy_from(node, path, dict(options), environment)


def _copied(node: syntax.CopyStatement, environment: Environment) -> Query:
    source = node.this
    if isinstance(source, exp.Table):
        columns: list[exp.Expr] = [exp.Column(this=item) for item in node.args.get("columns") or []]
        source = exp.Select(expressions=columns or [exp.Star()], from_=exp.From(this=source))
    plan = environment.query(source)
    return Query(plan, tuple(field.name for field in plan.fields))


def _texts(plan: Plan, flat: bool) -> Plan:
    """The plan's columns, with text for what the format has no other form for."""
    return casted(plan, [_written(field.type, flat) for field in plan.fields])


def _written(kind: Type, flat: bool) -> Type:
    if kind.kind in _WRITTEN_AS_TEXT or (flat and kind.kind in _NESTED and can_cast(kind, VARCHAR)):
        return VARCHAR
    child = None if kind.child is None else _written(kind.child, flat)
    fields = tuple((name, _written(field, flat)) for name, field in kind.fields)
    return replace(kind, child=child, fields=fields)


def _copy_from(
    node: syntax.CopyStatement, path: str, options: dict[str, Any], environment: Environment
) -> Insert:
    relation = target_relation(node.this, environment)
    names = [item.name for item in node.args.get("columns") or []]
    format = reader_of(path, format_option(options))
    options.pop("format", None)
    if format.textual:
        for name in _TABLE_SAYS & options.keys():
            raise BindError(
                f'COPY FROM has no option "{name}": the table says names and types; '
                "name its columns as in COPY t (a, b) FROM …",
                position(node),
            )
        wanted = (
            [relation.schema.column(name) for name in names] if names else relation.schema.columns
        )
        # The table knows its types better than a sample of the text does.
        options["columns"] = tuple((c.name, c.type) for c in wanted if c is not None)
    source = environment.catalog.file_relation(format.readers[0], path, options)
    return Insert(relation, bind_insert_plan(scan(source), names, relation, node, environment))
