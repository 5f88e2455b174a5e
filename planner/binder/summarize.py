"""SUMMARIZE: one aggregate over all columns, whose single row becomes a row per column."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from tensorsql.parser import statements as syntax
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.tables import named_plan
from tensorsql.planner.functions.resolve import cast, resolve, resolve_aggregate, struct_call
from tensorsql.planner.plans.expressions import AggregateCall, Expression, Literal
from tensorsql.planner.plans.logical import Aggregate, Project, Unnest
from tensorsql.planner.plans.plan import Field, new_field
from tensorsql.planner.plans.statements import Query
from tensorsql.storage.columns.types import BIGINT, DOUBLE, NULL, VARCHAR, Kind, Type, decimal

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
            call = resolve_aggregate(function, (column.ref(),), distinct)
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
