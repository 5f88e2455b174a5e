"""Kernels over masks: CP, AREA, IOU and boxes. CPU only: pixels count where they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tensorsql.errors import DataError
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.functions.registry import Extent, narrowed
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Column, Constant, Flat, RowRef, take, valid_rows
from tensorsql.storage.columns.masks import (
    Integers,
    MaskSource,
    box_values,
    clip,
    levels,
    same_size,
)
from tensorsql.storage.columns.types import BIGINT, BOX, DOUBLE
from tensorsql.storage.masks.counts import Levels, at, chunks, corners, count_pixels, read_block
from tensorsql.storage.masks.levels import lower_levels, successor, upper_level, upper_levels

Arguments = Sequence[Column]


def cp(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """CP over the whole mask."""
    mask, low, high = arguments
    return _count(arguments, extent, mask, None, (low, high))


def cp_box(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """CP inside a box, clipped to the mask."""
    mask, box, low, high = arguments
    return _count(arguments, extent, mask, box, (low, high))


def _count(
    arguments: Arguments, extent: Extent, mask: Column, box: Column | None, ends: Arguments
) -> Column:
    chosen, validity = _rows(arguments, extent)
    result = np.zeros(extent.count, dtype=np.int64)
    if len(chosen):
        source, rows = _masks(mask, chosen)
        low, high = (_chosen(end, chosen) for end in ends)
        region = None if box is None else box_values(_chosen(box, chosen))
        counted = Levels(levels(low, source, lower_levels), levels(high, source, upper_levels))
        result[chosen] = count_pixels(source, rows, region, counted)
    return Flat(BIGINT, torch.from_numpy(result), validity)


def _rows(arguments: Arguments, extent: Extent) -> tuple[Integers, Tensor | None]:
    """The rows to compute on (active and valid in every argument), and the result's validity."""
    validity = valid_rows([expand(each) for each in arguments])
    wanted = narrowed(extent.active, validity)
    if wanted is None:
        return np.arange(extent.count), validity
    return np.flatnonzero(wanted.numpy()), validity


def _chosen(column: Column, rows: Integers) -> Column:
    """These rows; a constant stays one."""
    return column if isinstance(column, Constant) else take(column, torch.from_numpy(rows))


def _masks(column: Column, chosen: Integers) -> tuple[MaskSource, Integers]:
    column = expand(column)
    assert isinstance(column, RowRef)
    source: MaskSource = column.source
    return source, column.rows.numpy()[chosen]


def area(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """Pixels of each mask."""
    return _area(arguments, extent, None)


def area_in(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """Pixels of the box that lie on the mask."""
    return _area(arguments, extent, arguments[1])


def _area(arguments: Arguments, extent: Extent, box: Column | None) -> Column:
    chosen, validity = _rows(arguments, extent)
    result = np.zeros(extent.count, dtype=np.int64)
    if len(chosen):
        source, rows = _masks(arguments[0], chosen)
        heights, widths = source.sizes(rows)
        if box is not None:
            region = box_values(_chosen(box, chosen))
            x0, x1 = clip(region[:, 0], region[:, 2], widths)
            y0, y1 = clip(region[:, 1], region[:, 3], heights)
            heights, widths = y1 - y0, x1 - x0
        result[chosen] = heights * widths
    return Flat(BIGINT, torch.from_numpy(result), validity)


def area_of_box(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """Width times height; 0 where a side is negative."""
    return Flat(DOUBLE, _box_area(values_of(arguments[0])), arguments[0].validity)


def box_xyxy(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """The box of 0-based half-open corners."""
    return _box(_doubles(arguments))


def box_xywh(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """The box of a 0-based corner, width and height."""
    x, y, width, height = _doubles(arguments)
    return _box([x, y, x + width, y + height])


def box_corners(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """The box of 1-based corner pixels, both included."""
    x1, y1, x2, y2 = _doubles(arguments)
    return _box([x1 - 1, y1 - 1, x2, y2])


def _doubles(arguments: Arguments) -> list[Tensor]:
    return [values_of(each).double() for each in arguments]


def _box(values: Sequence[Tensor]) -> Column:
    return Flat(BOX, torch.stack(list(values), dim=1))


def _box_area(box: Tensor) -> Tensor:
    sides = (box[:, 2:] - box[:, :2]).clamp(min=0)
    return sides[:, 0] * sides[:, 1]


def iou(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """Pixels above both thresholds over pixels above either; NULL where there are none.

    DataError for two masks of different sizes.
    """
    chosen, validity = _rows(arguments, extent)
    first, second = _above(arguments[:2], chosen), _above(arguments[2:], chosen)
    both = np.zeros(len(chosen), dtype=np.int64)
    for height, width, part in same_size(*_common_size(first, second)):
        for piece in chunks(len(part), height * width):
            rows = part[piece]
            one, other = (_binary(each, rows, height) for each in (first, second))
            both[rows] = np.count_nonzero(one & other, axis=(1, 2))
    total = sum(_count_above(each, None) for each in (first, second))
    return _ratio(extent, chosen, validity, (both, total - both))


def iou_box(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """Pixels above the threshold inside the box over those in either; NULL where there are none."""
    chosen, validity = _rows(arguments, extent)
    above = _above(arguments[:2], chosen)
    region = box_values(_chosen(arguments[2], chosen))
    both = _count_above(above, region)
    source, rows, _ = above
    heights, widths = source.sizes(rows) if len(rows) else (rows, rows)
    x0, x1, y0, y1 = corners(region, 1, 1) if not len(rows) else corners(region, heights, widths)
    total = _count_above(above, None) + (x1 - x0) * (y1 - y0)
    return _ratio(extent, chosen, validity, (both, total - both))


def iou_of_boxes(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """The area two boxes share over the area they cover; NULL where they cover none."""
    one, other = (values_of(each) for each in arguments)
    low = torch.maximum(one[:, :2], other[:, :2])
    high = torch.minimum(one[:, 2:], other[:, 2:])
    both = _box_area(torch.cat([low, high], dim=1))
    either = _box_area(one) + _box_area(other) - both
    chosen, validity = _rows(arguments, extent)
    return _ratio(extent, chosen, validity, (both.numpy()[chosen], either.numpy()[chosen]))


Above = tuple[Any, Integers, np.ndarray]  # source, its rows, the least level that is above


def _above(arguments: Arguments, chosen: Integers) -> Above:
    mask, threshold = arguments
    if len(chosen) == 0:
        return None, chosen, np.zeros(1)
    source, rows = _masks(mask, chosen)
    return source, rows, above_levels(_chosen(threshold, chosen), source)


def above_levels(threshold: Column, source: MaskSource) -> np.ndarray:
    """The least levels above thresholds, [1 or n]."""
    highest = levels(threshold, source, upper_levels)
    raised = [successor(level, source.element) for level in highest.tolist()]
    return np.array(raised, dtype=highest.dtype)


def _count_above(above: Above, region: np.ndarray | None) -> Integers:
    source, rows, least = above
    if len(rows) == 0:
        return np.zeros(0, dtype=np.int64)
    top = np.array([upper_level(1, source.scale, source.element)], dtype=least.dtype)
    return count_pixels(source, rows, region, Levels(least, top))


def _binary(above: Above, rows: Integers, height: int) -> np.ndarray:
    source, all_rows, least = above
    pixels = read_block(source, all_rows[rows], 0, height)
    reached: np.ndarray = pixels >= at(least, rows)[:, None, None]
    return reached


def _common_size(first: Above, second: Above) -> tuple[Integers, Integers]:
    """Heights and widths of both masks of each row."""
    if len(first[1]) == 0:
        return first[1], first[1]
    (tall, wide), others = (source.sizes(rows) for source, rows, _ in (first, second))
    different = np.flatnonzero((tall != others[0]) | (wide != others[1]))
    if len(different):
        row = different[0]
        one, other = f"{wide[row]} × {tall[row]}", f"{others[1][row]} × {others[0][row]}"
        raise DataError(
            f"IOU of masks of different sizes, {one} and {other} pixels (width × height); "
            "compare masks of one size"
        )
    return tall, wide


def _ratio(
    extent: Extent,
    chosen: Integers,
    validity: Tensor | None,
    parts: tuple[np.ndarray, np.ndarray],
) -> Column:
    both, either = parts
    result, defined = np.zeros(extent.count), np.zeros(extent.count, dtype=np.bool_)
    result[chosen] = both / np.where(either > 0, either, 1)
    defined[chosen] = either > 0
    valid = torch.from_numpy(defined)
    return Flat(DOUBLE, torch.from_numpy(result), valid if validity is None else valid & validity)
