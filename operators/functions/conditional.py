"""CASE, COALESCE, GREATEST, LEAST: for each row, one of several columns.

The evaluator has already computed every operand, each for the rows that need it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tensorsql.operators.columns.layouts import null_constant, true_rows, values_of
from tensorsql.operators.functions.comparison import compare
from tensorsql.operators.functions.registry import Extent
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.column import Column, Constant, Flat, bare, take
from tensorsql.storage.columns.concat import concat


def case(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """(condition, value)… and the ELSE value: the first value whose condition is TRUE."""
    conditions, values = arguments[:-1:2], [*arguments[1:-1:2], arguments[-1]]
    place = _filled(extent, len(conditions))
    for index in reversed(range(len(conditions))):
        place = place.masked_fill(true_rows(conditions[index]), index)
    return choose(place, values)


def coalesce(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """The first value that is not NULL."""
    place = _filled(extent, len(arguments) - 1)
    for index in reversed(range(len(arguments) - 1)):
        validity = arguments[index].validity
        if validity is None:
            place = torch.full_like(place, index)
        else:
            place = place.masked_fill(validity, index)
    return choose(place, arguments)


def _filled(extent: Extent, value: int) -> Tensor:
    return torch.full((extent.count,), value, dtype=torch.int32, device=extent.device)


def greatest(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """The greatest value that is not NULL."""
    return _extreme("gt", arguments, call, extent)


def least(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """The least value that is not NULL."""
    return _extreme("lt", arguments, call, extent)


def _extreme(name: str, arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    best = arguments[0]
    for other in arguments[1:]:
        better = compare(name, other, best)
        if other.validity is not None:
            better = better & other.validity
        if best.validity is not None:
            better = better | best.validity.logical_not()
        best = choose(better.logical_not().to(torch.int32), [other, best])
    return best


def choose(place: Tensor, columns: Sequence[Column]) -> Column:
    """Row i of columns[place[i]]; `place` is int32 [n], the columns are of one type and n rows."""
    if len(columns) == 2 and all(_is_plain(column) for column in columns):
        first = place == 0
        a, b = (values_of(column) for column in columns)
        return Flat(columns[0].type, torch.where(first, a, b), _chosen_validity(first, columns))
    count = int(place.shape[0])
    if count == 0:
        return null_constant(columns[0].type, 0, place.device)
    parts = [bare(column) for column in columns]
    lengths = torch.tensor([len(part) for part in parts], device=place.device)
    starts = torch.cumsum(lengths, 0) - lengths
    moving = lengths.new_tensor([not isinstance(column, Constant) for column in columns])
    rows = torch.arange(count, device=place.device) * moving.index_select(0, place)
    return take(concat(parts), starts.index_select(0, place) + rows)


def _is_plain(column: Column) -> bool:
    one = bare(column)
    return isinstance(one, Flat) and one.values.dim() == 1


def _chosen_validity(first: Tensor, columns: Sequence[Column]) -> Tensor | None:
    a, b = (column.validity for column in columns)
    if a is None and b is None:
        return None
    true = torch.ones_like(first[:1])
    return torch.where(first, true if a is None else a, true if b is None else b)
