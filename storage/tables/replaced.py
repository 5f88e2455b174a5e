"""Files that a commit has replaced: put aside when nobody reads them, removed some commits later.

The catalog says which they are, and of which versions they were part: so whoever writes next goes
on where another was killed. What was put aside is kept for a while, so that a catalog that lost its
last commits, as on a disk that does not keep what it promised, finds its files again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tensorsql.storage.tables.database_files import remove
from tensorsql.storage.tables.readers import Readers, Span

SWEPT = "swept"  # the folder for what was put aside
KEPT_COMMITS = 8  # what so many commits replaced is kept aside,
KEPT_BYTES = 64 << 20  # but for what one replaced no more than this


@dataclass(frozen=True)
class Replaced:
    """A file, named relative to the database, that is part of versions `made` … `version` - 1."""

    version: int
    name: str
    made: int
    size: int

    def is_free(self, spans: Iterable[Span]) -> bool:
        """Whether none of the versions that somebody may read has it."""
        return not any(self.made <= last and first < self.version for first, last in spans)


def put_aside(
    folder: Path, files: Sequence[Replaced], readers: Readers, version: int, aside: set[str]
) -> list[Replaced]:
    """Put aside what nobody needs at this version; those that were removed for good.

    `aside` has the names of those that need not be moved again, and is kept up.
    """
    if not files:
        return []
    spans = readers.spans(version)
    free = [file for file in files if file.is_free(spans)]
    if len(free) < len(files):
        readers.renew(version)
    for file in free:
        if file.name not in aside:
            with suppress(FileNotFoundError):  # another process has put it aside
                move(folder, file.name, folder / SWEPT)
            aside.add(file.name)
    removed = _not_kept(free)
    aside.difference_update(file.name for file in removed)
    for file in removed:
        remove(folder / SWEPT / file.name)
        _remove_if_empty(folder / SWEPT, file.name)
    return removed


def move(folder: Path, name: str, target: Path) -> None:
    """Move a file or folder into another folder, where it has the same name."""
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / name).replace(path)
    _remove_if_empty(folder, name)


def _not_kept(aside: Sequence[Replaced]) -> list[Replaced]:
    commits = sorted({file.version for file in aside}, reverse=True)[:KEPT_COMMITS]
    sizes = {commit: sum(f.size for f in aside if f.version >= commit) for commit in commits}
    recent = {c for c in commits if c == commits[0] or sizes[c] <= KEPT_BYTES}
    return [file for file in aside if file.version not in recent]


def _remove_if_empty(folder: Path, name: str) -> None:
    """Remove the folder a file was in, unless it is one that every database has."""
    if name.count("/") > 1:
        with suppress(OSError):
            (folder / name).parent.rmdir()
