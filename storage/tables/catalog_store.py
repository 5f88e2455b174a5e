"""The catalog on disk: SQLite in WAL mode with synchronous FULL, one transaction per commit.

A commit returns when it is in the file itself; what a crash leaves in the log was not acknowledged.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tensorsql.errors import CorruptError, IOError
from tensorsql.storage.files.checked_file import OpenFiles
from tensorsql.storage.files.checksums import Checksum, relative
from tensorsql.storage.tables.catalog_connection import CatalogConnection
from tensorsql.storage.tables.catalog_format import (
    FORMAT,
    PARTS,
    check_record,
    check_seal,
    create,
    file_record,
    forget_files,
    format_of,
    put,
    put_files,
    put_replaced,
    replaced_files,
    seal,
)
from tensorsql.storage.tables.catalog_upgrade import upgrade
from tensorsql.storage.tables.database_files import DatabaseFiles, prefixes_lost, stored_deletion
from tensorsql.storage.tables.records import (
    entry_of_text,
    entry_text,
    schema_of_record,
    schema_record,
    statistics_of_record,
    statistics_record,
)
from tensorsql.storage.tables.replaced import Replaced
from tensorsql.storage.tables.segment import FileSource, Segment
from tensorsql.storage.tables.snapshot import KINDS, Deletion, Snapshot, TableState

Pieces = dict[int, tuple[Segment, Deletion | None]]


class CatalogStore:
    """Reads and writes snapshots; what they name is opened through `files`."""

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.path = folder / "catalog.sqlite"
        self._folder = folder
        self.files = DatabaseFiles(folder, self)
        self._snapshot: Snapshot | None = None
        self._seen: object = None
        with self._errors():
            self.connection = CatalogConnection(self.path, read_only)
            self._lock = self.connection.lock
            if not read_only:
                self._prepare()

    @property
    def _sqlite(self) -> sqlite3.Connection:
        return self.connection.sqlite

    def __reduce__(self) -> tuple[object, ...]:
        return CatalogStore, (self._folder,)

    def latest(self) -> Snapshot:
        """The last committed snapshot, read again only if another process has committed."""
        with self._lock, self._errors():
            changes = self.connection.changes()
            if self._snapshot is None or changes != self._seen:
                self._snapshot = self._load(self._snapshot)
                self._seen = changes
            return self._snapshot

    def save(self, base: Snapshot, changed: Snapshot, removed: Iterable[str] = ()) -> None:
        """Commit the difference between two snapshots, new files and removed ones at once."""
        with self._lock, self._errors(), self._transaction("IMMEDIATE"):
            put_files(self._sqlite, self._folder, self.files.fresh, changed.version)
            put_replaced(self._sqlite, prefixes_lost(base, changed, self._folder), changed.version)
            forget_files(self._sqlite, removed)
            self._drop_tables(base, changed)
            before = {state.identity: state for state in base.tables.values()}
            for name, state in changed.tables.items():
                if state is not base.tables.get(name):
                    self._save_table(name, before.get(state.identity), state)
            for kind in KINDS:
                self._save_entries(kind, base.entries[kind], changed.entries[kind])
            self._sqlite.execute(
                "UPDATE meta SET value = ? WHERE key = 'version'", (str(changed.version),)
            )
            seal(self._sqlite)
        with self._lock:
            self._snapshot = changed
            with suppress(sqlite3.Error):  # it is committed, whatever becomes of the log
                self.connection.settle()

    def reread(self) -> Snapshot:
        """The last committed snapshot, read and checked as if for the first time."""
        with self._lock, self._errors():
            for (problem,) in self._sqlite.execute("PRAGMA integrity_check").fetchall():
                if problem != "ok":
                    raise CorruptError(f'catalog "{self.path}" is damaged: {problem}')
            return self._load(None)

    def read_last(self) -> Snapshot:
        """The snapshot read last, whatever happens to the catalog now."""
        return self._snapshot or Snapshot()

    def known_files(self) -> set[str]:
        """All files that are known, those that nothing refers to any more among them."""
        with self._lock, self._errors():
            return {path for (path,) in self._sqlite.execute("SELECT path FROM files")}

    def checksum(self, path: Path) -> Checksum | None:
        """The checksum of a committed file, None for one that is not known."""
        name = relative(path, self._folder)
        query = "SELECT checksum, size, blocks, version FROM files WHERE path = ?"
        with self._lock, self._errors():
            record = self._sqlite.execute(query, (name,)).fetchone()
        if record is None:
            return None
        checksum, size, blocks, version = record
        recorded = Checksum(size, blocks)
        if checksum != file_record(name, recorded, version):
            raise CorruptError(
                f'catalog "{self.path}" is damaged: it has lost the checksum of {name}'
            )
        return recorded

    def replaced(self) -> list[Replaced]:
        """The files that were replaced and are not removed yet."""
        with self._lock, self._errors():
            return replaced_files(self._sqlite)

    def forget(self, files: Sequence[str]) -> None:
        """Forget files that were removed."""
        if files:
            with self._lock, self._errors(), self._transaction("IMMEDIATE"):
                forget_files(self._sqlite, files)

    def close(self) -> None:
        """Close the SQLite connection."""
        self.connection.close()

    def _prepare(self) -> None:
        self._sqlite.execute("PRAGMA journal_mode = WAL")
        with self._transaction("IMMEDIATE"):
            if not self._sqlite.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                self._check_new()
                create(self._sqlite)
            elif format_of(self._sqlite, self._folder) < FORMAT:
                upgrade(self._sqlite, self._folder)

    def _check_new(self) -> None:
        """An empty catalog beside files was lost: what they belong to must not be swept away."""
        for part in PARTS:
            if any((self._folder / part).iterdir()):
                raise CorruptError(
                    f'catalog "{self.path}" is missing or empty, but the folder "{part}" beside it'
                    " is not; restore the catalog from a copy, or choose another folder"
                )

    @contextmanager
    def _transaction(self, mode: str) -> Iterator[None]:
        self._sqlite.execute(f"BEGIN {mode}")
        try:
            yield
        except BaseException:
            self._sqlite.execute("ROLLBACK")
            raise
        self._sqlite.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise IOError(f'catalog "{self.path}" cannot be used: {error}') from None
        except sqlite3.DatabaseError as error:
            raise CorruptError(f'catalog "{self.path}" cannot be read: {error}') from None

    def _load(self, earlier: Snapshot | None) -> Snapshot:
        try:
            return self._read(earlier)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise CorruptError(
                f'catalog "{self.path}" cannot be read: a record in it is damaged ({error!r})'
            ) from None

    def _read(self, earlier: Snapshot | None) -> Snapshot:
        with self._transaction("DEFERRED"):
            execute = self._sqlite.execute
            version = int(execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0])
            entries = execute("SELECT * FROM entries").fetchall()
            rows = execute("SELECT * FROM segments ORDER BY identity, first_row_id").fetchall()
            check_seal(self._sqlite)
        segments: dict[str, list[tuple[int, str]]] = {}
        for identity, first_row_id, checksum, body in rows:
            check_record(checksum, identity, first_row_id, body)
            segments.setdefault(identity, []).append((first_row_id, body))
        tables: dict[str, TableState] = {}
        others: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        for kind, name, checksum, body in entries:
            check_record(checksum, kind, name, body)
            if kind == "table":
                before = earlier.tables.get(name) if earlier else None
                tables[name] = self._table(json.loads(body), segments, before)
            else:
                before_entry = earlier.entries[kind].get(name) if earlier else None
                entry = entry_of_text(kind, body, self._folder)
                if hasattr(entry, "files"):
                    entry = replace(entry, files=OpenFiles(self.files))
                others[kind][name] = before_entry if before_entry == entry else entry
        return Snapshot(version, tables, others)

    def _table(
        self,
        record: Mapping[str, Any],
        segments: Mapping[str, list[tuple[int, str]]],
        before: TableState | None,
    ) -> TableState:
        identity = record["identity"]
        if before and (before.identity, before.version) == (identity, record["version"]):
            return before
        opened = _pieces(before) if before and before.identity == identity else {}
        pieces = [
            self._piece(first, json.loads(body), opened.get(first))
            for first, body in segments.get(identity, [])
        ]
        return TableState(
            schema_of_record(record["schema"]),
            identity,
            record["version"],
            tuple(segment for segment, _ in pieces),
            {segment.first_row_id: deletion for segment, deletion in pieces if deletion},
            record["next_row_id"],
        )

    def _piece(
        self,
        first_row_id: int,
        record: Mapping[str, Any],
        before: tuple[Segment, Deletion | None] | None,
    ) -> tuple[Segment, Deletion | None]:
        name = record["name"]
        if before and before[0].name == name:
            segment = before[0]
        else:
            segment = Segment(
                record["rows"],
                FileSource(self._folder / "segments" / name, self.files, record["rows"]),
                statistics_of_record(record["statistics"]),
                first_row_id,
                record["last_row_id"],
                name,
            )
        deleted = record["deleted"]
        if not deleted:
            return segment, None
        deletion_name, count = deleted
        return segment, stored_deletion(self.files, deletion_name, count, segment.rows)

    def _drop_tables(self, base: Snapshot, changed: Snapshot) -> None:
        remaining = {state.identity for state in changed.tables.values()}
        gone = [(s.identity,) for s in base.tables.values() if s.identity not in remaining]
        self._sqlite.executemany("DELETE FROM segments WHERE identity = ?", gone)
        names = [(name,) for name in base.tables.keys() - changed.tables.keys()]
        self._sqlite.executemany("DELETE FROM entries WHERE kind = 'table' AND name = ?", names)

    def _save_table(self, name: str, old: TableState | None, new: TableState) -> None:
        before, after = _pieces(old), _pieces(new)
        gone = [(new.identity, first) for first in before.keys() - after.keys()]
        self._sqlite.executemany("DELETE FROM segments WHERE identity=? AND first_row_id=?", gone)
        changed = [
            (new.identity, first, _piece_text(*piece))
            for first, piece in after.items()
            if not _same(before.get(first), piece)
        ]
        put(self._sqlite, "segments", changed)
        body = {
            "schema": schema_record(new.schema),
            "identity": new.identity,
            "version": new.version,
            "next_row_id": new.next_row_id,
        }
        put(self._sqlite, "entries", [("table", name, json.dumps(body))])

    def _save_entries(self, kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        for name in old.keys() - new.keys():
            self._sqlite.execute("DELETE FROM entries WHERE kind = ? AND name = ?", (kind, name))
        for name, entry in new.items():
            if entry is not old.get(name):
                put(self._sqlite, "entries", [(kind, name, entry_text(entry, self._folder))])


def _pieces(state: TableState | None) -> Pieces:
    if state is None:
        return {}
    return {s.first_row_id: (s, state.deletions.get(s.first_row_id)) for s in state.segments}


def _same(
    old: tuple[Segment, Deletion | None] | None, new: tuple[Segment, Deletion | None]
) -> bool:
    return old is not None and old[0] is new[0] and old[1] is new[1]


def _piece_text(segment: Segment, deletion: Deletion | None) -> str:
    return json.dumps(
        {
            "name": segment.name,
            "rows": segment.rows,
            "last_row_id": segment.last_row_id,
            "statistics": statistics_record(segment.statistics),
            "deleted": [deletion.name, deletion.count] if deletion else None,
        }
    )
