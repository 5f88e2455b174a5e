"""Ordering: ORDER BY keys as integers, stable permutations by them, partitions and their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorsql.errors import UnsupportedError
from tensorsql.operators import kernels
from tensorsql.operators.keys.key_codes import LIMIT, KeyCodes, code_part
from tensorsql.operators.keys.key_parts import Part, key_parts
from tensorsql.planner.plans.expressions import Literal, SortKey, WindowFrame
from tensorsql.storage.columns.column import Column


@dataclass(frozen=True)
class Direction:
    """How one key orders."""

    descending: bool = False
    nulls_first: bool = False


def directions(keys: Sequence[SortKey]) -> tuple[Direction, ...]:
    """The directions of ORDER BY items."""
    return tuple(Direction(key.descending, key.nulls_first) for key in keys)


def order_codes(columns: Sequence[Column], order: Sequence[Direction]) -> list[KeyCodes]:
    """Codes that order the rows ascending: by the first, then the second, …

    As many keys as fit into 62 bits are packed into one tensor.
    """
    packed: list[KeyCodes] = []
    for column, direction in zip(columns, order, strict=True):
        for keys in _column_codes(column, direction):
            if packed and packed[-1].size * keys.size < LIMIT:
                last = packed.pop()
                keys = KeyCodes(last.codes * keys.size + keys.codes, last.size * keys.size)
            packed.append(keys)
    return packed


def _column_codes(column: Column, direction: Direction) -> list[KeyCodes]:
    parts, validity = key_parts(column), column.validity
    if validity is None:
        return [_part_codes(part, direction) for part in parts]
    if len(parts) == 1:
        keys = _part_codes(parts[0], direction)
        shift = int(direction.nulls_first)
        null = 0 if direction.nulls_first else keys.size
        return [KeyCodes((keys.codes + shift).masked_fill(~validity, null), keys.size + 1)]
    missing = validity if direction.nulls_first else ~validity
    rest = [_part_codes(part, direction) for part in parts]
    return [KeyCodes(missing.to(torch.int64), 2), *rest]


def _part_codes(part: Part, direction: Direction) -> KeyCodes:
    coder, codes = code_part(part, ordered=True)
    return KeyCodes(coder.size - 1 - codes if direction.descending else codes, coder.size)


def sort_rows(keys: Sequence[KeyCodes]) -> Tensor:
    """int64 rows in ascending order of the keys, at least one; equal ones in their own order."""
    order = kernels.argsort(keys[-1].codes)
    for key in reversed(keys[:-1]):
        order = order.index_select(0, kernels.argsort(key.codes.index_select(0, order)))
    return order


def first_rows(keys: Sequence[KeyCodes], rows: int, count: int) -> Tensor:
    """The first `count` of `sort_rows`, without sorting all rows."""
    if count * 4 >= rows or count == 0:
        return sort_rows(keys)[:count]
    largest = torch.topk(keys[0].codes, count, largest=False).values.max()
    near = kernels.nonzero(keys[0].codes <= largest)
    nearest = [KeyCodes(key.codes.index_select(0, near), key.size) for key in keys]
    return near.index_select(0, sort_rows(nearest)[:count]).to(torch.int64)


@dataclass(frozen=True)
class Partitions:
    """For each sorted row (int64 [n]): its partition and its peers (equal in the order) as
    start … stop - 1, and its frame as low … high - 1."""

    start: Tensor
    stop: Tensor
    peer_start: Tensor
    peer_stop: Tensor
    peer_group: Tensor
    low: Tensor
    high: Tensor

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.start.shape[0])

    @property
    def places(self) -> Tensor:
        """0, 1, 2, …"""
        return torch.arange(self.rows, device=self.start.device)


def partitions(numbers: Tensor, order: Sequence[KeyCodes], frame: WindowFrame | None) -> Partitions:
    """From the partition number and order keys of each row, rows sorted by both."""
    edge = _changes(numbers)
    start, stop, _ = _runs(edge)
    peer_edge = edge.clone()
    for key in order:
        peer_edge |= _changes(key.codes)
    peer_start, peer_stop, group = _runs(peer_edge) if order else (start, stop, edge.cumsum(0) - 1)
    whole = Partitions(start, stop, peer_start, peer_stop, group, start, peer_stop)
    if frame is None:
        return whole
    if frame.exclude not in ("", "no others"):
        raise UnsupportedError("window frames with EXCLUDE do not run yet")
    low, high = _end(whole, frame, frame.start, 0), _end(whole, frame, frame.end, 1)
    return Partitions(start, stop, peer_start, peer_stop, group, low, torch.maximum(low, high))


def _changes(values: Tensor) -> Tensor:
    """bool per row: it differs from the row before; the first row does."""
    edge = values.new_ones(values.shape, dtype=torch.bool)
    edge[1:] = values[1:] != values[:-1]
    return edge


def _runs(edge: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Start, stop and number of each row's run, from where runs begin."""
    starts = kernels.nonzero(edge).to(torch.int64)
    ends = torch.cat([starts[1:], starts.new_tensor([edge.shape[0]])])[: len(starts)]
    run = edge.cumsum(0) - 1
    return starts.index_select(0, run), ends.index_select(0, run), run


def _end(rows: Partitions, frame: WindowFrame, end: tuple[str, object], after: int) -> Tensor:
    """One end of the frame: its first row, or (`after`) the row after its last."""
    word, offset = end
    if word.startswith("unbounded"):
        return rows.start if word.endswith("preceding") else rows.stop
    if word == "current row":
        if frame.unit == "rows":
            return rows.places + after
        return rows.peer_stop if after else rows.peer_start
    assert isinstance(offset, Literal)
    far = min(int(offset.value), rows.rows + 1)  # what is further away is no row either
    distance = far * (-1 if word == "preceding" else 1)
    if frame.unit == "rows":
        return torch.clamp(rows.places + after + distance, rows.start, rows.stop)
    if frame.unit == "groups":
        return _group_end(rows, distance, after)
    raise UnsupportedError("RANGE frames with an offset do not run yet; use ROWS or GROUPS")


def _group_end(rows: Partitions, distance: int, after: int) -> Tensor:
    if rows.rows == 0:
        return rows.start
    firsts = kernels.first_by(rows.peer_group, int(rows.peer_group[-1]) + 1)
    bounds = torch.cat([firsts, firsts.new_tensor([rows.rows])])
    target = (rows.peer_group + distance + after).clamp(0, len(firsts))
    return torch.clamp(bounds.index_select(0, target), rows.start, rows.stop)
