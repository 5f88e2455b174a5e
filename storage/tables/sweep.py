"""Sweeping: files that the catalog no longer names are moved aside, and removed one opening later.

Only under the exclusive lease, by a catalog whose checksums held, and never while a file that it
names is missing: what looks like an orphan may then be what was lost. A file that an older catalog
names, restored from a copy, comes back from where it was moved to.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tensorsql.storage.files.checksums import relative
from tensorsql.storage.tables.catalog_format import PARTS
from tensorsql.storage.tables.catalog_store import CatalogStore
from tensorsql.storage.tables.database_files import remove
from tensorsql.storage.tables.replaced import SWEPT, move
from tensorsql.storage.tables.snapshot import Snapshot


def tidy(folder: Path, catalog: CatalogStore) -> None:
    """At an opening: bring back what is named, remove what earlier ones moved aside, sweep."""
    swept = folder / SWEPT
    names = Names(folder, catalog.latest())
    if swept.exists():
        for name in missing_files(folder, names, catalog):
            if (swept / name).exists():
                move(swept, name, folder)
    if missing_files(folder, names, catalog):
        return
    remove(swept)
    unnamed = (name for name in catalog.known_files() if not names.keep(name))
    catalog.forget([name for name in unnamed if not (folder / name).exists()])
    _move_aside(folder, names)


def sweep(folder: Path, catalog: CatalogStore) -> None:
    """At a close: move aside every file that the latest snapshot does not name."""
    names = Names(folder, catalog.latest())
    if not missing_files(folder, names, catalog):
        _move_aside(folder, names)


def missing_files(folder: Path, names: Names, catalog: CatalogStore) -> list[str]:
    """The files and folders that are named and not there."""
    recorded = {name for name in catalog.known_files() if names.keep(name)}
    return [name for name in sorted(recorded | names.files) if not (folder / name).exists()]


class Names:
    """What a snapshot refers to: files of segments by their stem, other files by their folder."""

    def __init__(self, folder: Path, snapshot: Snapshot) -> None:
        states = snapshot.tables.values()
        segments = {segment.name for state in states for segment in state.segments}
        segments |= {d.name for state in states for d in state.deletions.values()}
        entries = {
            relative(path, folder)
            for kind in snapshot.entries.values()
            for path in _paths(kind.values())
            if path.is_relative_to(folder)
        }
        self.files = {f"segments/{name}" for name in segments} | entries
        self._stems = {Path(name).stem for name in segments}
        self._tops = {"/".join(name.split("/")[:2]) for name in entries}

    def keep(self, name: str) -> bool:
        """Whether a file or folder, relative to the database, belongs to the snapshot."""
        part, top = name.split("/")[:2]
        if part == "segments":
            return top.partition(".")[0] in self._stems
        return f"{part}/{top}" in self._tops


def _paths(entries: Iterable[Any]) -> set[Path]:
    values = [getattr(entry, name, None) for entry in entries for name in ("directory", "source")]
    return {Path(path) for path in values if isinstance(path, str) and path}


def _move_aside(folder: Path, names: Names) -> None:
    for part in PARTS:
        for path in (folder / part).iterdir():
            if not names.keep(relative(path, folder)):
                move(folder, f"{part}/{path.name}", folder / SWEPT)
