"""Bounds of expressions: compiled once to a tree, evaluated per batch to an `Interval` per row.

They lie on the CPU, where indexes are read and the best of them are sought.

A call that an index covers becomes a probe; a part without costly calls is evaluated exactly and is
its own bounds; everything between is composed by the rules of `planner.intervals`; what has no
rule, or raises an error in some row, is unbounded there and decided by exact evaluation later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorsql.errors import Error
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.expressions.evaluate import Evaluator, compile_expressions
from tensorsql.operators.indexes import INDEXES
from tensorsql.operators.indexes.protocol import Probe
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.analysis.index_use import INDEX_METHODS
from tensorsql.planner.analysis.interval_rules import compose
from tensorsql.planner.analysis.intervals import EXACT, INFINITY, Interval, constant, unknown
from tensorsql.planner.plans.expressions import COSTLY, Call, ColumnRef, Expression, Literal, walk
from tensorsql.planner.plans.index_plans import IndexUse
from tensorsql.storage.columns.changes import expand, to_device, widen
from tensorsql.storage.columns.column import (
    CPU,
    Batch,
    Column,
    Constant,
    RowRef,
    Wide,
    present_rows,
)
from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.tables.catalog import IndexEntry


@dataclass(frozen=True)
class Bounds:
    """A compiled expression: its interval per selected row of a batch (or for all of them).

    `probe` is the index behind it, if it is one call that an index covers, and `row_id` the column
    of the row ids it speaks of.
    """

    interval: Callable[[Batch], Interval]
    probe: Probe | None = None
    row_id: int = -1


def fixed(interval: Interval) -> Bounds:
    """The same bounds for every row."""
    return Bounds(lambda batch: interval)


def evaluated(type: Type, evaluator: Evaluator) -> Bounds:
    """A cheap expression's value; unbounded if a row raises an error, which verification meets."""

    def interval(batch: Batch) -> Interval:
        try:
            (column,) = evaluator(batch)
        except Error:
            return unknown(type)
        return exact_interval(to_device(column, CPU))

    return Bounds(interval)


def probed(type: Type, probe: Probe, arguments: Evaluator, row_id: int) -> Bounds:
    """What the index says of a call; rows without a row id are of no table and unbounded."""

    def interval(batch: Batch) -> Interval:
        try:
            values = arguments(batch)
        except Error:
            return unknown(type)
        return probe.bounds(row_ids(batch, row_id), [to_device(each, CPU) for each in values])

    return Bounds(interval, probe, row_id)


def composed(call: Call, arguments: Sequence[Bounds]) -> Bounds:
    """A call over bounded arguments, by the call's rule."""
    return Bounds(lambda batch: compose(call, [each.interval(batch) for each in arguments]))


def row_ids(batch: Batch, id: int) -> Tensor:
    """int64 row ids, -1 where an outer join found no row."""
    column = to_device(batch.column(id), CPU)
    ids = values_of(column).to(torch.int64)
    return ids if column.validity is None else ids.masked_fill(~column.validity, -1)


class BoundsCompiler:
    """Compiles expressions over the columns of one input and the indexes over it."""

    def __init__(self, indexes: Sequence[IndexUse], context: Context) -> None:
        self._indexes = indexes
        self._context = context

    def compile(self, expression: Expression) -> Bounds:
        """The bounds of an expression."""
        if isinstance(expression, Literal):
            return fixed(constant(expression.value))
        if not is_costly(expression):
            if not expression.type.is_bounded:
                return fixed(unknown(expression.type))
            return evaluated(expression.type, compile_expressions([expression], self._context))
        if not isinstance(expression, Call):
            return fixed(unknown(expression.type))
        of_index = self._probed(expression)
        return of_index or composed(expression, [self.compile(arg) for arg in expression.args])

    def _probed(self, call: Call) -> Bounds | None:
        """The probe of an index that covers the call."""
        use = self.use(call)
        if use is None or any(is_costly(arg) for arg in call.args[1:]):
            return None
        row_id, entry = use
        probe = INDEXES[entry.method].prepare(entry, call, self._context)
        arguments = compile_expressions(call.args[1:], self._context)
        return probed(call.type, probe, arguments, row_id.id)

    def use(self, call: Call) -> tuple[ColumnRef, IndexEntry] | None:
        """The index that covers the call, as the run's snapshot has it, and the row id."""
        first = call.args[0] if call.args else None
        for column, name, row_id, record in self._indexes:
            entry = self._context.index(record)
            same = isinstance(first, ColumnRef) and first.id == column.id
            if same and entry and INDEX_METHODS[entry.method].covers(entry, call, name):
                return row_id, entry
        return None


def is_costly(expression: Expression) -> bool:
    """Whether evaluating it costs more than reading bounds."""
    return any(isinstance(e, Call) and e.function.cost >= COSTLY for e in walk(expression))


def exact_interval(column: Column) -> Interval:
    """Known values as bounds: a few roundings wide where a value is not a double itself."""
    length = len(column)
    if isinstance(column, Constant):
        one = exact_interval(expand(column.one))
        parts = (one.lower, one.upper, one.may_be_null, one.may_be_nan)
        return Interval(*(part.expand(length) for part in parts))
    numbers, exact = _doubles(widen(column))
    margin = (numbers.abs() * 2.0**-50).masked_fill(exact, 0)
    lower, upper = numbers - margin, numbers + margin
    nan = torch.isnan(numbers)
    null = ~present_rows(column)
    nothing = nan | null
    lower, upper = lower.masked_fill(nothing, INFINITY), upper.masked_fill(nothing, -INFINITY)
    return Interval(lower, upper, null, nan & ~null)


def _doubles(column: Column) -> tuple[Tensor, Tensor]:
    """Values as doubles, rounded a few times at most, and which of them are exact."""
    if isinstance(column, Wide):
        low = column.lo.double() + (column.lo < 0).double() * 2.0**64
        # HUGEINT sums mostly fit one word, where they are as exact as a BIGINT.
        one_word = (column.hi == 0) == (column.lo >= 0)
        one_word &= (column.hi == 0) | (column.hi == -1)
        values = torch.where(one_word, column.lo.double(), column.hi.double() * 2.0**64 + low)
        whole = one_word & (not column.type.scale)
    else:
        values = values_of(column).double()
        if column.type.kind is Kind.DECIMAL and column.type.scale:
            whole = values_of(column) % 10**column.type.scale == 0
        else:
            whole = torch.ones_like(values, dtype=torch.bool)
    exact = whole & (values.abs() <= EXACT) | column.type.is_float
    return values / 10.0 ** _scale(column.type), exact


def _scale(type: Type) -> int:
    return type.scale if type.kind is Kind.DECIMAL else 0


def full_interval(value: Interval, rows: int) -> Interval:
    """Bounds and flags as tensors of `rows` entries."""

    def full(part: object, dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(part, dtype=dtype, device=CPU).expand(rows)

    return Interval(
        full(value.lower, torch.float64),
        full(value.upper, torch.float64),
        full(value.may_be_null, torch.bool),
        full(value.may_be_nan, torch.bool),
    )


def key_interval(key: Column) -> Interval:
    """The exact bounds of a number; any other key stays open."""
    if key.type.is_bounded:
        return full_interval(exact_interval(to_device(key, CPU)), len(key))
    return open_interval(len(key))


def open_interval(rows: int) -> Interval:
    """Bounds of a key that does not order as a number: nothing below it can be skipped."""
    return full_interval(Interval(-INFINITY, INFINITY), rows)


def bytes_read(batch: Batch) -> int:
    """Bytes this thread has fetched so far from the sources of the batch's late columns."""
    sources = {
        id(column.source): column.source
        for column in batch.columns.values()
        if isinstance(column, RowRef)
    }
    return sum(getattr(source, "bytes_read", 0) for source in sources.values())
