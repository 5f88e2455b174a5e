"""Files: what one may be called, and large ones written piece by piece. Torch-free."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import IOError

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


def check_path(path: str | os.PathLike[str]) -> None:
    """IOError for what no file or folder can be called."""
    text = os.fspath(path)
    if not text:
        raise IOError('"" is not the path of a file')
    if "\0" in text:
        raise IOError(f"{text!a} is not the path of a file: it has a NUL character in it")
    try:
        os.fsencode(text)
    except UnicodeError:
        raise IOError(f"{text!a} is not the path of a file: it is not Unicode text") from None
