"""A result's rows by position, converted only as far as they are asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tensorsql.result import Result
from tensorsql.values import python_values

if TYPE_CHECKING:
    from tensorsql.storage.column import Column


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
        return self._result.columns()

    def arrow(self, start: int, stop: int) -> pa.Table:
        """Rows start … stop - 1 as an Arrow table."""
        if self._result.table is not None:
            return self._result.table.slice(start, stop - start)
        if (start, stop) == (0, len(self)):
            return self._result.arrow()
        from tensorsql.storage.arrow import to_arrow
        from tensorsql.storage.column import slice_column

        arrays = [to_arrow(slice_column(column, start, stop)) for column in self._columns]
        return pa.Table.from_arrays(arrays, names=list(self.names))

    def python(self, start: int, stop: int) -> list[tuple[Any, ...]]:
        """Rows start … stop - 1 as tuples of Python objects."""
        columns = self.arrow(start, stop).columns
        lists = [python_values(part, type) for part, type in zip(columns, self.types, strict=True)]
        return list(zip(*lists, strict=True))
