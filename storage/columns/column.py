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
| TimeSpan | months, days int32, microseconds int64 | INTERVAL |
| Dictionary | codes int32 [n] into a `StringDictionary` | VARCHAR, UUID, ENUM |
| Bytes | offsets int64 [n + 1], data uint8 | VARCHAR, BLOB |
| List | offsets int64 [n + 1], child column | LIST |
| Struct | one column per field | STRUCT |
| RowRef | a `RowSource` and rows int64 [n] of it | MASK, TENSOR, anything fetched late |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, cast

import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.storage.columns.ragged import Ragged, ragged_take, take_bytes
from tensorsql.storage.columns.types import Kind, Type

CPU = torch.device("cpu")
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


Part: TypeAlias = "Tensor | Ragged | Column"
Parts: TypeAlias = Sequence[Any]  # of the kinds of part that `parts` gave


class Layout:
    """What every layout but Constant says of itself, so that what moves rows is written once.

    `parts` has what holds the values, each with one element a row, as its layout names them;
    `with_parts` is the column of other such parts, valid where `validity` says, of so many rows.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Pickled, a column has its own rows only, not all that its tensors are views of."""
        column = cast("Flat", self)
        parts = [_owned(part) for part in column.parts()]
        validity = None if column.validity is None else _owned(column.validity)
        return vars(column.with_parts(parts, validity, len(column)))


@dataclass(frozen=True, eq=False)
class Flat(Layout):
    """One value a row, in one tensor."""

    type: Type
    values: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def parts(self) -> tuple[Part, ...]:
        return (self.values,)

    def with_parts(self, parts: Parts, validity: Tensor | None, rows: int) -> Flat:
        return Flat(self.type, parts[0], validity)


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
class Wide(Layout):
    """128-bit integers: value = hi * 2**64 + (lo as unsigned)."""

    type: Type
    hi: Tensor
    lo: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.hi.shape[0])

    def parts(self) -> tuple[Part, ...]:
        return self.hi, self.lo

    def with_parts(self, parts: Parts, validity: Tensor | None, rows: int) -> Wide:
        return Wide(self.type, parts[0], parts[1], validity)


@dataclass(frozen=True, eq=False)
class TimeSpan(Layout):
    """Calendar intervals, unnormalized as given."""

    type: Type
    months: Tensor
    days: Tensor
    microseconds: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.months.shape[0])

    def parts(self) -> tuple[Part, ...]:
        return self.months, self.days, self.microseconds

    def with_parts(self, parts: Parts, validity: Tensor | None, rows: int) -> TimeSpan:
        return TimeSpan(self.type, parts[0], parts[1], parts[2], validity)


@dataclass(frozen=True, eq=False)
class Dictionary(Layout):
    """int32 codes into a dictionary; NULL rows have code 0 (also where the dictionary is empty)."""

    type: Type
    codes: Tensor
    dictionary: StringDictionary
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.codes.shape[0])

    def parts(self) -> tuple[Part, ...]:
        return (self.codes,)

    def with_parts(self, parts: Parts, validity: Tensor | None, rows: int) -> Dictionary:
        return Dictionary(self.type, parts[0], self.dictionary, validity)


@dataclass(frozen=True, eq=False)
class Bytes(Layout):
    """UTF-8 text or bytes: row i is data[offsets[i]:offsets[i + 1]]; offsets[0] may be > 0."""

    type: Type
    offsets: Tensor
    data: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.offsets.shape[0]) - 1

    def parts(self) -> tuple[Part, ...]:
        return (Ragged(self.offsets, self.data),)

    def with_parts(self, parts: Parts, validity: Tensor | None, rows: int) -> Bytes:
        return Bytes(self.type, parts[0].offsets, parts[0].items, validity)


@dataclass(frozen=True, eq=False)
class List(Layout):
    """Row i is child[offsets[i]:offsets[i + 1]]."""

    type: Type
    offsets: Tensor
    child: Column
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.offsets.shape[0]) - 1

    def parts(self) -> tuple[Part, ...]:
        return (Ragged(self.offsets, self.child),)

    def with_parts(self, parts: Parts, validity: Tensor | None, rows: int) -> List:
        return List(self.type, parts[0].offsets, parts[0].items, validity)


@dataclass(frozen=True, eq=False)
class Struct(Layout):
    """One column per field, all of one length."""

    type: Type
    children: tuple[Column, ...]
    length: int
    validity: Tensor | None = None

    def __len__(self) -> int:
        return self.length

    def parts(self) -> tuple[Part, ...]:
        return self.children

    def with_parts(self, parts: Parts, validity: Tensor | None, rows: int) -> Struct:
        return Struct(self.type, tuple(parts), rows, validity)


@dataclass(frozen=True, eq=False)
class RowRef(Layout):
    """Row i is row `rows[i]` of `source`, not fetched yet; NULL rows have rows[i] = 0."""

    type: Type
    source: Any  # RowSource; concrete sources add methods their type needs
    rows: Tensor
    validity: Tensor | None = None

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def parts(self) -> tuple[Part, ...]:
        return (self.rows,)

    def with_parts(self, parts: Parts, validity: Tensor | None, rows: int) -> RowRef:
        return RowRef(self.type, self.source, parts[0], validity)


Column = Flat | Constant | Wide | TimeSpan | Dictionary | Bytes | List | Struct | RowRef


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

    @property
    def rows(self) -> int:
        """Number of selected rows."""
        return self.count if self.selection is None else int(self.selection.shape[0])

    def column(self, id: int) -> Column:
        """The column gathered to the selected rows (length `rows`)."""
        stored = self.columns[id]
        return stored if self.selection is None else take(stored, self.selection)

    def select(self, positions: Tensor) -> Batch:
        """Keep the given positions *of the selected rows* (ascending integer tensor)."""
        if self.selection is not None:
            positions = self.selection.index_select(0, positions)
        return replace(self, selection=positions.to(torch.int32))

    def compact(self, ids: Iterable[int] | None = None) -> Batch:
        """The same rows without selection, keeping only the columns `ids` (None = all)."""
        wanted = list(self.columns if ids is None else ids)
        columns = {id: self.column(id) for id in wanted}
        return Batch(columns, self.rows, None, self.morsel)


def take(column: Column, rows: Tensor) -> Column:
    """Gather rows (int32 or int64 [m], in range, repeats allowed) into a column of this type."""
    check_cancelled()
    if isinstance(column, Constant):
        return Constant(column.one, rows.shape[0])
    validity = None if column.validity is None else column.validity.index_select(0, rows)
    return column.with_parts([take_part(p, rows) for p in column.parts()], validity, rows.shape[0])


def take_part(part: Part, rows: Tensor) -> Any:
    """Gather rows of one part."""
    if isinstance(part, Tensor):
        return part.index_select(0, rows)
    if not isinstance(part, Ragged):
        return take(part, rows)
    if isinstance(part.items, Tensor) and part.items.is_cpu:
        return take_bytes(part, rows)
    offsets, inside = ragged_take(part.offsets, rows)
    return Ragged(offsets, take_part(part.items, inside))


def slice_column(column: Column, start: int, stop: int) -> Column:
    """Rows start … stop - 1, without copying."""
    if isinstance(column, Constant):
        return Constant(column.one, stop - start)
    validity = None if column.validity is None else column.validity[start:stop]
    parts = [slice_part(part, start, stop) for part in column.parts()]
    return column.with_parts(parts, validity, stop - start)


def slice_part(part: Part, start: int, stop: int) -> Any:
    """Rows start … stop - 1 of one part, without copying."""
    if isinstance(part, Tensor):
        return part[start:stop]
    if isinstance(part, Ragged):
        return Ragged(part.offsets[start : stop + 1], part.items)
    return slice_column(part, start, stop)


def _owned(part: Part) -> Any:
    """The part over memory of its own; columns in it see to theirs."""
    if isinstance(part, Tensor):
        whole = part.untyped_storage().nbytes() == part.numel() * part.element_size()
        return part if whole else part.clone()
    if not isinstance(part, Ragged):
        return part
    start, stop = int(part.offsets[0]), int(part.offsets[-1])
    return Ragged(part.offsets - start, _owned(slice_part(part.items, start, stop)))


def bare(column: Column) -> Column:
    """The row that a Constant repeats; any other column as it is."""
    return column.one if isinstance(column, Constant) else column


def device_of(column: Column) -> torch.device:
    """Where its tensors lie."""
    part: Any = column
    while not isinstance(part, Tensor):
        part = part.offsets if isinstance(part, Ragged) else _first_part(part)
    return part.device


def _first_part(column: Column) -> Part:
    return _first_part(column.one) if isinstance(column, Constant) else column.parts()[0]


def present_rows(column: Column) -> Tensor:
    """bool per row: not NULL."""
    if column.validity is not None:
        return column.validity
    return torch.ones(len(column), dtype=torch.bool, device=device_of(column))


def valid_rows(columns: Sequence[Column]) -> Tensor | None:
    """Rows valid in every column, or None if all are."""
    result: Tensor | None = None
    for column in columns:
        if column.validity is not None:
            result = column.validity if result is None else result & column.validity
    return result
