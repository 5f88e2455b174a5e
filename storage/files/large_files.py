"""Large files are written piece by piece: a cancelled statement ends between two. Torch-free."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from tensorsql.cancellation import check_cancelled

PIECE = 1 << 22  # bytes


class LargeFile(io.RawIOBase):
    """A new file to write to."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def writable(self) -> bool:
        """It is for writing alone."""
        return True

    def write(self, data: Any) -> int:
        """All of the data; InterruptedError between two pieces."""
        view = memoryview(data).cast("B")
        start = 0
        while start < len(view):
            check_cancelled()
            start += self._file.write(view[start : start + PIECE])
        return len(view)

    def tell(self) -> int:
        """How many bytes have been written."""
        return self._file.tell()

    def close(self) -> None:
        """Give the file up."""
        self._file.close()
        super().close()
