"""Transactions: one snapshot to read, changes that nobody else sees until they are committed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from tensorsql.cancellation import apart, check_cancelled
from tensorsql.errors import CatalogError, TransactionError, nearest
from tensorsql.storage.files.forks import follow
from tensorsql.storage.tables.catalog import TableSchema
from tensorsql.storage.tables.constraints import check_key_types, check_keys, check_not_null
from tensorsql.storage.tables.entry_changes import EntryChanges
from tensorsql.storage.tables.ingest import Incoming, adopt_masks, batches_of, segment_of
from tensorsql.storage.tables.keys import with_key_indexes
from tensorsql.storage.tables.locks import Held, NoLock, Wait
from tensorsql.storage.tables.memory_store import Store
from tensorsql.storage.tables.rewrite import merge_segments, merged_with
from tensorsql.storage.tables.segment import Segment
from tensorsql.storage.tables.snapshot import KINDS, Deletion, Snapshot, TableState


class Transaction(EntryChanges):
    """A snapshot of the database and changes to it; used by one thread at a time.

    The first change makes this the only writer until commit or rollback. What another transaction
    has changed since the snapshot cannot be changed here any more: TransactionError.
    """

    def __init__(
        self, store: Store, wait: Wait, numbers: Iterator[int], write: bool, read_only: bool
    ) -> None:
        self._store = store
        self._wait = wait  # for the turn to write
        self._numbers = numbers  # for states that nobody else sees
        self._read_only = read_only
        self._thread: object = None  # whose end is ours, once we write
        self._why_finished = "the transaction is over; begin another"
        self._writing = False
        self._finished = False
        self._written: list[Path] = []
        self._held: Held = NoLock()
        try:
            if write:
                self._lock()
            self._base, self._held = self._store.read()
            self._latest = self._base
        except BaseException:
            self.rollback()
            raise
        self._current = self._base

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return self._current is not self._base

    @property
    def version(self) -> int:
        """The catalog version of the snapshot."""
        return self._base.version

    def enter(self) -> None:
        """The current thread goes on with it, and when that thread ends, so does what it wrote."""
        self._require_open()
        if self._writing:
            self._thread = follow(self)

    def thread_ended(self, thread: object) -> None:
        """Roll back if this was the thread that wrote."""
        if self._thread is thread and not self._finished:
            self._why_finished = (
                "the transaction was rolled back, because the thread that wrote in it has ended;"
                " begin another"
            )
            self.rollback()

    # tables

    def create_table(self, schema: TableSchema) -> None:
        """Add an empty table; CatalogError if the name is taken by a table or view."""
        if schema.name.lower() in self._current.tables or self.view(schema.name):
            raise CatalogError(f'"{schema.name}" already exists')
        if not schema.columns:
            raise CatalogError(f'table "{schema.name}" needs at least one column')
        check_key_types(schema)
        self._put_table(TableState(schema, uuid.uuid4().hex, self._next_version()))

    def drop_table(self, name: str) -> None:
        """Remove a table with its indexes."""
        self._state(name)
        self._write_table(name)
        for entry in self.indexes():
            if entry.table.lower() == name.lower():
                self._drop("index", entry.name)
        self._current = self._current.with_table(name, None)

    def append(self, name: str, rows: Incoming) -> int:
        """Add rows and return how many.

        Rows are an Arrow table, a mapping of column name to Arrow array or engine column, or a list
        of such batches; columns left out are NULL. IntegrityError if a constraint does not hold.
        """
        state = self._state(name)
        self._write_table(name)
        batches = batches_of(rows)
        self._check_names(state.schema, batches)
        schema = adopt_masks(state.schema, batches)
        rows_given = sum(len(next(iter(batch.values()), ())) for batch in batches)
        segment = apart(lambda: segment_of(schema, batches, state.next_row_id), rows_given)
        if not segment.rows:
            return 0
        check_not_null(schema, {c.name: segment.source.array(c.name) for c in schema.columns})
        apart(lambda: check_keys(state, segment), segment.rows)
        check_cancelled()
        self._put_table(self._grown(state.changed(schema=schema), segment))
        return segment.rows

    def _grown(self, state: TableState, new: Segment) -> TableState:
        """The table with a new segment, merged with the small ones before it."""
        old = merged_with(state, new)
        whole = merge_segments(state, (*old, new)) if old else new
        assert whole is not None
        left = state.segments[: len(state.segments) - len(old)]
        gone = {segment.first_row_id for segment in old}
        return state.changed(
            segments=(*left, self._keep(state.schema, whole)),
            deletions={first: d for first, d in state.deletions.items() if first not in gone},
            next_row_id=new.last_row_id + 1,
        )

    def delete(self, name: str, row_ids: Any) -> int:
        """Delete rows by id (a tensor or array) and return how many there were."""
        state = self._state(name)
        self._write_table(name)
        asked = np.asarray(row_ids, dtype=np.int64)
        deletions, count = dict(state.deletions), 0
        left = []
        for segment in state.segments:
            check_cancelled()
            places = segment.positions(asked)
            places = places[places >= 0]
            deleted = state.deleted(segment) if len(places) else None
            flags = np.zeros(segment.rows, np.bool_) if deleted is None else deleted.copy()
            before = int(np.count_nonzero(flags))
            flags[places] = True  # an id may be given twice
            fresh = int(np.count_nonzero(flags)) - before
            count += fresh
            if fresh and flags.all():
                deletions.pop(segment.first_row_id, None)
                continue
            left.append(segment)
            if fresh:
                deletions[segment.first_row_id] = self._keep_deletion(flags)
        if count:
            self._put_table(state.changed(segments=tuple(left), deletions=deletions))
        return count

    def update(self, name: str, row_ids: Any, rows: Incoming) -> int:
        """Replace rows: delete these ids and append `rows`; neither happens if one fails."""
        before = self.savepoint()
        try:
            self.delete(name, row_ids)
            return self.append(name, rows)
        except BaseException:
            self.restore(before)
            raise

    def compact(self, compacted: Callable[[TableState], list[Segment]]) -> None:
        """Replace the segments of every table by what `compacted` makes of its live rows."""
        for state in list(self._current.tables.values()):
            segments = compacted(state)
            if any(new is not old for new, old in zip_longest(segments, state.segments)):
                old = set(map(id, state.segments))
                schema = state.schema
                stored = tuple(s if id(s) in old else self._keep(schema, s) for s in segments)
                self._put_table(state.changed(segments=stored, deletions={}))

    # files of other owners

    def new_directory(self, kind: str) -> Path | None:
        """A fresh folder under "indexes" or "models", or None in memory.

        It lasts if an entry's `directory` or `source` refers to it or into it.
        """
        if self._store.folder is None:
            return None
        self._lock()
        path = self._store.folder / kind / uuid.uuid4().hex
        path.mkdir()
        self._written.append(path)
        return path

    def index_directory(self, name: str) -> str | None:
        """A fresh folder for the blocks of an index, or None in memory."""
        directory = self.new_directory("indexes")
        return None if directory is None else str(directory)

    def copied_directory(self, directory: str | None) -> str:
        """A fresh folder for the blocks of an index, with those of another folder, checked."""
        copied = self.index_directory("")
        files = self._store.files
        assert copied is not None and files is not None
        if directory is not None:
            files.copy(Path(directory), Path(copied))
        return copied

    # the end

    def savepoint(self) -> Snapshot:
        """The present state, for `restore`."""
        return self._current

    def restore(self, savepoint: Snapshot) -> None:
        """Undo every change since the savepoint was taken."""
        self._current = savepoint

    def commit(self) -> None:
        """Make the changes durable, then visible; the transaction is over either way."""
        self._require_open()
        try:
            if self.changed:
                # a commit that failed half-way may still be durable: its files stay, and are swept
                merged = self._merged()
                self._discard_what_became_of_no_use(merged)
                written, self._written = self._written, []
                self._leave()
                self._store.publish(self._latest, merged, written)
        finally:
            self.rollback()

    def _discard_what_became_of_no_use(self, merged: Snapshot) -> None:
        """Remove segments and bitmaps that we wrote and replaced again."""
        states = merged.tables.values()
        named = {segment.name for state in states for segment in state.segments}
        named |= {deletion.name for state in states for deletion in state.deletions.values()}
        lost = [p for p in self._written if p.parent.name == "segments" and p.name not in named]
        self._written = [path for path in self._written if path not in lost]
        self._store.discard(lost)

    def rollback(self) -> None:
        """Forget the changes; calling it again does nothing."""
        if self._finished:
            return
        self._finished = True
        self._leave()
        try:
            self._store.discard(self._written)
        finally:
            if self._writing:
                self._store.unlock_writer()

    def _leave(self) -> None:
        """No more files are opened of what was read."""
        self._held.close()

    def _merged(self) -> Snapshot:
        """Our changes on top of the latest snapshot, with the new catalog version."""
        version = self._latest.version + 1
        merged = replace(self._latest, version=version)
        for name in {*self._base.tables, *self._current.tables}:
            state = self._current.tables.get(name)
            if state is not self._base.tables.get(name):
                final = state.changed(version=version) if state else None
                merged = merged.with_table(name, final)
        for kind in KINDS:
            before, after = self._base.entries[kind], self._current.entries[kind]
            for name in {*before, *after}:
                if before.get(name) is not after.get(name):
                    merged = merged.with_entry(kind, name, after.get(name))
        return merged

    def _put_table(self, state: TableState) -> None:
        self._write_table(state.schema.name)
        changed = state.changed(version=self._next_version())
        self._current = self._current.with_table(state.schema.name, changed)

    def _write_table(self, name: str) -> None:
        self._lock()
        ours = self._base.tables.get(name.lower())
        theirs = self._latest.tables.get(name.lower())
        if (ours and (ours.identity, ours.version)) != (
            theirs and (theirs.identity, theirs.version)
        ):
            self._conflict(f'table "{name}"')

    def _write_entry(self, kind: str, name: str) -> None:
        self._lock()
        folded = name.lower()
        if self._base.entries[kind].get(folded) != self._latest.entries[kind].get(folded):
            self._conflict(f'{kind} "{name}"')

    def _conflict(self, what: str) -> None:
        raise TransactionError(
            f"{what} was changed by another transaction since this one began; roll back and retry"
        )

    def _lock(self) -> None:
        self._require_open()
        if self._writing:
            return
        if self._read_only:
            raise TransactionError("the database is open read-only and cannot be changed")
        if not self._store.lock_writer(self._wait):
            raise TransactionError(
                f"another connection has been writing: {self._store.writer()}; waited"
                f" {self._wait.seconds:g} s for it, try again after it commits"
            )
        self._writing = True
        self._thread = follow(self)
        self._latest = self._store.latest()

    def _require_open(self) -> None:
        if self._finished:
            raise TransactionError(self._why_finished)
        self._store.owner.require()

    def _next_version(self) -> int:
        return -next(self._numbers)

    def _keep(self, schema: TableSchema, segment: Segment) -> Segment:
        stored = self._store.keep(apart(lambda: with_key_indexes(schema, segment), segment.rows))
        self._remember(stored.name)
        return stored

    def _keep_deletion(self, flags: np.ndarray[Any, Any]) -> Deletion:
        deletion = self._store.keep_deletion(flags)
        self._remember(deletion.name)
        return deletion

    def _remember(self, name: str) -> None:
        if self._store.folder is not None:
            self._written.append(self._store.folder / "segments" / name)

    @staticmethod
    def _check_names(schema: TableSchema, batches: list[dict[str, Any]]) -> None:
        for name in {name for batch in batches for name in batch}:
            if schema.column(name) is None:
                names = [column.name for column in schema.columns]
                raise CatalogError(f'no column "{name}" in {schema.name}{nearest(name, names)}')
