"""Segments: immutable runs of rows, in memory, in a file, or wherever a `SegmentSource` reads.

Opening one and asking for its statistics is torch-free; `column` is where tensors begin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tensorsql.errors import CorruptError
from tensorsql.storage.columns.physical import is_physical
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import Type
from tensorsql.storage.files.checked_file import Once, Opener
from tensorsql.storage.tables.arrow_file import check_rows, check_structure, open_batch

if TYPE_CHECKING:
    from tensorsql.storage.columns.column import Column
    from tensorsql.storage.columns.masks import MaskBlock
    from tensorsql.storage.files.checked_file import CheckedFile

ROW_IDS = ""  # the field of explicit row ids; no column can have this name
RowIds = NDArray[np.int64]


class SegmentSource(Protocol):
    """Where the physical arrays of a segment come from."""

    def array(self, column: str) -> pa.Array:
        """The physical array of a column, checked; for a MASK column only its validity counts."""

    def mapped(self, column: str) -> pa.Array:
        """The same array; before values of it are read `check` is called for their rows."""

    def check(self, column: str, start: int, stop: int) -> None:
        """CorruptError unless rows start … stop - 1 of a column are those that were written."""

    def damaged(self, what: str, column: str) -> CorruptError:
        """The error that says what is wrong with a column."""

    def masks(self, column: str, type: Type) -> MaskBlock:
        """The pixels of a MASK column."""

    def field(self, name: str) -> pa.Array | None:
        """What is kept under this name beside the columns, or None."""

    def row_ids(self) -> RowIds | None:
        """Explicit ascending row ids, or None if they count up from the segment's first."""
        explicit = self.field(ROW_IDS)
        return None if explicit is None else np.asarray(explicit)


class Unchecked(SegmentSource):
    """What a source answers that has no checksums to compare with."""

    def mapped(self, column: str) -> pa.Array:
        return self.array(column)

    def check(self, column: str, start: int, stop: int) -> None:
        pass

    def damaged(self, what: str, column: str) -> CorruptError:
        return CorruptError(f'column "{column}" is damaged: {what}')

    def field(self, name: str) -> pa.Array | None:
        return None


@dataclass(frozen=True, eq=False)
class MemorySource(Unchecked):
    """Arrays and mask blocks held in memory."""

    arrays: Mapping[str, pa.Array]
    blocks: Mapping[str, Any] = field(default_factory=dict)

    def array(self, column: str) -> pa.Array:
        return self.arrays[column]

    def masks(self, column: str, type: Type) -> MaskBlock:
        block: MaskBlock = self.blocks[column]
        return block

    def field(self, name: str) -> pa.Array | None:
        return self.arrays.get(name)


class LazySource(Unchecked):
    """Arrays made on first use, such as the columns of a file or of a registered object."""

    def __init__(self, load: Callable[[str], pa.Array]) -> None:
        self._load = load
        self._arrays: Once[pa.Array] = Once()

    def array(self, column: str) -> pa.Array:
        return self._arrays.get(column, lambda: self._load(column))

    def __reduce__(self) -> tuple[Any, ...]:
        return LazySource, (self._load,)

    def masks(self, column: str, type: Type) -> MaskBlock:
        raise KeyError(column)


class FileSource(SegmentSource):
    """A memory-mapped Arrow IPC file of one record batch, with mask blocks beside it."""

    def __init__(self, path: Path, files: Opener, rows: int) -> None:
        self.path = path
        self._files = files
        self._rows = rows
        self._open: Once[tuple[CheckedFile, pa.RecordBatch]] = Once()
        self._arrays: Once[pa.Array] = Once()

    def __reduce__(self) -> tuple[Any, ...]:
        return FileSource, (self.path, self._files, self._rows)

    def array(self, column: str) -> pa.Array:
        array = self.mapped(column)
        self.check(column, 0, len(array))
        return array

    def mapped(self, column: str) -> pa.Array:
        return self._arrays.get(column, lambda: self._map(column))

    def check(self, column: str, start: int, stop: int) -> None:
        array = self.mapped(column)
        file, _ = self._opened()
        check_rows(file, array, slice(start, stop), _part(column))

    def masks(self, column: str, type: Type) -> MaskBlock:
        from tensorsql.storage.columns.masks import load_block

        number = self._opened()[1].schema.get_field_index(column)
        block = load_block(self._files, self.path.parent, mask_stem(self.path, number), type)
        if len(block) != self._rows:
            raise self.damaged(f"it has {len(block)} masks for {self._rows} rows", column)
        return block

    def field(self, name: str) -> pa.Array | None:
        return self.array(name) if self._opened()[1].schema.get_field_index(name) >= 0 else None

    def damaged(self, what: str, column: str) -> CorruptError:
        return self._files.damaged(self.path, what, _part(column))

    def _map(self, column: str) -> pa.Array:
        file, batch = self._opened()
        if batch.schema.get_field_index(column) < 0:
            raise file.damaged("the column is not in it", _part(column))
        array = batch.column(column)
        check_structure(file, array, _part(column))
        return array

    def _opened(self) -> tuple[CheckedFile, pa.RecordBatch]:
        """The file and what lies in its mapping, of which there is one for all threads."""
        return self._open.get("", self._open_batch)

    def _open_batch(self) -> tuple[CheckedFile, pa.RecordBatch]:
        file = self._files.open(self.path)
        batch = open_batch(file)
        if batch.num_rows != self._rows:
            raise self.damaged(f"it has {batch.num_rows} rows, not {self._rows}", "")
        return file, batch


def _part(column: str) -> str:
    return f'column "{column}"' if column else ""


def mask_stem(path: Path, column_number: int) -> str:
    """The stem of the files that hold a MASK column of the segment at `path`."""
    return f"{path.stem}.{column_number}"


@dataclass(frozen=True, eq=False)
class Segment:
    """Rows with ids first_row_id … last_row_id, all of these unless the source lists them."""

    rows: int
    source: SegmentSource
    statistics: Mapping[str, ColumnStatistics] = field(default_factory=dict)
    first_row_id: int = 0
    last_row_id: int = -1
    name: str = ""  # its file in the segments folder; empty in memory
    keys: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)  # keys.py's own
    _columns: dict[str, Column] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        measured = dict(self.statistics)
        ids = self.first_row_id, self.last_row_id
        return Segment, (self.rows, self.source, measured, *ids, self.name)

    def column(self, name: str, type: Type) -> Column:
        """The column's tensors, wrapped once; `check` the rows before their values are read."""
        from tensorsql.storage.columns.arrow import column_of

        if name not in self._columns:
            array = self.source.mapped(name)
            if not is_physical(array.type, type):
                raise self.source.damaged(f"it holds {array.type}, not {type}", name)
            self._columns[name] = column_of(array, type)
        return self._columns[name]

    @property
    def contiguous(self) -> bool:
        """Whether row ids count up by one from the first."""
        return self.last_row_id - self.first_row_id + 1 == self.rows

    def row_ids(self) -> RowIds:
        """The ids of all rows, ascending."""
        if self.contiguous:
            return np.arange(self.first_row_id, self.last_row_id + 1, dtype=np.int64)
        explicit = self.source.row_ids()
        if explicit is None or len(explicit) != self.rows:
            raise self.source.damaged("it lacks its row ids", "")
        return explicit

    def positions(self, asked: RowIds) -> RowIds:
        """The position of each row id inside the segment, -1 where it has none."""
        inside = (asked >= self.first_row_id) & (asked <= self.last_row_id)
        if self.contiguous:
            return np.where(inside, asked - self.first_row_id, -1)
        ids = self.row_ids()
        places = np.minimum(np.searchsorted(ids, asked), len(ids) - 1)
        return np.where(inside & (ids[places] == asked), places, -1)


class LazyStatistics(Mapping[str, ColumnStatistics]):
    """Statistics measured when a column's are first asked for."""

    def __init__(self, names: tuple[str, ...], measure: Callable[[str], ColumnStatistics]) -> None:
        self._names = names
        self._measure = measure
        self._measured: dict[str, ColumnStatistics] = {}

    def __getitem__(self, name: str) -> ColumnStatistics:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._measured:
            self._measured[name] = self._measure(name)
        return self._measured[name]

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
