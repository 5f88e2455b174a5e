"""Series of whole numbers as lists."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.functions.registry import Extent
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import Column, Flat, List
from tensorsql.storage.columns.ragged import cumulated
from tensorsql.storage.columns.types import BIGINT

LONGEST = 1 << 28  # elements in all: 2 GB
WIDEST = 2.0**62  # from one end to the other


def open_series(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """range(stop), range(start, stop[, step]): start, start + step, … before stop."""
    return _series(arguments, call, extent, closed=False)


def closed_series(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """generate_series: as range, the end included."""
    return _series(arguments, call, extent, closed=True)


def _series(arguments: Sequence[Column], call: Call, extent: Extent, closed: bool) -> List:
    ends = [values_of(each).expand(extent.count) for each in arguments]
    start, stop = ends if len(ends) == 2 else (torch.zeros_like(ends[0]), ends[0])
    step = torch.ones_like(start)
    if len(ends) == 3:
        start, stop, step = ends
    _check(start, stop, step, call, extent)
    # Rows that are not active may ask for anything: they get nothing.
    possible = ((stop > start) == (step > 0)) | (stop == start)
    possible &= (step != 0) & ((stop.double() - start.double()).abs() < WIDEST)
    counts = _counts(start, stop, step, closed).clamp(0, LONGEST)
    lengths = torch.where(possible, counts, 0)
    if extent.active is not None:
        lengths = torch.where(extent.active, lengths, 0)
    owners, places = kernels.ranges(torch.zeros_like(lengths), lengths)
    values = start[owners] + places * step[owners]
    return List(call.type, cumulated(lengths), Flat(BIGINT, values))


def _counts(start: Tensor, stop: Tensor, step: Tensor, closed: bool) -> Tensor:
    span, safe = stop - start, torch.where(step == 0, 1, step)
    whole = torch.div(span, safe, rounding_mode="floor")
    return whole + 1 if closed else whole + (span != whole * safe)


def _check(start: Tensor, stop: Tensor, step: Tensor, call: Call, extent: Extent) -> None:
    """Raise for an active row whose series cannot be made."""
    name = call.function.name
    if extent.failing(step == 0) is not None:
        raise OutOfRangeError(f"the step of {name} must not be 0")
    rough = (stop.double() - start.double()) / torch.where(step == 0, torch.inf, step.double())
    if extent.failing(rough.clamp(0).cumsum(0) > LONGEST) is not None:
        raise OutOfRangeError(f"{name} makes at most {LONGEST:,} numbers at a time")
    towards = (stop > start) == (step > 0)
    if extent.failing(towards & ((stop.double() - start.double()).abs() >= WIDEST)) is not None:
        raise OutOfRangeError(f"the ends of {name} are too far apart")
