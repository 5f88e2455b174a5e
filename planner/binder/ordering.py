"""ORDER BY over a query's columns, and LIMIT."""

from __future__ import annotations

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError
from tensorsql.parser.dialect import position, text_of
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.scope import Scope, tables_of
from tensorsql.planner.binder.subqueries import plant
from tensorsql.planner.functions.folding import fold
from tensorsql.planner.functions.resolve import cast
from tensorsql.planner.plans.expressions import ColumnRef, Literal, SortKey, transform
from tensorsql.planner.plans.logical import Limit, Project, Sort
from tensorsql.planner.plans.plan import Plan, new_field
from tensorsql.storage.columns.types import BIGINT


def column_position(node: exp.Expr, count: int) -> int | None:
    """The 0-based column an integer literal stands for; None for anything else."""
    inner = node.this if isinstance(node, exp.Ordered) else node
    if not isinstance(inner, exp.Literal) or inner.is_string or not inner.name.isdigit():
        return None
    if not 1 <= int(inner.name) <= count:
        raise BindError(
            f"position {inner.name} is not in the select list, which has {count} columns",
            position(inner),
        )
    return int(inner.name) - 1


def is_all(node: exp.Expr) -> bool:
    """Whether an ORDER BY item is the word ALL."""
    inner = node.this if isinstance(node, exp.Ordered) else node
    return isinstance(inner, (exp.Var, exp.Column)) and inner.name.upper() == "ALL"


def ordered(plan: Plan, node: exp.Expr, environment: Environment) -> Plan:
    """A set operation or VALUES in the order of its ORDER BY, over its output columns."""
    clause = node.args.get("order")
    if clause is None:
        return plan
    binder = ExpressionBinder(environment, Scope(tables_of(plan, "")))
    keys: list[SortKey] = []
    for item in clause.expressions:
        if is_all(item):
            keys += [binder.sort_key(item, field.ref()) for field in plan.fields]
            continue
        place = column_position(item, len(plan.fields))
        if place is None:
            expression = binder.row_value(item.this, "ORDER BY here")
        else:
            expression = plan.fields[place].ref()
        keys.append(binder.sort_key(item, expression))
    return sorted_by(plan, keys)


def sorted_by(plan: Plan, keys: list[SortKey]) -> Plan:
    """The plan sorted; keys that are no columns are computed for the sort alone."""
    planted, expressions = plant(plan, [key.expression for key in keys])
    extra = [
        (new_field("key", expression.type), expression)
        for expression in expressions
        if not isinstance(expression, ColumnRef)
    ]
    own = tuple((field, field.ref()) for field in plan.fields)
    base = Project(planted, (*own, *extra)) if extra else planted
    computed = {expression: field.ref() for field, expression in extra}
    columns = tuple(
        SortKey(computed.get(expression, expression), key.descending, key.nulls_first)
        for key, expression in zip(keys, expressions, strict=True)
    )
    result = Sort(base, columns)
    return result if base is plan else Project(result, own)


def limited(plan: Plan, node: exp.Expr, environment: Environment) -> Plan:
    """The plan under the query's LIMIT and OFFSET."""
    limit, offset = node.args.get("limit"), node.args.get("offset")
    if limit is None and offset is None:
        return plan
    options = None if limit is None else limit.args.get("limit_options")
    if (
        limit is not None
        and options is not None
        and (options.args.get("percent") or options.args.get("with_ties"))
    ):
        raise UnsupportedError(
            "LIMIT takes a number of rows, no percentage or ties", position(limit)
        )
    if limit is not None and limit.expressions:
        raise UnsupportedError("LIMIT … BY is not supported; use QUALIFY row_number()")
    amount = None
    if isinstance(limit, exp.Fetch):
        amount = limit.args.get("count") or exp.Literal.number(1)
        limit.args.get("direction")  # FIRST and NEXT mean the same
    elif limit is not None and not _is_all(limit.expression):
        amount = limit.expression
    count = None if amount is None else constant_count(amount, environment, "LIMIT")
    start = None if offset is None else constant_count(offset.expression, environment, "OFFSET")
    return Limit(plan, count, start or 0)


def _is_all(node: exp.Expr) -> bool:
    return isinstance(node, exp.Var) and node.name.upper() == "ALL"


def constant_count(node: exp.Expr, environment: Environment, clause: str) -> int | None:
    """A number of rows that is known now; None for NULL."""
    bound = ExpressionBinder(environment, Scope()).bind(node)
    value = transform(cast(bound, BIGINT), lambda part: fold(part) or part)
    if isinstance(bound, Literal) and not isinstance(value, Literal):
        raise BindError(f"{clause} is a number of rows, not {text_of(node)}", position(node))
    if not isinstance(value, Literal):
        raise UnsupportedError(f"{clause} takes a constant or a parameter", position(node))
    if value.value is not None and value.value < 0:
        raise BindError(f"{clause} must not be negative, it is {value.value}", position(node))
    return None if value.value is None else int(value.value)
