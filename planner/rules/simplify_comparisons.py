"""Comparisons of a widened column with a constant."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from tensorsql.planner.functions.casts import is_safe
from tensorsql.planner.functions.conversions import EXACT
from tensorsql.planner.functions.resolve import resolve
from tensorsql.planner.plans.expressions import Call, ColumnRef, Expression, Literal, transform
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_expressions, works_on
from tensorsql.storage.columns.types import Kind, Type

FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


@works_on("cast", FLIPPED)
def simplify_comparisons(plan: Plan) -> Plan:
    """`CAST(day AS TIMESTAMP) < TIMESTAMP '1995-01-01 00:00:00'` → `day < DATE '1995-01-01'`.

    The same for integers and decimals widened to another exact type: the constant takes the
    column's type where it has that value there, so that the column is compared as it is stored.
    """
    return transform_expressions(plan, lambda top: transform(top, _simplify))


def _simplify(expression: Expression) -> Expression:
    if not isinstance(expression, Call) or expression.function.name not in FLIPPED:
        return expression
    name, (left, right) = expression.function.name, expression.args
    if isinstance(left, Literal):
        name, left, right = FLIPPED[name], right, left
    if not (isinstance(left, Call) and left.function.name == "cast" and isinstance(right, Literal)):
        return expression
    column = left.args[0]
    if not isinstance(column, ColumnRef) or right.is_null:
        return expression
    if not _is_widened(column.type, left.type):
        return expression
    value = _narrowed(right.value, left.type, column.type)
    return expression if value is None else resolve(name, [column, Literal(column.type, value)])


def _is_widened(narrow: Type, wide: Type) -> bool:
    """Whether the cast keeps every value apart and in order, and cannot fail."""
    if (narrow.kind, wide.kind) == (Kind.DATE, Kind.TIMESTAMP):
        return True
    exact = all(each.is_integer or each.kind is Kind.DECIMAL for each in (narrow, wide))
    return exact and wide.scale >= narrow.scale and is_safe(narrow, wide)


def _narrowed(value: Any, wide: Type, narrow: Type) -> Any:
    """The constant in the column's own type, or None where it has no equal there."""
    if narrow.kind is Kind.DATE and wide.kind is Kind.TIMESTAMP:
        midnight = isinstance(value, datetime.datetime) and value.time() == datetime.time()
        return value.date() if midnight else None
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        return None
    if wide.kind is Kind.DECIMAL or wide.is_integer:
        return _narrowed_number(Decimal(value), narrow)
    return None


def _narrowed_number(value: Decimal, narrow: Type) -> Any:
    limits, scaled = narrow.limits, EXACT.scaleb(value, narrow.scale)
    whole = scaled == scaled.to_integral_value()
    if limits is None or not whole or not limits[0] <= scaled <= limits[1]:
        return None
    if narrow.is_integer:
        return int(value)
    return EXACT.quantize(value, Decimal(1).scaleb(-narrow.scale))
