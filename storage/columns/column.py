"""Columns: a closed union of layouts over tensors, and `Batch`, the unit operators pass on.

Every column has a SQL `type` and a `validity` tensor (bool, True = valid) or None when all rows are
valid. Values under NULL are zeros, in-domain, so kernels may compute on them. Storage may be
narrower than the type (an INTEGER column in int8): `evaluate` alone widens, by `widen`. Kernels
never write their inputs. Columns are immutable.

| layout | tensors | types |
|---|---|---|
| Flat | values [n] or [n, …] | numbers but the wide ones, BOOLEAN, dates and times, BOX, TENSOR |
| Constant | a column of one row, repeated | any |
| Wide | hi int64 [n], lo int64 [n] holding an unsigned word | HUGEINT, DECIMAL > 18 |
| Interval | months, days int32, microseconds int64 | INTERVAL |
| Dictionary | codes int32 [n] into a `StringDictionary` | VARCHAR, UUID, ENUM |
| Bytes | offsets int64 [n + 1], data uint8 | VARCHAR, BLOB |
| List | offsets int64 [n + 1], child column | LIST |
| Struct | one column per field | STRUCT |
| RowRef | a `RowSource` and rows int64 [n] of it | MASK, TENSOR, anything fetched late |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import InternalError
from tensorsql.storage.columns.types import Kind, Type

VALUE_DTYPE: dict[Kind, torch.dtype] = {
    Kind.NULL: torch.bool,
    Kind.BOOLEAN: torch.bool,
    Kind.TINYINT: torch.int8,
    Kind.SMALLINT: torch.int16,
    Kind.INTEGER: torch.int32,
    Kind.BIGINT: torch.int64,
    Kind.DECIMAL: torch.int64,
    Kind.REAL: torch.float32,
    Kind.DOUBLE: torch.float64,
    Kind.DATE: torch.int32,
    Kind.TIME: torch.int64,
    Kind.TIMESTAMP: torch.int64,
    Kind.BOX: torch.float64,
}


@dataclass(frozen=True, eq=False)
class StringDictionary:
    """Distinct text values with identity: codes compare only within one dictionary.

    `entries` is an Arrow large_string array without NULLs. `sorted`: entry order is binary UTF-8
    order, so codes order; `unique`: no two entries are equal, so codes decide equality.
    """

    entries: pa.LargeStringArray
    sorted: bool = False
    unique: bool = True

    def __len__(self) -> int:
        return len(self.entries)


class RowSource(Protocol):
    """Where the rows of a RowRef come from (mask blocks, tensors, late columns).

    Subclasses add what their type needs: masks `sizes(rows)` and `fetch_region`, see
    `storage/columns/masks.py`.
    """

    @property
    def rows(self) -> int:
        """How many rows the source has."""

    def fetch(self, rows: Tensor) -> Column:
        """The values of these rows (int64 [n], in any order, repeats allowed), materialized."""


@dataclass(frozen=True, eq=False)
class Flat:
    """One value a row, in one tensor."""

    type: Type
    values: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])


@dataclass(frozen=True, eq=False)
class Constant:
    """`length` repeats of the single row of `one`."""

    one: Column
    length: int

    @property
    def type(self) -> Type:
        return self.one.type

    @property
    def validity(self) -> Tensor | None:
        valid = self.one.validity
        return None if valid is None else valid.expand(self.length)

    def __len__(self) -> int:
        return self.length


@dataclass(frozen=True, eq=False)
class Wide:
    """128-bit integers: value = hi * 2**64 + (lo as unsigned)."""

    type: Type
    hi: Tensor
    lo: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.hi.shape[0])


@dataclass(frozen=True, eq=False)
class Interval:
    """Calendar intervals, unnormalized as given."""

    type: Type
    months: Tensor
    days: Tensor
    microseconds: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.months.shape[0])


@dataclass(frozen=True, eq=False)
class Dictionary:
    """int32 codes into a dictionary; NULL rows have code 0 (also where the dictionary is empty)."""

    type: Type
    codes: Tensor
    dictionary: StringDictionary
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.codes.shape[0])


@dataclass(frozen=True, eq=False)
class Bytes:
    """UTF-8 text or bytes: row i is data[offsets[i]:offsets[i + 1]]; offsets[0] may be > 0."""

    type: Type
    offsets: Tensor
    data: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.offsets.shape[0]) - 1


@dataclass(frozen=True, eq=False)
class List:
    """Row i is child[offsets[i]:offsets[i + 1]]."""

    type: Type
    offsets: Tensor
    child: Column
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.offsets.shape[0]) - 1


@dataclass(frozen=True, eq=False)
class Struct:
    """One column per field, all of one length."""

    type: Type
    children: tuple[Column, ...]
    length: int
    validity: Tensor | None = None

    def __len__(self) -> int:
        return self.length


@dataclass(frozen=True, eq=False)
class RowRef:
    """Row i is row `rows[i]` of `source`, not fetched yet; NULL rows have rows[i] = 0."""

    type: Type
    source: Any  # RowSource; concrete sources add methods their type needs
    rows: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.rows.shape[0])


Column = Flat | Constant | Wide | Interval | Dictionary | Bytes | List | Struct | RowRef


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows in flight: columns by id, all of `count` rows, of which `selection` picks some.

    `selection` is an int32 tensor of ascending positions, or None for all rows. `rows` is how
    many rows count. `morsel` is the source's morsel number: batches are in order of (morsel,
    position).
    """

    columns: Mapping[int, Column]
    count: int
    selection: Tensor | None = None
    morsel: int = 0
    device: str = "cpu"
    part: int = field(default=0)  # numbers several batches made from one morsel

    @property
    def rows(self) -> int:
        """Number of selected rows."""
        return self.count if self.selection is None else int(self.selection.shape[0])

    def column(self, id: int) -> Column:
        """The column gathered to the selected rows (length `rows`)."""
        found = self.columns[id]
        return found if self.selection is None else take(found, self.selection)

    def select(self, positions: Tensor) -> Batch:
        """Keep the given positions *of the selected rows* (ascending integer tensor)."""
        if self.selection is not None:
            positions = self.selection.index_select(0, positions)
        return replace(self, selection=positions.to(torch.int32))

    def compact(self, ids: Iterable[int] | None = None) -> Batch:
        """The same rows without selection, keeping only the columns `ids` (None = all)."""
        kept = list(self.columns if ids is None else ids)
        columns = {id: self.column(id) for id in kept}
        return Batch(columns, self.rows, None, self.morsel, self.device, self.part)


def take(column: Column, rows: Tensor) -> Column:
    """Gather rows (int32 or int64 [m], in range, repeats allowed) into a column of this type."""
    check_cancelled()
    if isinstance(column, Constant):
        return Constant(column.one, int(rows.shape[0]))
    validity = None if column.validity is None else column.validity.index_select(0, rows)
    match column:
        case Flat():
            return replace(column, values=column.values.index_select(0, rows), validity=validity)
        case Wide():
            hi, lo = (part.index_select(0, rows) for part in (column.hi, column.lo))
            return replace(column, hi=hi, lo=lo, validity=validity)
        case Interval():
            months, days, micros = (
                part.index_select(0, rows)
                for part in (column.months, column.days, column.microseconds)
            )
            return Interval(column.type, months, days, micros, validity)
        case Dictionary():
            return replace(column, codes=column.codes.index_select(0, rows), validity=validity)
        case Bytes():
            return Bytes(column.type, *_take_bytes(column, rows), validity)
        case List():
            offsets, inside = ragged_take(column.offsets, rows)
            return List(column.type, offsets, take(column.child, inside), validity)
        case Struct():
            children = tuple(take(child, rows) for child in column.children)
            return Struct(column.type, children, int(rows.shape[0]), validity)
        case RowRef():
            return replace(column, rows=column.rows.index_select(0, rows), validity=validity)
    raise InternalError(f"no layout {type(column).__name__}")


def _take_bytes(column: Bytes, rows: Tensor) -> tuple[Tensor, Tensor]:
    """New offsets and data; Arrow copies row by row, a tensor gather would byte by byte."""
    buffers = [
        None,
        *(pa.py_buffer(part.contiguous().numpy()) for part in (column.offsets, column.data)),
    ]
    array = pa.Array.from_buffers(pa.large_binary(), len(column), buffers)
    taken = array.take(pa.array(rows.numpy()))
    if len(taken) == 0:
        return column.offsets.new_zeros(1), column.data.new_zeros(0)
    _, offsets, data = taken.buffers()
    places = np.frombuffer(offsets, np.int64, len(taken) + 1)
    return torch.from_numpy(places), torch.from_numpy(np.frombuffer(data, np.uint8, places[-1]))


def ragged_take(offsets: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """New offsets and the element positions for gathering `rows` of a ragged column."""
    starts = offsets.index_select(0, rows)
    lengths = offsets[1:].index_select(0, rows) - starts
    ends = torch.cumsum(lengths, 0)
    new = torch.cat([ends.new_zeros(1), ends])
    inside = torch.arange(int(new[-1]), dtype=torch.int64)
    return new, inside + torch.repeat_interleave(starts - new[:-1], lengths)


def slice_column(column: Column, start: int, stop: int) -> Column:
    """Rows start … stop - 1, without copying."""
    if isinstance(column, Constant):
        return Constant(column.one, stop - start)
    validity = None if column.validity is None else column.validity[start:stop]
    match column:
        case Flat():
            return replace(column, values=column.values[start:stop], validity=validity)
        case Wide():
            return replace(
                column, hi=column.hi[start:stop], lo=column.lo[start:stop], validity=validity
            )
        case Interval():
            parts = (column.months, column.days, column.microseconds)
            months, days, micros = (part[start:stop] for part in parts)
            return Interval(column.type, months, days, micros, validity)
        case Dictionary():
            return replace(column, codes=column.codes[start:stop], validity=validity)
        case Bytes() | List():
            return replace(column, offsets=column.offsets[start : stop + 1], validity=validity)
        case Struct():
            children = tuple(slice_column(child, start, stop) for child in column.children)
            return Struct(column.type, children, stop - start, validity)
        case RowRef():
            return replace(column, rows=column.rows[start:stop], validity=validity)
    raise InternalError(f"no layout {type(column).__name__}")


def widen(column: Column) -> Column:
    """The column with all its numbers in the dtype of their type (`VALUE_DTYPE`)."""
    match column:
        case Flat() if column.type.kind in VALUE_DTYPE:
            dtype = VALUE_DTYPE[column.type.kind]
            if column.values.dtype != dtype:
                return replace(column, values=column.values.to(dtype))
        case Constant():
            one = widen(column.one)
            return column if one is column.one else replace(column, one=one)
        case List():
            child = widen(column.child)
            return column if child is column.child else replace(column, child=child)
        case Struct():
            children = tuple(map(widen, column.children))
            same = all(a is b for a, b in zip(children, column.children, strict=True))
            return column if same else replace(column, children=children)
    return column


def valid_rows(columns: Sequence[Column]) -> Tensor | None:
    """Rows valid in every column, or None if all are."""
    result: Tensor | None = None
    for column in columns:
        if column.validity is not None:
            result = column.validity if result is None else result & column.validity
    return result
