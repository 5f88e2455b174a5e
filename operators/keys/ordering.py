"""Ordering: ORDER BY keys as integers, and stable permutations by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.keys.key_codes import LIMIT, KeyCodes, code_part
from tensorsql.operators.keys.key_parts import Part, key_parts
from tensorsql.planner.plans.expressions import SortKey
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
