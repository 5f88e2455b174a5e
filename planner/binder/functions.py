"""Function calls: scalar ones, aggregates, and the few with a meaning of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError
from tensorsql.parser.dialect import position
from tensorsql.parser.syntax import MaskAggregate
from tensorsql.planner.binder import masks, models
from tensorsql.planner.binder.base import Binder
from tensorsql.planner.binder.calls import CallParts, call_parts
from tensorsql.planner.binder.placeholders import OuterAggregate, UnnestExpression, is_plain
from tensorsql.planner.functions.resolve import resolve, resolve_aggregate
from tensorsql.planner.plans.expressions import AggregateCall, ColumnRef, Expression, SortKey
from tensorsql.planner.plans.plan import new_field
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import Kind

QUANTILES = ("quantile_cont", "quantile_disc", "quantile", "median")
Special = Callable[[Binder, CallParts], Expression]


def function_kind(binder: Binder, name: str) -> str | None:
    """scalar, aggregate or window; None for a name without a signature."""
    overloads = binder.environment.functions.get(name)
    return overloads[0].kind if overloads else None


def bind_call(binder: Binder, node: exp.Expr) -> Expression:
    """A function call of any kind but window."""
    if isinstance(node, MaskAggregate):
        return masks.mask_aggregate(binder, node)
    parts = call_parts(node)
    if parts.nulls:
        raise UnsupportedError(f"{parts.nulls.upper()} NULLS goes with window functions only")
    special = SPECIAL.get(parts.name)
    if special is not None:
        _check_plain(parts)
        return special(binder, parts)
    kind = function_kind(binder, parts.name)
    if kind == "aggregate":
        return _placed(aggregate(binder, parts), binder)
    if kind == "window":
        raise BindError(f"{parts.name} is a window function: write {parts.name}(…) OVER (…)")
    _check_plain(parts)
    place, functions = position(node), binder.environment.functions
    if any(isinstance(argument, exp.Star) for argument in parts.args):
        resolve(parts.name, (), place, functions)  # tells of an unknown name before the star
    return resolve(parts.name, binder.bind_all(parts.args), place, functions)


def _check_plain(parts: CallParts) -> None:
    if parts.distinct or parts.order or parts.filter is not None:
        raise BindError(f"{parts.name} is no aggregate: DISTINCT, ORDER BY, FILTER do not apply")


def aggregate(binder: Binder, parts: CallParts) -> AggregateCall:
    """An aggregate (or window function) call with its DISTINCT, FILTER and ORDER BY."""
    name, args = parts.name, parts.args
    if name == "count" and (not args or isinstance(args[0], exp.Star)):
        name, args = "count", ()
    with binder.scope.preferring_aliases(False):
        bound = binder.bind_all(args)
    if name == "avg" and bound and bound[0].type.kind is Kind.MASK:
        name = "mask_avg"
    condition = None if parts.filter is None else binder.condition(parts.filter)
    order = tuple(binder.sort_key(item) for item in parts.order)
    for key, item in zip(order, parts.order, strict=True) if parts.distinct else ():
        if not _made_of(key.expression, bound):
            raise BindError(
                f"{name}(DISTINCT …) can be ordered by its arguments alone: of several rows with "
                "one value it takes any",
                position(item),
            )
    if name in QUANTILES:
        # The order of its rows does not matter to it, only from which end the share counts.
        backwards = len(order) == 1 and order[0].descending
        order = (SortKey(bound[0], True),) if backwards and bound else ()
    call = resolve_aggregate(name, bound, binder.environment.functions)
    return replace(call, distinct=parts.distinct, filter=condition, order_by=order)


def _made_of(expression: Expression, parts: Sequence[Expression]) -> bool:
    """Whether an expression reads nothing but these."""
    if expression in parts:
        return True
    return (
        is_plain(expression)
        and not isinstance(expression, ColumnRef)
        and all(_made_of(child, parts) for child in expression.children)
    )


def _placed(call: AggregateCall, binder: Binder) -> Expression:
    """The innermost query that has one of the aggregated columns computes the aggregate."""
    own, *outer = (scope.tables.ids for scope in binder.scope.chain())
    placed = OuterAggregate(call.type, call)
    return call if placed.reads(own) or not any(map(placed.reads, outer)) else placed


def unnest(binder: Binder, parts: CallParts) -> Expression:
    """`UNNEST(list)` in a select list."""
    if len(parts.args) != 1:
        raise BindError("unnest takes one list here")
    value = binder.bind(parts.args[0])
    if value.type.kind not in (Kind.LIST, Kind.NULL):
        raise BindError(f"unnest takes a list, not {value.type}")
    element = new_field("unnest", value.type.child or types.NULL)
    return UnnestExpression(element.type, value, element)


def struct_pack(binder: Binder, parts: CallParts) -> Expression:
    """`struct_pack(a := 1)` is `{'a': 1}`."""
    return binder.bind(exp.Struct(expressions=list(parts.args)))


def row(binder: Binder, parts: CallParts) -> Expression:
    """`ROW(1, 2)` is a struct without names, which there is no type for."""
    raise UnsupportedError("ROW is not supported; write {'name': value, …}")


SPECIAL: dict[str, Special] = {
    "cp": masks.cp,
    "area": masks.area,
    "iou": masks.iou,
    "predict": models.predict,
    "predict_proba": models.predict_proba,
    "unnest": unnest,
    "struct_pack": struct_pack,
    "row": row,
}
