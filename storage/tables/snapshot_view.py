"""What can be seen of a snapshot by name: tables, views, models, indexes, samples. Torch-free."""

from __future__ import annotations

from typing import Any

from tensorsql.errors import CatalogError, nearest
from tensorsql.storage.tables.catalog import (
    IndexEntry,
    ModelEntry,
    Relation,
    SampleEntry,
    TableSchema,
    ViewEntry,
)
from tensorsql.storage.tables.snapshot import Snapshot, TableState


class SnapshotView:
    """Lookups in the snapshot `_current`, in any case of the name."""

    _current: Snapshot

    def relation(self, name: str) -> Relation | None:
        """The table of this name in any case as planning sees it, or None."""
        state = self._current.tables.get(name.lower())
        if state is None:
            return None
        return state.relation(tuple(e for e in self.indexes() if e.table.lower() == name.lower()))

    def tables(self) -> tuple[TableSchema, ...]:
        """The schemas of all tables, by name."""
        states = sorted(self._current.tables.items())
        return tuple(state.schema for _, state in states)

    def views(self) -> tuple[ViewEntry, ...]:
        """All views, by name."""
        return self._entries("view")

    def models(self) -> tuple[ModelEntry, ...]:
        """All models, by name."""
        return self._entries("model")

    def indexes(self) -> tuple[IndexEntry, ...]:
        """All indexes, by name."""
        return self._entries("index")

    def samples(self) -> tuple[SampleEntry, ...]:
        """All samples, by name."""
        return self._entries("sample")

    def view(self, name: str) -> ViewEntry | None:
        """The view of this name in any case, or None."""
        entry: ViewEntry | None = self._current.entries["view"].get(name.lower())
        return entry

    def model(self, name: str) -> ModelEntry | None:
        """The model of this name in any case, or None."""
        entry: ModelEntry | None = self._current.entries["model"].get(name.lower())
        return entry

    def index(self, name: str) -> IndexEntry | None:
        """The index of this name in any case, or None."""
        entry: IndexEntry | None = self._current.entries["index"].get(name.lower())
        return entry

    def sample(self, name: str) -> SampleEntry | None:
        """The sample of this name in any case, or None."""
        entry: SampleEntry | None = self._current.entries["sample"].get(name.lower())
        return entry

    def table_names(self) -> list[str]:
        """The names of all tables."""
        return [schema.name for schema in self.tables()]

    def view_names(self) -> list[str]:
        """The names of all views."""
        return [entry.name for entry in self.views()]

    def model_names(self) -> list[str]:
        """The names of all models."""
        return [entry.name for entry in self.models()]

    def index_names(self) -> list[str]:
        """The names of all indexes."""
        return [entry.name for entry in self.indexes()]

    def _entries(self, kind: str) -> tuple[Any, ...]:
        return tuple(entry for _, entry in sorted(self._current.entries[kind].items()))

    def _state(self, name: str) -> TableState:
        state = self._current.tables.get(name.lower())
        if state is None:
            names = [other.schema.name for other in self._current.tables.values()]
            raise CatalogError(f'table "{name}" does not exist{nearest(name, names)}')
        return state
