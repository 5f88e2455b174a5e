"""Changes to what is no table: views, models, indexes. Torch-free."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

from tensorsql.errors import CatalogError, nearest
from tensorsql.storage.files.checked_file import OpenFiles
from tensorsql.storage.tables.catalog import IndexEntry, ModelEntry, ViewEntry
from tensorsql.storage.tables.memory_store import Store
from tensorsql.storage.tables.snapshot import SnapshotView


class EntryChanges(SnapshotView):
    """Puts and drops entries in the snapshot `_current` of a transaction."""

    _store: Store

    def put_view(self, entry: ViewEntry) -> None:
        """Add or replace a view; CatalogError if a table has the name."""
        if entry.name.lower() in self._current.tables:
            raise CatalogError(f'"{entry.name}" is a table; a view cannot have its name')
        self._put("view", entry)

    def put_model(self, entry: ModelEntry) -> None:
        """Add or replace a model."""
        self._put("model", entry)

    def put_index(self, entry: IndexEntry) -> None:
        """Add or replace an index of an existing table."""
        self._state(entry.table)
        files = self._store.files
        if files is not None and entry.directory is not None:
            files.seal(Path(entry.directory))
            entry = replace(entry, files=OpenFiles(files))
        self._put("index", entry)

    def drop_view(self, name: str) -> None:
        """Remove a view."""
        self._drop("view", name)

    def drop_model(self, name: str) -> None:
        """Remove a model."""
        self._drop("model", name)

    def drop_index(self, name: str) -> None:
        """Remove an index."""
        self._drop("index", name)

    @abstractmethod
    def _write_entry(self, kind: str, name: str) -> None:
        """Make sure that we may change this entry."""

    def _put(self, kind: str, entry: Any) -> None:
        self._write_entry(kind, entry.name)
        self._current = self._current.with_entry(kind, entry.name, entry)

    def _drop(self, kind: str, name: str) -> None:
        names = [entry.name for entry in self._entries(kind)]
        if name.lower() not in self._current.entries[kind]:
            raise CatalogError(f'{kind} "{name}" does not exist{nearest(name, names)}')
        self._write_entry(kind, name)
        self._current = self._current.with_entry(kind, name, None)
