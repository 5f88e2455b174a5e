"""What reads a relation at one snapshot. Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from tensorsql.storage.columns.column import Column


class Reader(Protocol):
    """Positions 0 … rows - 1 of one snapshot, deleted rows included. Thread-safe."""

    def read(self, column: str, start: int, stop: int) -> Column:
        """Rows start … stop - 1 of a column; text columns share one dictionary over all ranges."""

    def live(self, start: int, stop: int) -> Tensor | None:
        """bool per position, False = deleted; None = all live."""

    def row_ids(self, start: int, stop: int) -> Tensor:
        """int64 row ids, ascending."""

    def positions(self, row_ids: Tensor) -> Tensor:
        """The position of each row id (int64), -1 where this snapshot does not have it."""
