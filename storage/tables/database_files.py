"""The files of one database: opened with the checksum that the catalog has, named in errors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import CorruptError, IOError
from tensorsql.storage.files.checked_file import CheckedFile
from tensorsql.storage.files.checksums import Checksum, file_checksum, folder_checksums, relative
from tensorsql.storage.tables.snapshot import Deletion, Snapshot


class Register(Protocol):
    """What knows the committed files."""

    def checksum(self, path: Path) -> Checksum | None:
        """The checksum of a file, None for one that is not known."""

    def read_last(self) -> Snapshot:
        """The snapshot read last."""


class DatabaseFiles:
    """Opens files; also keeps the checksums of those written and not committed yet."""

    def __init__(self, folder: Path, register: Register) -> None:
        self.folder = folder
        self.fresh: dict[Path, Checksum] = {}
        self._register = register

    def __reduce__(self) -> tuple[object, ...]:
        return getattr, (self._register, "files")

    def seal(self, path: Path) -> None:
        """Remember the checksum of a file, or of all files in a folder, as they were written."""
        sealed = (
            folder_checksums(path)
            if path.is_dir()
            else {path: file_checksum(path, check_cancelled)}
        )
        self.fresh.update({**sealed, **self.fresh})

    def copy(self, folder: Path, target: Path) -> None:
        """Copy the files of a folder into another, each checked first."""
        for path in folder.iterdir():
            self.open(path).check()
            shutil.copyfile(path, target / path.name)
            self.fresh[target / path.name] = self.checksum(path)

    def discard(self, path: Path) -> None:
        """Remove a folder, or a file with those of its stem, that is not to be committed."""
        stem = path.name.partition(".")[0]
        of_it = [
            sealed
            for sealed in self.fresh
            if sealed.is_relative_to(path) or sealed.name.partition(".")[0] == stem
        ]
        for other in of_it:
            del self.fresh[other]
        for other in (path, *of_it):
            remove(other)

    def open(self, path: Path) -> CheckedFile:
        """The file, mapped; IOError if it is missing, CorruptError if it has another size."""
        return CheckedFile(path, self.checksum(path), self)

    def damaged(self, path: Path, what: str, part: str = "") -> CorruptError:
        """The error that names the file, whose it is, what is wrong and what can still be read."""
        owner, advice = self._owner(path, part)
        return CorruptError(f'file "{path}"{owner} is damaged: {what}{advice}')

    def missing(self, path: Path) -> IOError:
        """The error of a file that is not there."""
        owner, advice = self._owner(path, "")
        return IOError(f'file "{path}"{owner} is missing{advice}')

    def checksum(self, path: Path) -> Checksum:
        """The checksum of a file; an error if it is not known."""
        checksum = self.fresh.get(path) or self._register.checksum(path)
        if checksum is None:
            if not path.exists():
                raise self.missing(path)
            raise self.damaged(path, "the catalog has no checksum of it")
        return checksum

    def _owner(self, path: Path, part: str) -> tuple[str, str]:
        for kind, name, stem in owners(self._register.read_last(), self.folder):
            if relative(path, self.folder).startswith(stem):
                within = f", {part}," if part else ""
                return f' of {kind} "{name}"{within}', "; " + _advice(kind, name, part)
        return "", ""


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; it need not be there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def owners(snapshot: Snapshot, folder: Path) -> Iterator[tuple[str, str, str]]:
    """(kind, name, how its files begin, relative to the database) of all that has files."""
    for state in snapshot.tables.values():
        names = [segment.name for segment in state.segments]
        names += [deletion.name for deletion in state.deletions.values()]
        for name in names:
            yield "table", state.schema.name, f"segments/{name.partition('.')[0]}."
    for kind, entries in snapshot.entries.items():
        for name, entry in entries.items():
            path = getattr(entry, "directory", None) or getattr(entry, "source", None)
            if path and Path(path).is_relative_to(folder):
                top = "/".join(relative(path, folder).split("/")[:2])
                yield kind, name, top + "/"


def prefixes_lost(before: Snapshot, after: Snapshot, folder: Path) -> set[str]:
    """How the files begin that one snapshot has and the next has not."""
    had, has = before.without(after), after.without(before)
    return {p for _, _, p in owners(had, folder)} - {p for _, _, p in owners(has, folder)}


def _advice(kind: str, name: str, part: str) -> str:
    match kind:
        case "table" if part:
            return f'the other columns of "{name}" and all other tables can be read'
        case "table":
            return "all other tables can be read"
        case "index":
            return "drop it and create it again; SET use_indexes = false does without it"
        case _:
            return f"all that does without it can be read; drop the {kind} and create it again"


def save_bitmap(path: Path, flags: NDArray[np.bool_]) -> None:
    """Write the flags of a segment's rows."""
    np.save(path, np.packbits(flags, bitorder="little"))


def stored_deletion(files: DatabaseFiles, name: str, count: int, rows: int) -> Deletion:
    """The deletion of so many of a segment's rows, read from its file when it is asked for."""
    path = files.folder / "segments" / name
    return Deletion(count, partial(_load, files, path, count, rows), name)


def _load(files: DatabaseFiles, path: Path, count: int, rows: int) -> NDArray[np.bool_]:
    stored = files.open(path).array()
    packed = stored.whole()
    if packed.dtype != np.uint8 or packed.shape != ((rows + 7) // 8,):
        raise stored.file.damaged(f"it is no bitmap of {rows} rows")
    flags = np.unpackbits(packed, count=rows, bitorder="little").view(np.bool_)
    if int(flags.sum()) != count:
        raise stored.file.damaged(f"it does not mark {count} rows")
    return flags
