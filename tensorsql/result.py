"""What a statement answers: named, typed columns, or a count of changed rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tensorsql.cancellation import check_cancelled
from tensorsql.storage.columns.types import Type

if TYPE_CHECKING:
    import pyarrow as pa

    from tensorsql.operators.runtime.program import Source
    from tensorsql.storage.columns.column import Batch, Column


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
        import pyarrow as pa

        from tensorsql.storage.columns.arrow_types import arrow_type

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
        from tensorsql.operators.columns.building import concat_batches

        return concat_batches([], tuple(zip(self.ids, self.types, strict=True)))

    def columns(self) -> list[Column]:
        """The result's columns, in order, as tensors."""
        batch = self.batch()
        return [batch.column(id) for id in self.ids]

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table; names may repeat, as in the query."""
        if self.table is None:
            import pyarrow as pa

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
