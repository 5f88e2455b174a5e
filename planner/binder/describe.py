"""DESCRIBE, SHOW and SUMMARIZE as queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlglot import exp

from tensorsql.errors import BindError
from tensorsql.parser import syntax
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.models import find_model
from tensorsql.planner.binder.tables import named_plan, table_name
from tensorsql.planner.functions.resolve import cast, resolve, resolve_aggregate, struct_call
from tensorsql.planner.plans.bound_statements import Query
from tensorsql.planner.plans.expressions import AggregateCall, Expression, Literal
from tensorsql.planner.plans.logical import Aggregate, Project, Unnest, Values
from tensorsql.planner.plans.plan import Field, new_field
from tensorsql.storage.columns.types import BIGINT, DOUBLE, NULL, VARCHAR, Kind, Type, decimal
from tensorsql.storage.tables.catalog import ColumnSchema, TableSchema

UNORDERED = (Kind.LIST, Kind.STRUCT, Kind.BOX, Kind.MASK, Kind.TENSOR, Kind.BLOB)
# The parts of a summary: an aggregate, its type in the answer, and whether it counts once each.
PARTS = {
    "min": ("min", VARCHAR, False),
    "max": ("max", VARCHAR, False),
    "approx_unique": ("count", BIGINT, True),
    "avg": ("avg", DOUBLE, False),
    "std": ("stddev_samp", DOUBLE, False),
    "valid": ("count", BIGINT, False),
}
ANSWERED = ("column_name", "column_type", "min", "max", "approx_unique", "avg", "std", "count")
Calls = list[tuple[Field, AggregateCall]]


def bind_summarize(node: syntax.SummarizeStatement, environment: Environment) -> Query:
    """A row per column of a table, view or query."""
    source = node.this
    table = isinstance(source, exp.Table)
    plan = named_plan(source, environment) if table else environment.query(source)
    count = resolve_aggregate("count", ())
    calls: Calls = [(new_field("count", count.type), count)]
    rows = [_summary(field, calls) for field in plan.fields]
    listed = resolve("list_value", rows)
    listing = new_field("summaries", listed.type)
    row = new_field("summary", rows[0].type)
    summarized = Project(Aggregate(plan, (), tuple(calls)), ((listing, listed),))
    assignments = tuple(
        (new_field(name, value.type), value) for name, value in _answer(row.ref()).items()
    )
    answer = Project(Unnest(summarized, row, listing.ref()), assignments)
    return Query(answer, tuple(field.name for field in answer.fields))


def _summary(column: Field, calls: Calls) -> Expression:
    """What is said of a column, as a STRUCT over the results of `calls`, to which it adds."""
    values: dict[str, Expression] = {
        "column_name": Literal(VARCHAR, column.name),
        "column_type": Literal(VARCHAR, str(column.type)),
        "count": calls[0][0].ref(),
    }
    for name, (function, target, distinct) in PARTS.items():
        value: Expression = Literal(NULL, None)
        if _has(name, column.type):
            call = replace(resolve_aggregate(function, (column.ref(),)), distinct=distinct)
            calls.append((new_field(name, call.type), call))
            value = calls[-1][0].ref()
        values[name] = cast(value, target)
    return struct_call(list(values), list(values.values()))


def _has(part: str, kind: Type) -> bool:
    if part in ("avg", "std"):
        return kind.is_numeric
    return part == "valid" or kind.kind not in UNORDERED


def _answer(row: Expression) -> dict[str, Expression]:
    """The columns of the answer, from the STRUCT of a row."""
    answer = {name: _member(row, name) for name in (*ANSWERED, "valid")}
    count, valid = answer["count"], answer.pop("valid")
    percent = resolve("*", (_number(100.0, DOUBLE), resolve("-", (count, valid))))
    none, zero = resolve("=", (count, _number(0, BIGINT))), _number(0.0, DOUBLE)
    share = resolve("case", (none, zero, resolve("/", (percent, count))))
    return {**answer, "null_percentage": cast(share, decimal(9, 2))}


def _member(row: Expression, name: str) -> Expression:
    return resolve("struct_extract", (row, Literal(VARCHAR, name)))


def _number(value: Any, kind: Type) -> Expression:
    return Literal(kind, value)


DESCRIBED = ("column_name", "column_type", "null", "key", "default", "extra")


def text_query(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Query:
    """A query whose rows are known now, all of text."""
    fields = tuple(new_field(name, VARCHAR) for name in columns)
    cells = tuple(
        tuple(Literal(VARCHAR, None if cell is None else str(cell)) for cell in row) for row in rows
    )
    return Query(Values(fields, cells), tuple(field.name for field in fields))


def bind_describe(node: syntax.DescribeStatement, environment: Environment) -> Query:
    """The columns of a table, view or query; the layers of a model."""
    kind = node.args["kind"].name
    if kind == "model":
        return _model(node, environment)
    schema = _schema(node.this, environment)
    keys = {name.lower() for name in schema.primary_key}
    unique = {key[0].lower() for key in schema.unique if len(key) == 1}
    rows = []
    for column in schema.columns:
        folded = column.name.lower()
        key = "PRI" if folded in keys else "UNI" if folded in unique else None
        null = "NO" if column.not_null else "YES"
        rows.append((column.name, column.type, null, key, column.default, None))
    return text_query(DESCRIBED, rows)


def _schema(node: exp.Expr, environment: Environment) -> TableSchema:
    if isinstance(node, exp.Table):
        relation = environment.catalog.relation(table_name(node))
        if relation is not None:
            return relation.schema
        plan = named_plan(node, environment)
    else:
        plan = environment.query(node)
    return TableSchema("", tuple(ColumnSchema(field.name, field.type) for field in plan.fields))


def _model(node: syntax.DescribeStatement, environment: Environment) -> Query:
    model = find_model(environment, node.this)
    rows: list[tuple[Any, ...]] = [("source", model.source, model.format)]
    rows += [("input", name, kind) for name, kind in model.inputs]
    rows.append(("output", "prediction", model.output))
    if model.options.get("classes"):
        kind = model.options.get("probabilities", "softmax")
        rows.append(("output", "probabilities", kind))
    rows += [("layer", name, f"({', '.join(map(str, shape))})") for name, shape in model.layers]
    classes = model.options.get("classes")
    rows += [("class", str(label), None) for label in classes or ()]
    return text_query(("part", "name", "type"), rows)


def bind_show(node: syntax.ShowStatement, environment: Environment) -> Query:
    """SHOW TABLES, VIEWS, MODELS, INDEXES, SETTINGS."""
    catalog, what = environment.catalog, node.this.name.lower()
    match what:
        case "tables":
            names = sorted({*catalog.table_names(), *catalog.view_names()})
            return text_query(("name",), [(name,) for name in names])
        case "views":
            return text_query(("name",), [(name,) for name in sorted(catalog.view_names())])
        case "models":
            models = [catalog.model(name) for name in sorted(catalog.model_names())]
            rows = [(item.name, item.format, item.source) for item in models if item is not None]
            return text_query(("name", "format", "source"), rows)
        case "indexes":
            return _indexes(environment)
        case "settings":
            return text_query(("name", "value"), sorted(environment.settings.items()))
        case "all":
            return _all_tables(environment)
    raise BindError(f"SHOW {what.upper()} is not supported", position(node))


def _indexes(environment: Environment) -> Query:
    catalog = environment.catalog
    indexes = [catalog.index(name) for name in sorted(catalog.index_names())]
    rows = [
        (item.name, item.table, item.method, ", ".join(item.arguments), _option_text(item.options))
        for item in indexes
        if item is not None
    ]
    return text_query(("name", "table", "method", "arguments", "options"), rows)


def _option_text(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sorted(options.items()))


def _all_tables(environment: Environment) -> Query:
    rows: list[tuple[Any, ...]] = []
    for name in sorted(environment.catalog.table_names()):
        relation = environment.catalog.relation(name)
        if relation is not None:
            columns = ", ".join(f"{c.name} {c.type}" for c in relation.schema.columns)
            rows.append((name, relation.live_rows, columns))
    return text_query(("name", "rows", "columns"), rows)


DESCRIPTIONS: dict[type[exp.Expr], Callable[[Any, Environment], Query]] = {
    syntax.DescribeStatement: bind_describe,
    syntax.ShowStatement: bind_show,
    syntax.SummarizeStatement: bind_summarize,
}
