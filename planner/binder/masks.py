"""CP, AREA, IOU and mask aggregates: their regions and ranges are syntax of their own."""

from __future__ import annotations

from decimal import Decimal

from sqlglot import exp

from tensorsql.errors import BindError, TypeMismatchError
from tensorsql.parser.dialect import position, text_of
from tensorsql.parser.syntax import FullRoi, MaskAggregate
from tensorsql.planner.binder.base import Binder
from tensorsql.planner.binder.calls import CallParts
from tensorsql.planner.functions.resolve import resolve, resolve_aggregate
from tensorsql.planner.plans.expressions import AggregateCall, Expression, Literal
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import Kind

FORM = "write CP(mask, roi, (low, high))"
REGION = "a region is ((x1, y1), (x2, y2)), a BOX, or - for all"


def cp(binder: Binder, parts: CallParts) -> Expression:
    """`CP(mask, roi, (lv, uv))`; without a box argument the whole mask is counted over."""
    if len(parts.args) != 3 or not _is_tuple(parts.args[2], 2):
        raise BindError(f"CP takes a mask, a region and a range of values; {FORM}")
    mask, roi, values = parts.args
    low, high = binder.bind_all(values.expressions)
    if _exceeds(low, high):
        raise BindError(
            f"the range ({low}, {high}) of CP is empty: {low} > {high}", position(values)
        )
    return resolve("cp", [_mask(binder, mask), *_region(binder, roi), low, high], position(mask))


def area(binder: Binder, parts: CallParts) -> Expression:
    """`AREA(mask, roi)` or `AREA(roi)`."""
    if len(parts.args) not in (1, 2):
        raise BindError("AREA takes a mask and a region, or a region alone")
    *mask, roi = parts.args
    if not mask and not isinstance(roi, exp.Tuple):
        return resolve("area", [binder.bind(roi)], position(roi))
    return resolve("area", [*binder.bind_all(mask), *_region(binder, roi)], position(roi))


def iou(binder: Binder, parts: CallParts) -> Expression:
    """`IOU(a > t, b > t)`, `IOU(mask > t, roi)`: masks with their thresholds, boxes as they are."""
    if len(parts.args) != 2:
        raise BindError("IOU takes two of: mask > threshold, a region")
    if any(isinstance(side, FullRoi) for side in parts.args):
        raise BindError(
            "IOU compares a mask with another one or with a box; how much of the whole mask is "
            "above a threshold is CP(mask, -, (threshold, 1.0)) / AREA(mask)"
        )
    args: list[Expression] = []
    for side in parts.args:
        args += _thresholded(binder, side) if isinstance(side, exp.GT) else _region(binder, side)
    return resolve("iou", args)


def mask_aggregate(binder: Binder, node: MaskAggregate) -> AggregateCall:
    """`INTERSECT(mask > t)`, `UNION(mask)`: a mask per group."""
    name = f"mask_{node.args['kind'].lower()}"
    if isinstance(node.this, exp.GT):
        return resolve_aggregate(name, _thresholded(binder, node.this))
    return resolve_aggregate(name, [binder.bind(node.this)])


def _mask(binder: Binder, node: exp.Expr) -> Expression:
    mask = binder.bind(node)
    if mask.type.kind not in (Kind.MASK, Kind.NULL):
        raise TypeMismatchError(
            f"CP counts the pixels of a MASK; {text_of(node)} is {mask.type}", position(node)
        )
    return mask


def _thresholded(binder: Binder, node: exp.GT) -> list[Expression]:
    mask, threshold = binder.bind(node.this), binder.bind(node.expression)
    if mask.type.kind is not Kind.MASK:
        raise BindError(
            f"a mask > threshold is expected; {text_of(node.this)} is {mask.type}",
            position(node),
        )
    return [mask, threshold]


def _region(binder: Binder, node: exp.Expr) -> list[Expression]:
    """The BOX of a region; nothing for the whole mask."""
    if isinstance(node, FullRoi):
        return []
    if not isinstance(node, exp.Tuple):
        return [_box_value(binder, node)]
    if not _is_tuple(node, 2) or not all(_is_tuple(corner, 2) for corner in node.expressions):
        raise BindError(REGION, position(node))
    upper, lower = node.expressions
    corners = binder.bind_all([*upper.expressions, *lower.expressions])
    x1, y1, x2, y2 = corners
    if _exceeds(x1, x2) or _exceeds(y1, y2):
        raise BindError(
            f"the region (({x1}, {y1}), ({x2}, {y2})) is empty: its second corner must not lie "
            "left of or above its first",
            position(node),
        )
    return [_box(corners)]


def _box_value(binder: Binder, node: exp.Expr) -> Expression:
    box = binder.bind(node)
    if box.type.kind is Kind.MASK:
        shown = text_of(node)
        raise TypeMismatchError(f"{shown} is a mask; write {shown} > threshold", position(node))
    if box.type.kind not in (Kind.BOX, Kind.NULL):
        raise TypeMismatchError(f"{REGION}; {text_of(node)} is {box.type}", position(node))
    return box


def _box(corners: list[Expression]) -> Expression:
    """1-based inclusive pixels to the 0-based half-open BOX."""
    numbers = [number for corner in corners if (number := _number(corner)) is not None]
    if len(numbers) < 4:
        return resolve("box_corners", corners)
    x1, y1, x2, y2 = map(float, numbers)
    return Literal(types.BOX, (x1 - 1, y1 - 1, x2, y2))


def _is_tuple(node: exp.Expr, length: int) -> bool:
    return isinstance(node, exp.Tuple) and len(node.expressions) == length


def _number(expression: Expression) -> int | Decimal | float | None:
    """The value of a constant number, None for anything else."""
    if isinstance(expression, Literal) and expression.type.is_numeric:
        return expression.value  # type: ignore[no-any-return]
    return None


def _exceeds(low: Expression, high: Expression) -> bool:
    """Whether both are known and a range from one to the other is empty; NaN is left to CP."""
    least, most = _number(low), _number(high)
    if least is None or most is None or least != least or most != most:
        return False
    return least > most
