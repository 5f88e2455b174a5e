"""Queries of every kind: WITH, SELECT, set operations, VALUES, ORDER BY and LIMIT on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from typing import Literal as OneOf

from sqlglot import exp

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import BindError, TypeMismatchError, UnsupportedError
from tensorsql.parser.dialect import position, text_of
from tensorsql.parser.runs import LiteralRun
from tensorsql.parser.syntax import DescribeStatement, ShowStatement, SummarizeStatement
from tensorsql.planner.binder import runs
from tensorsql.planner.binder.describe import DESCRIPTIONS
from tensorsql.planner.binder.environment import CommonTable, Environment
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.ordering import limited, ordered
from tensorsql.planner.binder.scope import Scope
from tensorsql.planner.binder.select import bind_select
from tensorsql.planner.binder.subqueries import plant
from tensorsql.planner.functions.casts import common_type
from tensorsql.planner.functions.resolve import cast
from tensorsql.planner.functions.unify import unify
from tensorsql.planner.plans.expressions import ColumnRef, Expression, Literal
from tensorsql.planner.plans.logical import LiteralRows, Project, SetOperation, Values, With
from tensorsql.planner.plans.plan import Field, Fields, Plan, fresh_id, new_field
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import INTEGER, Kind, Type

UNTEXTUAL = (Kind.LIST, Kind.STRUCT, Kind.BLOB)
SetKind = OneOf["union", "intersect", "except"]
SET_OPERATIONS: dict[type[exp.Expr], SetKind] = {
    exp.Union: "union",
    exp.Intersect: "intersect",
    exp.Except: "except",
}


def bind_query(node: exp.Expr, environment: Environment, outer: Scope | None = None) -> Plan:
    """The plan of a query; its fields are the result's columns, in order and by name."""
    check_cancelled()
    inside, tables = bind_with(node, environment, outer)
    match node:
        case exp.Select():
            plan = bind_select(node, inside, outer)
        case exp.SetOperation():
            plan = _modified(_set_operation(node, inside, outer), node, inside)
        case exp.Subquery():
            plan = _modified(bind_query(node.this, inside, outer), node, inside)
        case exp.Values():
            plan = _modified(bind_values(node, inside, outer), node, inside)
        case DescribeStatement() | ShowStatement() | SummarizeStatement():
            plan = _described(node, environment)
        case _:
            raise UnsupportedError(f"{text_of(node)} is not a query", position(node))
    for table in tables:
        table.check()
    return with_shared(plan, tables)


def _described(node: exp.Expr, environment: Environment) -> Plan:
    """`FROM (DESCRIBE t)`, and SHOW and SUMMARIZE alike."""
    return DESCRIPTIONS[type(node)](node, environment).plan


def _modified(plan: Plan, node: exp.Expr, environment: Environment) -> Plan:
    plan = ordered(plan, node, environment)
    return limited(plan, node, environment)


def bind_values(node: exp.Values, environment: Environment, outer: Scope | None) -> Plan:
    """`VALUES (1, 'a'), (2, 'b')`: columns col0, col1, … of the rows' common types."""
    if (run := runs.only_run(node.expressions)) is not None:
        literals = runs.at_once(lambda: _literal_rows(run))
        if literals is not None:
            return literals
    binder = ExpressionBinder(environment, Scope(outer=outer))
    rows = [
        [
            binder.row_value(cell, "VALUES")
            for cell in (row.expressions if isinstance(row, exp.Tuple) else [row])
        ]
        for row in runs.flattened(node.expressions)
    ]
    if len({len(row) for row in rows}) != 1:
        raise BindError("all rows of VALUES must have as many values", position(node))
    unified = [_values_column(column, node) for column in zip(*rows, strict=True)]
    columns = tuple(new_field(f"col{i}", column[0].type) for i, column in enumerate(unified))
    cells = list(zip(*unified, strict=True))
    flat = [cell for row in cells for cell in row]
    plan, planted = plant(Scope().tables.plan, flat)
    if planted == flat:
        return Values(columns, tuple(cells))
    if len(rows) > 1:
        raise UnsupportedError("a subquery in VALUES of several rows; write UNION ALL instead")
    return Project(plan, tuple(zip(columns, planted, strict=True)))


def _literal_rows(run: LiteralRun) -> Plan:
    """VALUES of literals alone: the same types, found once for each kind of literal."""
    fields: list[Field] = []
    values: list[tuple[Any, ...]] = []
    for place, column in enumerate(runs.columns(run)):
        kind, _ = column.unified(name="values", in_order=True)
        kind = INTEGER if kind.kind is Kind.NULL else kind
        fields.append(new_field(f"col{place}", kind))
        values.append(tuple(column.converted(kind)))
    return LiteralRows(tuple(fields), tuple(values), len(values[0]))


def _values_column(cells: Sequence[Expression], node: exp.Values) -> tuple[Expression, ...]:
    """One column of VALUES: as in DuckDB literals become what stands before them."""
    unified = unify(cells, "values", position(node), in_order=True)
    unknown = unified[0].type.kind is Kind.NULL
    return tuple(cast(cell, INTEGER) for cell in unified) if unknown else unified


def _common_column_type(kinds: Sequence[Type]) -> Type:
    """The type of a column that holds values of all these types; text where nothing else does."""
    if types.VARCHAR in kinds and not any(kind.kind in UNTEXTUAL for kind in kinds):
        return types.VARCHAR
    so_far = types.NULL
    for kind in kinds:
        both = {so_far.kind, kind.kind}
        loose = Kind.BOOLEAN in both and Kind.VARCHAR not in both  # TRUE is a number here
        common = common_type(so_far, kind, compare=loose)
        if common is None and Kind.VARCHAR in both and not both & {Kind.LIST, Kind.STRUCT}:
            common = types.BLOB if Kind.BLOB in both else types.VARCHAR
        if common is None:
            raise TypeMismatchError(f"one column cannot hold both {so_far} and {kind}; cast one")
        so_far = common
    return so_far


def _set_operation(node: exp.SetOperation, environment: Environment, outer: Scope | None) -> Plan:
    kind = next(kind for cls, kind in SET_OPERATIONS.items() if isinstance(node, cls))
    nodes = _sides(node)
    sides = [bind_query(each, environment, outer) for each in nodes]
    if node.args.get("by_name"):
        sides = list(_by_name(*sides))
    for side, place in zip(sides, nodes, strict=True):
        if len(side.fields) != len(sides[0].fields):
            raise BindError(
                f"{kind.upper()} needs as many columns on both sides, "
                f"not {len(sides[0].fields)} and {len(side.fields)}",
                position(place),
            )
    columns = list(zip(*(side.fields for side in sides), strict=True))
    kinds = [_common_column_type([field.type for field in column]) for column in columns]
    plan, *others = (casted(side, kinds) for side in sides)
    for right in others:
        named = zip(sides[0].fields, kinds, strict=True)
        fields = tuple(new_field(field.name, type_) for field, type_ in named)
        plan = SetOperation(kind, not node.args.get("distinct"), plan, right, fields)
    return plan


def _sides(node: exp.SetOperation) -> list[exp.Expr]:
    """What it is an operation of. A chain of UNION is one of all its sides: each value is cast

    once, to the type of all, so that `SELECT 1 UNION SELECT 2.5 UNION SELECT '3'` has a text '1'.
    """
    sides = [node.expression, node.this]
    while _continues(sides[-1], node):
        inner = sides.pop()
        sides += [inner.expression, inner.this]
    return sides[::-1]


def _continues(left: exp.Expr, node: exp.SetOperation) -> bool:
    """Whether a side is the beginning of the same chain of UNIONs."""
    if not isinstance(node, exp.Union) or type(left) is not type(node):
        return False
    return not any(
        each.args.get(name) for each in (left, node) for name in ("by_name", "with_")
    ) and bool(left.args.get("distinct")) == bool(node.args.get("distinct"))


def casted(plan: Plan, kinds: Sequence[Type]) -> Plan:
    """The plan with its columns cast, one type for each; the plan itself where nothing changes."""
    if [field.type for field in plan.fields] == list(kinds):
        return plan
    return Project(plan, tuple(map(_casted, plan.fields, kinds)))


def _casted(field: Field, kind: Type) -> tuple[Field, Expression]:
    value = cast(field.ref(), kind)
    return (field, value) if isinstance(value, ColumnRef) else (new_field(field.name, kind), value)


def _by_name(left: Plan, right: Plan) -> tuple[Plan, Plan]:
    """Both sides with the columns of either, NULL where a side has none of that name."""
    there = {field.name.lower(): field for field in left.fields}
    extra = [field for field in right.fields if field.name.lower() not in there]
    wanted = (*left.fields, *extra)
    return _arranged(left, wanted), _arranged(right, wanted)


def _arranged(plan: Plan, wanted: Fields) -> Plan:
    own = {field.name.lower(): field for field in plan.fields}
    if len(own) < len(plan.fields):
        raise BindError("UNION BY NAME needs columns of different names on each side")
    assignments: list[tuple[Field, Expression]] = []
    for field in wanted:
        match = own.get(field.name.lower())
        if match is not None:
            assignments.append((match, match.ref()))
        else:
            missing = Field(fresh_id(), field.name, types.NULL)
            assignments.append((missing, Literal(types.NULL, None)))
    return Project(plan, tuple(assignments))


def bind_with(
    node: exp.Expr, environment: Environment, outer: Scope | None
) -> tuple[Environment, list[CommonTable]]:
    """The environment with the CTEs of a query's WITH clause."""
    clause = node.args.get("with_")
    if clause is None:
        return environment, []
    tables: dict[str, CommonTable] = {}
    uses = _uses(node)
    for definition in clause.expressions:
        name = definition.alias.lower()
        table = _common_table(uses[name], definition, environment, outer)
        if name in tables:
            raise BindError(f'WITH defines "{table.name}" twice', position(definition))
        if clause.args.get("recursive") and _uses(definition.this)[name]:
            raise UnsupportedError(f'recursive WITH ("{table.name}" uses itself) is not supported')
        environment = environment.with_common_table(name, table)
        tables[name] = table
    return environment, list(tables.values())


def _common_table(
    references: int, definition: exp.CTE, environment: Environment, outer: Scope | None
) -> CommonTable:
    hint = definition.args.get("materialized")
    if hint is not None and references:
        references = 2 if hint else 1
    names = tuple(definition.alias_column_names)
    return CommonTable(definition.alias, definition.this, names, environment, outer, references)


def _uses(node: exp.Expr) -> Counter[str]:
    """How often each table name stands in it."""
    tables = node.find_all(exp.Table)
    return Counter(table.name.lower() for table in tables if not table.args.get("db"))


def with_shared(plan: Plan, tables: list[CommonTable]) -> Plan:
    """The plan under the definitions of those CTEs that are shared."""
    shared = tuple(
        (table.shared_id, table.name, table.shared) for table in tables if table.shared is not None
    )
    return With(shared, plan) if shared else plan
