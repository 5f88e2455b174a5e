"""Snapshots: all that a transaction can see, by name. Torch-free until a relation is opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensorsql.errors import CatalogError, nearest
from tensorsql.storage.columns.analyze import merge, without_rows
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.tables.catalog import (
    IndexEntry,
    ModelEntry,
    Relation,
    TableSchema,
    ViewEntry,
)
from tensorsql.storage.tables.segment import LazyStatistics, Segment


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


KINDS = ("view", "model", "index")


class Deletion:
    """One version of a segment's deletion bitmap, loaded when first asked for."""

    def __init__(self, count: int, load: Callable[[], NDArray[np.bool_]], name: str = "") -> None:
        self.count = count
        self.name = name
        self._load = load
        self._flags: NDArray[np.bool_] | None = None

    @property
    def flags(self) -> NDArray[np.bool_]:
        """True per deleted row."""
        if self._flags is None:
            self._flags = self._load()
        return self._flags


@dataclass(frozen=True, eq=False)
class TableState:
    """A table at one snapshot: its segments in row-id order and, by first row id, what is deleted.

    `identity` names the table for ever, `version` this state of it (negative: not committed).
    """

    schema: TableSchema
    identity: str
    version: int
    segments: tuple[Segment, ...] = ()
    deletions: Mapping[int, Deletion] = field(default_factory=dict)
    next_row_id: int = 0
    _opened: list[Any] = field(default_factory=list, repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = self.schema, self.identity, self.version, self.segments
        return TableState, (*fields, dict(self.deletions), self.next_row_id)

    @property
    def rows(self) -> int:
        """Positions, deleted ones included."""
        return sum(segment.rows for segment in self.segments)

    @property
    def live_rows(self) -> int:
        """Rows that are not deleted."""
        return self.rows - sum(deletion.count for deletion in self.deletions.values())

    def changed(self, **changes: Any) -> TableState:
        """The state with some fields replaced and nothing opened yet."""
        return replace(self, _opened=[], _lock=threading.Lock(), **changes)

    def deleted(self, segment: Segment) -> NDArray[np.bool_] | None:
        """The flags of deleted rows of one of the segments."""
        deletion = self.deletions.get(segment.first_row_id)
        return None if deletion is None else deletion.flags

    def relation(self, indexes: tuple[IndexEntry, ...] = ()) -> Relation:
        """The table as planning sees it; every call opens the same reader."""
        return Relation(
            self.schema.name,
            self.schema,
            self.rows,
            self.live_rows,
            self._open,
            self.statistics,
            self.identity,
            self.version,
            indexes,
        )

    @cached_property
    def statistics(self) -> LazyStatistics:
        """What is known of each column, merged from the segments."""
        names = tuple(column.name for column in self.schema.columns)
        return LazyStatistics(names, self._statistics)

    def _open(self) -> Any:
        from tensorsql.storage.tables.table import SegmentsReader

        with self._lock:
            if not self._opened:
                flags = [self.deleted(segment) for segment in self.segments]
                self._opened.append(SegmentsReader(self.schema, self.segments, flags))
            return self._opened[0]

    def _statistics(self, name: str) -> ColumnStatistics:
        parts = [s.statistics.get(name, ColumnStatistics()) for s in self.segments if s.rows]
        facts = merge(parts)
        if self.deletions:
            facts = without_rows(facts)
        if self.schema.is_key(name) and facts.non_null:
            facts = replace(facts, unique=True, max_fan_out=min(1, self.live_rows))
        return facts


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The whole catalog at one version; names are folded to lower case."""

    version: int = 0
    tables: Mapping[str, TableState] = field(default_factory=dict)
    entries: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {kind: {} for kind in KINDS}
    )

    def with_table(self, name: str, state: TableState | None) -> Snapshot:
        """The snapshot with a table put or, for None, removed."""
        return replace(self, tables=_with(self.tables, name, state))

    def with_entry(self, kind: str, name: str, entry: Any) -> Snapshot:
        """The snapshot with an entry of a kind put or, for None, removed."""
        changed = _with(self.entries[kind], name, entry)
        return replace(self, entries={**self.entries, kind: changed})

    def without(self, other: Snapshot) -> Snapshot:
        """What is not the same in another snapshot."""
        return Snapshot(
            self.version,
            _without(self.tables, other.tables),
            {kind: _without(self.entries[kind], other.entries[kind]) for kind in KINDS},
        )


def _with(entries: Mapping[str, Any], name: str, entry: Any) -> Mapping[str, Any]:
    others = {key: value for key, value in entries.items() if key != name.lower()}
    return others if entry is None else {**others, name.lower(): entry}


def _without(entries: Mapping[str, Any], others: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: entry for name, entry in entries.items() if others.get(name) is not entry}
