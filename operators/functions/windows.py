"""Window kernels: (partitions, arguments sorted like them, call) → a column in that order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError, TypeMismatchError
from tensorsql.operators.columns import take_or_null
from tensorsql.operators.functions.aggregates import flat
from tensorsql.operators.partitions import Partitions
from tensorsql.planner.expressions import AggregateCall
from tensorsql.storage.column import Column, Flat, take
from tensorsql.storage.concat import concat, expand
from tensorsql.storage.types import BIGINT, DOUBLE


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
    parts = flat(arguments[0]).to(torch.int64)
    if bool((parts < 1).any()):
        raise OutOfRangeError("ntile cuts into at least 1 part")
    size, place = rows.stop - rows.start, rows.places - rows.start
    least, larger = size // parts, size % parts
    border = larger * (least + 1)
    tail = larger + (place - border) // least.clamp(min=1)
    return Flat(BIGINT, torch.where(place < border, place // (least + 1), tail) + 1)


def lag(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value some rows (1) before in the partition, else the default (NULL)."""
    return _neighbour(rows, arguments, call, -1)


def lead(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value some rows (1) after in the partition, else the default (NULL)."""
    return _neighbour(rows, arguments, call, 1)


def _neighbour(
    rows: Partitions, arguments: Sequence[Column], call: AggregateCall, sign: int
) -> Column:
    distance: Tensor | int = flat(arguments[1]).to(torch.int64) if len(arguments) > 1 else 1
    place = rows.places + sign * distance
    outside = (place < rows.start) | (place >= rows.stop)
    if len(arguments) < 3:
        return take_or_null(arguments[0], place.masked_fill(outside, -1))
    if arguments[2].type != arguments[0].type:
        raise TypeMismatchError(
            f"the default of {call.function.name} is {arguments[2].type}, its value"
            f" {arguments[0].type}; cast the default"
        )
    both = concat([expand(arguments[0]), expand(arguments[2])])
    return take(both, torch.where(outside, rows.places + rows.rows, place))


def first_value(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value of the frame's first row."""
    return _of_frame(rows, arguments[0], rows.low)


def last_value(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value of the frame's last row."""
    return _of_frame(rows, arguments[0], rows.high - 1)


def nth_value(rows: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    """The value of the frame's n-th row, counted from 1."""
    place = rows.low + flat(arguments[1]).to(torch.int64) - 1
    return _of_frame(rows, arguments[0], place)


def _of_frame(rows: Partitions, column: Column, place: Tensor) -> Column:
    outside = (place < rows.low) | (place >= rows.high)
    return take_or_null(column, place.masked_fill(outside, -1))
