"""Window kernels: (partitions, arguments sorted like them, call) → a column in that order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators.columns.layouts import take_or_null, values_of, with_validity
from tensorsql.operators.keys.ordering import Partitions
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Column, Flat, present_rows
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import BIGINT, DOUBLE


def row_number(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """1, 2, 3, … in each partition."""
    return Flat(BIGINT, rows.places - rows.start + 1)


def rank(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """One more than the rows before the first peer."""
    return Flat(BIGINT, rows.peer_start - rows.start + 1)


def dense_rank(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """One more than the groups of peers before."""
    first = rows.peer_group.index_select(0, rows.start)
    return Flat(BIGINT, rows.peer_group - first + 1)


def percent_rank(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """(rank - 1) / (rows - 1), 0 for a single row."""
    others = (rows.stop - rows.start - 1).clamp(min=1)
    return Flat(DOUBLE, (rows.peer_start - rows.start).double() / others)


def cume_dist(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The share of the partition's rows up to the last peer."""
    return Flat(DOUBLE, (rows.peer_stop - rows.start).double() / (rows.stop - rows.start))


def ntile(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The partition cut into n parts, the first ones larger by a row."""
    parts, valid = _whole(arguments[0])
    if bool((valid & (parts < 1)).any()):
        raise OutOfRangeError("ntile cuts into at least 1 part")
    parts = parts.clamp(min=1)
    size, place = rows.stop - rows.start, rows.places - rows.start
    least, larger = size // parts, size % parts
    border = larger * (least + 1)
    tail = larger + (place - border) // least.clamp(min=1)
    numbers = torch.where(place < border, place // (least + 1), tail) + 1
    return with_validity(Flat(BIGINT, numbers), None if bool(valid.all()) else valid)


def lag(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value some rows (1) before in the partition, else the default (NULL)."""
    return _neighbour(rows, arguments, call, -1)


def lead(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value some rows (1) after in the partition, else the default (NULL)."""
    return _neighbour(rows, arguments, call, 1)


def _neighbour(
    rows: Partitions, arguments: Sequence[Column], call: AggregateCall, sign: int
) -> Column:
    distance = torch.ones_like(rows.places[:1])
    valid = distance.bool()
    if len(arguments) > 1:
        distance, valid = _whole(arguments[1])
    place = rows.places + sign * distance.clamp(-rows.rows, rows.rows)
    outside = (place < rows.start) | (place >= rows.stop)
    if len(arguments) < 3:
        return take_or_null(arguments[0], place.masked_fill(outside | ~valid, -1))
    both = concat([expand(arguments[0]), expand(arguments[2])])
    place = torch.where(outside, rows.places + rows.rows, place)
    return take_or_null(both, place.masked_fill(~valid, -1))


def _whole(column: Column) -> tuple[Tensor, Tensor]:
    """The numbers of a BIGINT argument, and where it is not NULL."""
    column = expand(column)
    values = values_of(column).to(torch.int64)
    return values, present_rows(column)


def first_value(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value of the frame's first row."""
    return _of_frame(rows, arguments[0], rows.low)


def last_value(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value of the frame's last row."""
    return _of_frame(rows, arguments[0], rows.high - 1)


def nth_value(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value of the frame's n-th row, counted from 1."""
    number, valid = _whole(arguments[1])
    place = rows.low + number.clamp(0, rows.rows + 1) - 1
    return _of_frame(rows, arguments[0], place.masked_fill(~valid, -1))


def _of_frame(rows: Partitions, column: Column, place: Tensor) -> Column:
    outside = (place < rows.low) | (place >= rows.high)
    return take_or_null(column, place.masked_fill(outside, -1))
