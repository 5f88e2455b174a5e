"""What a statement answers: typed columns, or how many rows it changed; rows as Python objects."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import ConversionError, guarded
from tensorsql.storage.columns.arrays import one_array
from tensorsql.storage.columns.arrow_types import arrow_type
from tensorsql.storage.columns.types import Kind, Type

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Source
    from tensorsql.storage.columns.column import Batch, Column

BLOCK = 1 << 14  # rows between two looks at whether the fetching is cancelled
DAYS_PER_MONTH = 30  # what DuckDB's Python client counts


@dataclass
class Result:
    """Rows of a query (`ids` and `source`), or of a statement that has none (`names` is empty).

    `changes` is how many rows an INSERT, DELETE, UPDATE or COPY touched, else -1. `seconds` is the
    time the statement took.
    """

    names: tuple[str, ...] = ()
    types: tuple[Type, ...] = ()
    ids: tuple[int, ...] = ()
    source: Source | None = None
    table: pa.Table | None = None
    changes: int = -1
    seconds: float = 0.0

    @classmethod
    def of_rows(cls, names: Sequence[str], types: Sequence[Type], rows: Sequence[Any]) -> Result:
        """A result of Python rows, made without torch."""
        arrays = [
            pa.array([row[i] for row in rows], arrow_type(type)) for i, type in enumerate(types)
        ]
        return cls(tuple(names), tuple(types), table=pa.table(arrays, list(names)))

    @property
    def has_rows(self) -> bool:
        """Whether the statement was a query."""
        return bool(self.names)

    def batch(self) -> Batch:
        """All rows as one batch of tensors."""
        assert self.source is not None
        return self.source.read(0, 0) if self.source.morsels(0) else self._empty()

    def _empty(self) -> Batch:
        from tensorsql.operators.runtime.kept_rows import KeptRows

        return KeptRows(tuple(zip(self.ids, self.types, strict=True))).table()

    def columns(self) -> list[Column]:
        """The result's columns, in order, as tensors."""
        batch = self.batch()
        return [batch.column(id) for id in self.ids]

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table; names may repeat, as in the query."""
        if self.table is None:
            from tensorsql.storage.columns.arrow import to_arrow

            arrays = []
            for column in self.columns() if self.names else ():
                check_cancelled()
                arrays.append(to_arrow(column))
            self.table = pa.Table.from_arrays(arrays, names=list(self.names))
        return self.table

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as Python values."""
        lists = [column.to_pylist() for column in self.arrow().columns]
        return list(zip(*lists, strict=True))


class ResultRows:
    """The rows of a query's result; its length is their number."""

    def __init__(self, result: Result) -> None:
        self.names = result.names
        self.types = result.types
        self._result = result

    def __len__(self) -> int:
        table = self._result.table
        return table.num_rows if table is not None else len(self._columns[0])

    @cached_property
    def _columns(self) -> list[Column]:
        with guarded():
            return self._result.columns()

    def arrow(self, start: int, stop: int) -> pa.Table:
        """Rows start … stop - 1 as an Arrow table."""
        if self._result.table is not None:
            return self._result.table.slice(start, stop - start)
        if (start, stop) == (0, len(self)):
            return self._result.arrow()
        from tensorsql.storage.columns.arrow import to_arrow
        from tensorsql.storage.columns.column import slice_column

        arrays = []
        for column in self._columns:
            check_cancelled()
            arrays.append(to_arrow(slice_column(column, start, stop)))
        return pa.Table.from_arrays(arrays, names=list(self.names))

    def python(self, start: int, stop: int) -> list[tuple[Any, ...]]:
        """Rows start … stop - 1 as tuples of Python objects."""
        table = self.arrow(start, stop)
        rows: list[tuple[Any, ...]] = []
        for first in range(0, stop - start, BLOCK):
            lists = []
            for part, type in zip(table.slice(first, BLOCK).columns, self.types, strict=True):
                check_cancelled()
                lists.append(python_values(part, type))
            rows += zip(*lists, strict=True)
        return rows


def python_values(array: pa.Array | pa.ChunkedArray, type: Type) -> list[Any]:
    """The values as Python objects, NULL as None.

    BOX is a tuple of four floats, MASK and TENSOR are numpy arrays (a mask's stored pixels), UUID
    is `uuid.UUID`, INTERVAL a timedelta whose months count 30 days. ConversionError for a date or
    time that Python's types cannot hold.
    """
    whole = one_array(array)
    convert = CONVERSIONS.get(type.kind)
    try:
        return whole.to_pylist() if convert is None else convert(whole, type)
    except (OverflowError, ValueError) as error:
        raise ConversionError(
            f"a {type} does not fit Python's type ({error}); fetch_arrow_table has it"
        ) from None


def _each(convert: Callable[[Any], Any]) -> Callable[[pa.Array, Type], list[Any]]:
    def values(array: pa.Array, _: Type) -> list[Any]:
        return [None if value is None else convert(value) for value in array.to_pylist()]

    return values


def _timedelta(value: Any) -> datetime.timedelta:
    days = value.months * DAYS_PER_MONTH + value.days
    return datetime.timedelta(days=days, microseconds=value.nanoseconds // 1000)


def _list(array: pa.Array, type: Type) -> list[Any]:
    assert type.child is not None
    flat = python_values(array.flatten(), type.child)
    values, start = [], 0
    for length in array.value_lengths().to_pylist():
        stop = start + (length or 0)
        values.append(None if length is None else flat[start:stop])
        start = stop
    return values


def _struct(array: pa.Array, type: Type) -> list[Any]:
    names = [name for name, _ in type.fields]
    parts = [python_values(array.field(i), kind) for i, (_, kind) in enumerate(type.fields)]
    valid = array.is_valid().to_pylist()
    rows = zip(*parts, strict=True) if parts else ((),) * len(array)
    return [
        dict(zip(names, row, strict=True)) if there else None
        for row, there in zip(rows, valid, strict=True)
    ]


def _mask(array: pa.Array, type: Type) -> list[Any]:
    return [_pixels(lines.values, type) if lines.is_valid else None for lines in array]


def _pixels(lines: pa.Array, type: Type) -> Any:
    stored = _numbers(lines.flatten(), type)
    return stored.reshape(len(lines), -1 if len(stored) else 0)


def _tensor(array: pa.Array, type: Type) -> list[Any]:
    if not type.shape:
        return [_numbers(row.values, type) if row.is_valid else None for row in array]
    # `values` has the numbers of rows outside a slice too
    storage = array.storage
    numbers = _numbers(storage.values, type).reshape(-1, *type.shape)
    rows = numbers[storage.offset : storage.offset + len(storage)]
    valid = array.is_valid().to_pylist()
    return [row if there else None for row, there in zip(rows, valid, strict=True)]


def _numbers(array: pa.Array, type: Type) -> Any:
    numbers = array.to_numpy(zero_copy_only=False)
    return numbers.view(np.bool_) if type.element == "bool" else numbers


CONVERSIONS: dict[Kind, Callable[[pa.Array, Type], list[Any]]] = {
    Kind.HUGEINT: _each(int),
    Kind.UUID: _each(uuid.UUID),
    Kind.INTERVAL: _each(_timedelta),
    Kind.BOX: _each(lambda corners: tuple(corners.values())),
    Kind.LIST: _list,
    Kind.STRUCT: _struct,
    Kind.MASK: _mask,
    Kind.TENSOR: _tensor,
}
