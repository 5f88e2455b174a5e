"""Aggregate kernels over whole groups: products, quantiles, mode, lists, joined text."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.columns.literals import wide_numbers, wide_of
from tensorsql.operators.keys.grouping import Collecting, Grouped, RankedRows, Ranking
from tensorsql.operators.keys.key_codes import group_rows
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.changes import expand, two_words
from tensorsql.storage.columns.column import Bytes, Column, Flat, List, take
from tensorsql.storage.columns.concat import bytes_of, concat
from tensorsql.storage.columns.ragged import cumulated, ragged_take
from tensorsql.storage.columns.rounding import multiply_add
from tensorsql.storage.columns.types import BIGINT, DOUBLE, VARCHAR

EXACT = 1 << 53  # whole numbers below are doubles


class Product(Collecting):
    """PRODUCT of numbers, multiplied in row order."""

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        table = rows.numbers.new_ones(rows.count, dtype=torch.float64)
        table.scatter_reduce_(0, rows.numbers, values_of(arguments[0]).double(), "prod")
        return Flat(
            DOUBLE,
            table if rows.present is None else table.masked_fill(~rows.present, 0),
            rows.present,
        )


class Quantile(Ranking):
    """QUANTILE_CONT and QUANTILE_DISC(x, share), and MEDIAN(x): the share's place in order.

    Continuous ones lie between two neighbours; on DECIMAL they are cut to its digits. A call with
    an ORDER BY counts its share from the largest value.
    """

    def __init__(self, continuous: bool) -> None:
        self.continuous = continuous

    def of_ranks(
        self, rows: RankedRows, arguments: Sequence[Column], call: AggregateCall
    ) -> Column:
        column = expand(arguments[0])
        row, last = rows.ranked(column), (rows.sizes - 1).clamp(min=0)

        def value(place: Tensor) -> Column:
            return rows.pick(column, row(last - place if call.order_by else place))

        share: Tensor | float = 0.5
        if len(arguments) > 1:
            share = values_of(rows.pick(arguments[1], rows.first())).double()
            if not bool(((share >= 0) & (share <= 1)).all()):
                raise OutOfRangeError("the share of a quantile is between 0 and 1")
        if not self.continuous:
            return value((torch.ceil(rows.sizes * share) - 1).clamp(min=0).to(torch.int64))
        exact = last.double() * share
        below = exact.floor().to(torch.int64)
        low, high = value(below), value(exact.ceil().to(torch.int64))
        if call.type.is_wide:
            return _between_words(call, low, high, exact - below, rows.present)
        return _between(call, values_of(low), values_of(high), exact - below, rows.present)


def _between(
    call: AggregateCall, low: Tensor, high: Tensor, share: Tensor, present: Tensor | None
) -> Column:
    if low.is_floating_point():
        dtype, low, high = low.dtype, low.double(), high.double()
        mixed = torch.where(low == high, low, multiply_add(low, 1 - share, high * share))
        return Flat(call.type, mixed.to(dtype), present)
    part = (high - low).double() * share
    near = (low.double() + part).trunc()  # digits are cut off, towards zero
    whole = part.trunc()
    far = low + whole.to(low.dtype)
    sure = (low.abs() < EXACT) & (high.abs() < EXACT)
    return Flat(call.type, torch.where(sure, near.to(low.dtype), far), present)


def _between_words(
    call: AggregateCall, low: Column, high: Column, share: Tensor, present: Tensor | None
) -> Column:
    """Exactly, and once per group: digits are cut off, towards zero."""
    ends = (wide_numbers(two_words(expand(each))) for each in (low, high))
    mixed = [_mixed(*each) for each in zip(*ends, share.tolist(), strict=True)]
    return wide_of(mixed, call.type, present, share.device)


def _mixed(low: int, high: int, share: float) -> int:
    apart = high - low
    return low + int(apart * (share if abs(apart) < EXACT else Fraction(share)))


class Mode(Collecting):
    """MODE(x): the value that occurs most, the first of several such."""

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        column = arguments[0]
        values = group_rows([Flat(BIGINT, rows.numbers), column])
        sizes = kernels.count_by(values.numbers, values.count)
        owner = rows.numbers.index_select(0, values.first)
        best = kernels.extreme_by(owner, rows.count, sizes, largest=True)
        hits = kernels.nonzero(sizes == best.index_select(0, owner))
        leading = Grouped(owner.index_select(0, hits), rows.count).first()
        if int(hits.shape[0]) == 0:
            return rows.pick(column, leading)
        first = values.first.index_select(0, hits).index_select(0, leading.clamp(min=0))
        return rows.pick(column, first.masked_fill(leading < 0, -1))


class Collected(Collecting):
    """LIST(x): all values in row order, NULLs too; NULL for no rows."""

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        order = kernels.argsort(rows.numbers)
        child = take(expand(arguments[0]), order)
        return List(call.type, cumulated(rows.sizes), child, rows.present)


class Joined(Collecting):
    """STRING_AGG(text, separator): the texts in row order, the separator (a comma) between."""

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        texts = _as_bytes(arguments[0])
        separators = _as_bytes(arguments[1]) if len(arguments) > 1 else _commas(texts)
        order = kernels.argsort(rows.numbers)
        count = int(order.shape[0])
        nothing = Bytes(call.type, order.new_zeros(2), texts.data[:0])
        both = concat([nothing, texts, separators])
        assert isinstance(both, Bytes)
        before = order + 1 + count
        before[rows.starts[rows.sizes > 0]] = 0  # nothing stands before a group's first text
        pieces = torch.stack([before, order + 1], 1).reshape(-1)
        offsets, inside = ragged_take(both.offsets, pieces)
        ends = offsets.index_select(0, 2 * cumulated(rows.sizes))
        return Bytes(call.type, ends, both.data.index_select(0, inside), rows.present)


def _commas(texts: Bytes) -> Bytes:
    offsets = torch.arange(len(texts) + 1, device=texts.offsets.device)
    return Bytes(VARCHAR, offsets, torch.full_like(offsets[1:], ord(","), dtype=torch.uint8))


def _as_bytes(column: Column) -> Bytes:
    column = bytes_of(expand(column))
    assert isinstance(column, Bytes)
    return column


product = Product()
quantile_cont = Quantile(continuous=True)
quantile_disc = Quantile(continuous=False)
mode = Mode()
collected = Collected()
joined = Joined()
