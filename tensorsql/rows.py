"""A result's rows by position, converted only as far as they are asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tensorsql.cancellation import check_cancelled
from tensorsql.guard import guarded
from tensorsql.result import Result
from tensorsql.values import python_values

if TYPE_CHECKING:
    from tensorsql.storage.columns.column import Column

BLOCK = 1 << 14  # rows between two looks at whether the fetching is cancelled


class Rows:
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
