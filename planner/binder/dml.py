"""INSERT, UPDATE and DELETE: plans whose columns are the table's, in order and cast."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from tensorsql.errors import BindError, CatalogError, Error, UnsupportedError, nearest
from tensorsql.parser.dialect import parse, position, text_of
from tensorsql.parser.runs import LiteralRun
from tensorsql.planner.binder import runs
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.from_clause import bind_joins
from tensorsql.planner.binder.queries import bind_with, with_shared
from tensorsql.planner.binder.scope import NOTHING, Scope, Tables, tables_of
from tensorsql.planner.binder.subqueries import filtered, plant
from tensorsql.planner.binder.tables import missing_table, scan, table_name, with_row_id
from tensorsql.planner.functions.resolve import cast
from tensorsql.planner.plans.bound_statements import Delete, Insert, Update
from tensorsql.planner.plans.expressions import Expression, Literal
from tensorsql.planner.plans.logical import Distinct, LiteralRows, Project, Values
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.storage.columns import types
from tensorsql.storage.tables.catalog import ColumnSchema, Relation, TableSchema

REFUSED = {"returning": "RETURNING", "conflict": "ON CONFLICT", "alternative": "OR …"}


def bind_insert(node: exp.Insert, environment: Environment) -> Insert:
    """`INSERT INTO t (a, b) VALUES …`: columns not given take their default, or NULL."""
    for key, words in REFUSED.items():
        if node.args.get(key):
            raise UnsupportedError(f"{words} of INSERT is not supported", position(node))
    table = node.this.this if isinstance(node.this, exp.Schema) else node.this
    relation = target_relation(table, environment)
    names = (
        [item.name for item in node.this.expressions] if isinstance(node.this, exp.Schema) else []
    )
    if node.args.get("default"):
        return Insert(relation, _filled(NOTHING, relation.schema, {}, environment))
    inside, tables = bind_with(node, environment, None)
    source = node.expression
    if isinstance(source, exp.Values):
        plan = _inserted_values(source, _columns(relation.schema, names, node), relation, inside)
    else:
        plan = inside.query(source)
        if node.args.get("by_name"):
            names = [field.name for field in plan.fields]
        plan = bind_insert_plan(plan, names, relation, node, inside)
    return Insert(relation, with_shared(plan, tables))


def target_relation(node: exp.Table, environment: Environment) -> Relation:
    """The table a statement changes; CatalogError with the nearest names."""
    name = table_name(node)
    if not name:
        raise BindError(f"{text_of(node)} is no table that can be changed", position(node))
    if environment.catalog.view(name) is not None:
        raise CatalogError(f'"{name}" is a view, not a table', position(node))
    relation = environment.catalog.relation(name)
    if relation is None:
        raise missing_table(node, environment)
    if relation.identity is None:
        raise CatalogError(f'"{name}" is no stored table and cannot be changed', position(node))
    return relation


def _columns(schema: TableSchema, names: Sequence[str], node: exp.Expr) -> list[ColumnSchema]:
    if not names:
        return list(schema.columns)
    columns: list[ColumnSchema] = []
    for name in names:
        column = schema.column(name)
        if column is None:
            hint = nearest(name, [item.name for item in schema.columns])
            raise BindError(f'column "{name}" not found in {schema.name}{hint}', position(node))
        if column in columns:
            raise BindError(f'column "{name}" is given twice', position(node))
        columns.append(column)
    return columns


def _check_width(width: int, columns: list[ColumnSchema], relation: Relation) -> None:
    if width != len(columns):
        raise BindError(f"{relation.name} takes {len(columns)} values here, {width} were given")


def _inserted(
    plan: Plan, columns: list[ColumnSchema], relation: Relation, environment: Environment
) -> Plan:
    _check_width(len(plan.fields), columns, relation)
    values: dict[str, Expression] = {
        column.name: field.ref() for column, field in zip(columns, plan.fields, strict=True)
    }
    return _filled(plan, relation.schema, values, environment)


def bind_insert_plan(
    plan: Plan,
    names: Sequence[str],
    relation: Relation,
    node: exp.Expr,
    environment: Environment,
) -> Plan:
    """The rows of a plan as rows of the table: its columns are those named, or all."""
    return _inserted(plan, _columns(relation.schema, names, node), relation, environment)


def _inserted_values(
    node: exp.Values, columns: list[ColumnSchema], relation: Relation, environment: Environment
) -> Plan:
    """Rows of VALUES, each cell cast to its column right away, so that DEFAULT may be one."""
    if (run := runs.only_run(node.expressions)) is not None:
        at_once = runs.at_once(lambda: _inserted_literals(run, columns))
        if at_once is not None:
            return _inserted(at_once, columns, relation, environment)
    binder = ExpressionBinder(environment, Scope())
    nodes = runs.flattened(node.expressions)
    rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in nodes]
    cells: list[list[Expression]] = []
    for row in rows:
        _check_width(len(row), columns, relation)
        cells.append(
            [
                default_value(column, environment)
                if is_default(cell)
                else stored(binder.row_value(cell, "VALUES"), column, cell)
                for cell, column in zip(row, columns, strict=True)
            ]
        )
    base, flat = plant(NOTHING, [cell for row in cells for cell in row])
    width = len(columns)
    planted = tuple(tuple(flat[start : start + width]) for start in range(0, len(flat), width))
    pairs = zip(columns, planted[0], strict=True)
    fields = tuple(new_field(column.name, value.type) for column, value in pairs)
    if base is NOTHING:
        plan: Plan = Values(fields, planted)
    elif len(planted) == 1:
        plan = Project(base, tuple(zip(fields, planted[0], strict=True)))
    else:
        raise UnsupportedError("a subquery in VALUES of several rows; write UNION ALL instead")
    return _inserted(plan, columns, relation, environment)


def _inserted_literals(run: LiteralRun, columns: list[ColumnSchema]) -> Plan | None:
    literals = runs.columns(run)
    if len(literals) != len(columns):
        return None
    fields = tuple(new_field(column.name, column.type) for column in columns)
    pairs = zip(literals, columns, strict=True)
    values = tuple(tuple(each.converted(column.type)) for each, column in pairs)
    return LiteralRows(fields, values, len(values[0]))


def is_default(node: exp.Expr) -> bool:
    """Whether a value is the word DEFAULT."""
    return (
        isinstance(node, (exp.Var, exp.Column))
        and node.name.upper() == "DEFAULT"
        and (not isinstance(node, exp.Column) or len(node.parts) == 1)
    )


def default_value(column: ColumnSchema, environment: Environment) -> Expression:
    """A column's default as an expression; NULL if it has none."""
    if column.default is None:
        return cast(Literal(types.NULL, None), column.type)
    (tree,) = parse(f"SELECT {column.default}")
    try:
        return bind_default(tree.expressions[0], column, environment)
    except Error as error:
        # The place is one in the text of the default.
        raise type(error)(error.message) from None


def bind_default(node: exp.Expr, column: ColumnSchema, environment: Environment) -> Expression:
    """The expression behind DEFAULT, as the column stores it."""
    binder = ExpressionBinder(environment, Scope())
    try:
        return cast(binder.row_value(node, "DEFAULT"), column.type)
    except Error as error:
        error.message = f'the default of column "{column.name}": {error.message}'
        raise


def stored(value: Expression, column: ColumnSchema, node: exp.Expr) -> Expression:
    """A value as the column stores it; the error names the column."""
    try:
        return cast(value, column.type)
    except Error as error:
        message = f'column "{column.name}" is {column.type}, the value {value.type}'
        raise BindError(message, position(node)) from error


def _filled(
    plan: Plan, schema: TableSchema, values: dict[str, Expression], environment: Environment
) -> Plan:
    """Every column of the table: what is given, cast, else the default."""
    assignments: list[tuple[Field, Expression]] = []
    for column in schema.columns:
        value = values.get(column.name)
        expression = (
            default_value(column, environment) if value is None else cast(value, column.type)
        )
        assignments.append((new_field(column.name, expression.type), expression))
    return Project(plan, tuple(assignments))


def bind_delete(node: exp.Delete, environment: Environment) -> Delete:
    """`DELETE FROM t [USING u] WHERE …`: the ids of the rows to go, each once."""
    _refuse_returning(node)
    relation, tables, row_id = _changed(node.this, environment)
    inside, common = bind_with(node, environment, None)
    others = node.args.get("using") or []
    tables = _joined(tables, others, inside)
    plan = _restricted(tables, node, inside)
    result: Plan = Project(plan, ((row_id, row_id.ref()),))
    return Delete(relation, with_shared(Distinct(result) if others else result, common))


def bind_update(node: exp.Update, environment: Environment) -> Update:
    """`UPDATE t SET a = a + 1 [FROM u] WHERE …`: row ids and the rows' new values."""
    _refuse_returning(node)
    relation, own, row_id = _changed(node.this, environment)
    inside, common = bind_with(node, environment, None)
    clause = node.args.get("from_")
    tables = _joined(
        own, [] if clause is None else [clause.this, *(node.args.get("joins") or [])], inside
    )
    plan = _restricted(tables, node, inside)
    binder = ExpressionBinder(inside, Scope(tables))
    new: dict[str, Expression] = {field.name: field.ref() for _, field in own.columns}
    new |= _new_values(node, relation.schema, binder, inside)
    plan, planted = plant(plan, [new[column.name] for column in relation.schema.columns])
    pairs = zip(relation.schema.columns, planted, strict=True)
    fields = tuple((new_field(column.name, value.type), value) for column, value in pairs)
    result: Plan = Project(plan, ((row_id, row_id.ref()), *fields))
    if clause is not None:
        result = Distinct(result, (row_id.ref(),))
    return Update(relation, with_shared(result, common))


def _new_values(
    node: exp.Update, schema: TableSchema, binder: ExpressionBinder, environment: Environment
) -> dict[str, Expression]:
    new: dict[str, Expression] = {}
    for item in node.expressions:
        (column,) = _columns(schema, [item.this.name], item)
        if column.name in new:
            raise BindError(f'column "{column.name}" is set twice', position(item))
        value = item.expression
        new[column.name] = (
            default_value(column, environment)
            if is_default(value)
            else stored(binder.row_value(value, "SET"), column, value)
        )
    return new


def _refuse_returning(node: exp.Expr) -> None:
    if node.args.get("returning"):
        raise UnsupportedError("RETURNING is not supported", position(node))


def _changed(node: exp.Table, environment: Environment) -> tuple[Relation, Tables, Field]:
    relation = target_relation(node, environment)
    alias = node.alias or node.name
    plan = with_row_id(scan(relation, alias))
    assert plan.row_id is not None
    return relation, tables_of(plan, alias), plan.row_id


def _joined(tables: Tables, others: Sequence[exp.Expr], environment: Environment) -> Tables:
    for other in others:
        join = other if isinstance(other, exp.Join) else exp.Join(this=other)
        tables = bind_joins(tables, [join], environment, None)
    return tables


def _restricted(tables: Tables, node: exp.Expr, environment: Environment) -> Plan:
    where = node.args.get("where")
    if where is None:
        return tables.plan
    predicate = ExpressionBinder(environment, Scope(tables)).condition(where.this, "WHERE")
    return filtered(tables.plan, predicate)
