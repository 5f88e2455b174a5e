"""Aggregate kernels: counts, sums, averages, extremes, first and last values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tensorsql.errors import OutOfRangeError
from tensorsql.operators import kernels
from tensorsql.operators.columns import wide
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.keys.grouping import (
    Collecting,
    Grouped,
    RankedRows,
    Ranking,
    Reducing,
    State,
)
from tensorsql.operators.keys.key_codes import KeyCodes
from tensorsql.operators.keys.ordering import Direction, order_codes, sort_rows
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.changes import expand, two_words
from tensorsql.storage.columns.column import Column, Flat, Wide
from tensorsql.storage.columns.types import BIGINT, DOUBLE, HUGEINT, Kind

_LOW = 0xFFFFFFFF


class CountDistinct(Ranking):
    """COUNT(DISTINCT x), and APPROX_COUNT_DISTINCT(x), counted exactly, too."""

    def of_ranks(
        self, rows: RankedRows, arguments: Sequence[Column], call: AggregateCall
    ) -> Column:
        return Flat(BIGINT, rows.distinct(arguments))


class Count(Reducing):
    """COUNT(*) and COUNT(x): rows that count; 0 for none."""

    of_distinct = CountDistinct()

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        return (Flat(BIGINT, rows.sizes),)

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        return (Flat(BIGINT, rows.sums(values_of(state[0]).to(torch.int64))),)


class IntegerSum(Reducing):
    """SUM of integers, booleans and decimals, exact in 128 bits; an overflow is an error.

    Only the whole sum must fit: a wide argument's state counts what its partial sums carry.
    """

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        return _sums(rows, expand(arguments[0]), None, call)

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        return _sums(rows, state[0], state[-1], call)

    def final(self, state: State, call: AggregateCall) -> Column:
        total = state[0]
        _check_range(state[1:])
        if isinstance(total, Wide) and call.type.kind is Kind.DECIMAL:
            limit = 10**call.type.precision - 1
            if bool(wide.outside((total.hi, total.lo), -limit, limit).any()):
                raise OutOfRangeError(
                    f"the sum does not fit {call.type}; cast its argument to DOUBLE"
                )
        words = two_words(total)
        return Wide(call.type, words.hi, words.lo, words.validity)


class IntegerAverage(Reducing):
    """AVG of integers and decimals: the exact sum, divided once."""

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        total, *carried = _sums(rows, expand(arguments[0]), None, call)
        return (total, Flat(BIGINT, rows.sizes), *carried)

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        counts = rows.sums(values_of(state[1]))
        total, *carried = _sums(rows, state[0], state[-1], call)
        return (total, Flat(BIGINT, counts), *carried)

    def final(self, state: State, call: AggregateCall) -> Column:
        total, counts = state[0], values_of(state[1])
        _check_range(state[2:])
        argument = call.args[0].type
        scale = 10**argument.scale if argument.kind is Kind.DECIMAL else 1
        words = two_words(total)
        values = kernels.quotient(words.hi, words.lo, counts.clamp(min=1), scale)
        return Flat(DOUBLE, values, total.validity)


def _sums(rows: Grouped, column: Column, carried: Column | None, call: AggregateCall) -> State:
    """Sums as BIGINT where they must fit, else as HUGEINT; of wide ones, what they carry, too."""
    total, carry = _sum(rows, column)
    if not call.args[0].type.is_wide:
        return (total,)
    carry = rows.numbers.new_zeros(rows.count) if carry is None else carry
    carry = carry if carried is None else carry + rows.sums(values_of(carried))
    return (total, Flat(BIGINT, carry))


def _check_range(carried: State) -> None:
    """Sums that carry anything past 128 bits are out of range."""
    if any(bool(values_of(each).any()) for each in carried):
        raise OutOfRangeError("the sum is out of the range of HUGEINT; cast its argument to DOUBLE")


def _sum(rows: Grouped, column: Column) -> tuple[Column, Tensor | None]:
    if isinstance(column, Wide):
        values = column.lo
        if not bool((column.hi == values >> 63).all()):
            return _limb_sum(rows, column.hi, values)
    else:
        values = values_of(column)
    count = int(values.shape[0])
    if count and not _fits(values, count):
        values = values.to(torch.int64)
        return _limb_sum(rows, values >> 63, values)
    return Flat(BIGINT, rows.sums(values.to(torch.int64)), rows.present), None


def _fits(values: Tensor, count: int) -> bool:
    """Whether no sum of `count` of the values can leave int64."""
    if values.dtype != torch.int64:
        return count < 2**31
    low, high = kernels.bounds(values)
    return max(-low, high) * count < 2**63


def _limb_sum(rows: Grouped, hi: Tensor, lo: Tensor) -> tuple[Wide, Tensor]:
    """Sums of 32-bit limbs in int64, which hold 2**31 rows, and how often 2**128 is missing."""
    limbs = (lo & _LOW, (lo >> 32) & _LOW, hi & _LOW, hi >> 32)
    first, second, third, last = (kernels.sum_by(rows.numbers, rows.count, each) for each in limbs)
    second = second + (first >> 32)
    third = third + (second >> 32)
    last = last + (third >> 32)
    high, low = (last << 32) | (third & _LOW), (second << 32) | (first & _LOW)
    return Wide(HUGEINT, high, low, rows.present), (last + 2**31) >> 32


class PairedSum(Reducing):
    """SUM of floats, added in pairs of rows, then of pairs, …"""

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        sums = kernels.sum_by(rows.numbers, rows.count, values_of(arguments[0]).double())
        return (Flat(DOUBLE, sums, rows.present),)

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        return self.partial(rows, state, call)


class PairedAverage(PairedSum):
    """AVG of floats: the sum in pairs, divided."""

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        return (*super().partial(rows, arguments, call), Flat(BIGINT, rows.sizes))

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        return (*super().partial(rows, state, call), Flat(BIGINT, rows.sums(values_of(state[1]))))

    def final(self, state: State, call: AggregateCall) -> Column:
        sums, counts = (values_of(column) for column in state)
        return Flat(DOUBLE, sums / counts.clamp(min=1), state[0].validity)


class FloatSum(Collecting):
    """SUM of floats, added in row order."""

    paired = PairedSum()

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        sums = kernels.sum_by(rows.numbers, rows.count, values_of(arguments[0]).double())
        return Flat(DOUBLE, sums, rows.present)


class FloatAverage(Collecting):
    """AVG of floats: the sum in row order, divided."""

    paired = PairedAverage()

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        return Flat(DOUBLE, means(rows, values_of(arguments[0])), rows.present)


def means(rows: Grouped, values: Tensor) -> Tensor:
    """float64 mean per group, 0 for groups without rows."""
    sums = kernels.sum_by(rows.numbers, rows.count, values.double())
    return sums / rows.sizes.clamp(min=1)


class Extreme(Reducing):
    """MIN and MAX of any type that orders; NaN is the greatest number."""

    def __init__(self, largest: bool) -> None:
        self.largest = largest

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        column = expand(arguments[0])
        if isinstance(column, Flat) and column.values.dim() == 1:
            values = self._numbers(rows, column.values)
            if rows.present is not None:
                values = values.masked_fill(~rows.present, 0)
            return (Flat(column.type, values, rows.present),)
        return (rows.pick(column, extreme_rows(rows, column, self.largest)),)

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        return self.partial(rows, state, call)

    def _numbers(self, rows: Grouped, values: Tensor) -> Tensor:
        if values.is_floating_point():
            bits = kernels.float_bits(values)
            best = kernels.extreme_by(rows.numbers, rows.count, bits, self.largest)
            return kernels.bits_to_float(best).to(values.dtype)
        own = values.to(torch.int8) if values.dtype == torch.bool else values
        return kernels.extreme_by(rows.numbers, rows.count, own, self.largest).to(values.dtype)


def extreme_rows(rows: Grouped, column: Column, largest: bool) -> Tensor:
    """int64 first row of each group with its extreme value, -1 where it has no rows."""
    keys = order_codes([column], [Direction()])
    codes = keys[0].codes
    if len(keys) > 1:  # too wide for one tensor: rank the rows by all of it
        codes = _ranks(keys)
    best = kernels.extreme_by(rows.numbers, rows.count, codes, largest)
    hits = kernels.nonzero(codes == best.index_select(0, rows.numbers))
    first = Grouped(rows.numbers.index_select(0, hits), rows.count).first()
    if int(hits.shape[0]) == 0:
        return first
    return hits.index_select(0, first.clamp(min=0)).to(torch.int64).masked_fill_(first < 0, -1)


def _ranks(keys: Sequence[KeyCodes]) -> Tensor:
    order = sort_rows(keys)
    changed = torch.zeros_like(order, dtype=torch.bool)
    for key in keys:
        codes = key.codes.index_select(0, order)
        changed[1:] |= codes[1:] != codes[:-1]
    ranks = torch.empty_like(order)
    ranks[order] = changed.cumsum(0)
    return ranks


class Edge(Reducing):
    """FIRST, LAST and ANY_VALUE in row order; the signature says whether NULLs count."""

    def __init__(self, last: bool = False) -> None:
        self.last = last

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        edges = kernels.last_by(rows.numbers, rows.count) if self.last else rows.first()
        return (Flat(BIGINT, rows.sizes, rows.present), rows.pick(arguments[0], edges))

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        return self.partial(rows, state[1:], call)

    def final(self, state: State, call: AggregateCall) -> Column:
        return state[1]


class ArgExtreme(Reducing):
    """ARG_MIN(x, by) and ARG_MAX(x, by): x of the first row with the extreme `by`."""

    def __init__(self, largest: bool) -> None:
        self.largest = largest

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        extremes = extreme_rows(rows, arguments[1], self.largest)
        return rows.pick(arguments[1], extremes), rows.pick(arguments[0], extremes)

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        return self.partial(rows, state[::-1], call)

    def final(self, state: State, call: AggregateCall) -> Column:
        return state[1]


count = Count()
count_distinct = CountDistinct()
integer_sum = IntegerSum()
integer_average = IntegerAverage()
float_sum = FloatSum()
float_average = FloatAverage()
minimum = Extreme(largest=False)
maximum = Extreme(largest=True)
first = Edge()
last = Edge(last=True)
arg_min = ArgExtreme(largest=False)
arg_max = ArgExtreme(largest=True)
