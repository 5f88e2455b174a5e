"""Files of a database that are opened as they are read, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tensorsql.errors import CorruptError
from tensorsql.storage.files.checked_file import CheckedFile
from tensorsql.storage.files.once import Once


class Opener(Protocol):
    """What opens the files of a database."""

    def open(self, path: Path) -> CheckedFile:
        """The file, mapped; IOError if it is missing, CorruptError if it has another size."""

    def damaged(self, path: Path, what: str, part: str = "") -> CorruptError:
        """The error that says whose the file is and what is wrong with it, in that part of it."""


class OpenFiles:
    """Files that stay open for as long as what they belong to is known, such as an index."""

    def __init__(self, files: Opener) -> None:
        self._files = files
        self._opened: Once[CheckedFile] = Once()

    def __reduce__(self) -> tuple[object, ...]:
        return OpenFiles, (self._files,)

    def open(self, path: Path) -> CheckedFile:
        """The file, mapped and checked no more than once."""
        return self._opened.get(str(path), lambda: self._files.open(path))
