"""Aggregate kernels of means and products of deviations from them: variance, covariance, CORR."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.keys.grouping import Collecting, Grouped, Reducing, State
from tensorsql.planner.plans.expressions import AggregateCall
from tensorsql.storage.columns.column import Column, Flat
from tensorsql.storage.columns.rounding import square_root
from tensorsql.storage.columns.types import BIGINT, DOUBLE


class Moments(Reducing):
    """State: the rows, the mean of each argument, and the sums of products of deviations from the
    means, one for each of `pairs` of arguments. Both in two passes; equal values deviate by 0.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self.pairs = pairs

    def partial(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> State:
        values = [values_of(argument).double() for argument in arguments]
        return self._state(rows, None, values, [None] * len(self.pairs))

    def combine(self, rows: Grouped, state: State, call: AggregateCall) -> State:
        counts, *parts = (values_of(column) for column in state)
        split = len(parts) - len(self.pairs)
        return self._state(rows, counts, parts[:split], parts[split:])

    def _state(
        self,
        rows: Grouped,
        counts: Tensor | None,
        values: Sequence[Tensor],
        sums: Sequence[Tensor | None],
    ) -> State:
        """Of rows, or (with counts and sums) of states whose means are the values."""
        sizes = rows.sizes if counts is None else rows.sums(counts)
        means = [_mean(rows, counts, sizes, each) for each in values]
        apart = [
            each - mean.index_select(0, rows.numbers)
            for each, mean in zip(values, means, strict=True)
        ]
        products = [
            _added(rows, _times(apart[one] * apart[other], counts), own)
            for (one, other), own in zip(self.pairs, sums, strict=True)
        ]
        columns = [Flat(DOUBLE, each) for each in (*means, *products)]
        return (Flat(BIGINT, sizes, rows.present), *columns)


def _mean(rows: Grouped, counts: Tensor | None, sizes: Tensor, values: Tensor) -> Tensor:
    """float64 mean per group, by what values are more than the group's last one."""
    last = rows.numbers.new_zeros(rows.count, dtype=torch.float64)
    kernels.write(last, rows.numbers, values)
    more = _times(values - last.index_select(0, rows.numbers), counts)
    return last + kernels.sum_by(rows.numbers, rows.count, more) / sizes.clamp(min=1)


def _times(values: Tensor, counts: Tensor | None) -> Tensor:
    return values if counts is None else values * counts


def _added(rows: Grouped, products: Tensor, own: Tensor | None) -> Tensor:
    return kernels.sum_by(rows.numbers, rows.count, products if own is None else own + products)


def _nullable(values: Tensor, present: Tensor) -> Column:
    if bool(present.all()):
        return Flat(DOUBLE, values)
    return Flat(DOUBLE, values.masked_fill(~present, 0), present)


class PairedCovariance(Moments):
    """Mean product of deviations from the means; of x with itself: the variance.

    `sample` divides by n - 1 and is NULL for one row; `root` takes the square root.
    """

    def __init__(self, arguments: int, sample: bool, root: bool = False) -> None:
        super().__init__([(0, arguments - 1)])
        self.sample = sample
        self.root = root

    def final(self, state: State, call: AggregateCall) -> Column:
        sizes, sums = values_of(state[0]), values_of(state[-1])
        result = sums / (sizes - int(self.sample)).clamp(min=1)
        if len(state) == 3:  # one value varies by nothing, even if it is no number
            result = result.masked_fill(sizes <= 1, 0)
        return _nullable(square_root(result) if self.root else result, sizes > int(self.sample))


class PairedCorrelation(Moments):
    """CORR(y, x): covariance over both deviations; NaN where one of them does not vary."""

    def __init__(self) -> None:
        super().__init__(list(combinations_with_replacement(range(2), 2)))

    def final(self, state: State, call: AggregateCall) -> Column:
        yy, yx, xx = (values_of(column) for column in state[-3:])
        return _nullable(yx / (square_root(xx) * square_root(yy)), values_of(state[0]) > 0)


class InRowOrder(Collecting):
    """Of all rows in their order, and of long frames by states."""

    paired: Reducing

    def __init__(self, paired: Reducing) -> None:
        self.paired = paired

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        return self.paired.whole(rows, arguments, call)


var_pop = InRowOrder(PairedCovariance(1, sample=False))
var_samp = InRowOrder(PairedCovariance(1, sample=True))
stddev_pop = InRowOrder(PairedCovariance(1, sample=False, root=True))
stddev_samp = InRowOrder(PairedCovariance(1, sample=True, root=True))
covar_pop = InRowOrder(PairedCovariance(2, sample=False))
covar_samp = InRowOrder(PairedCovariance(2, sample=True))
correlation = InRowOrder(PairedCorrelation())
