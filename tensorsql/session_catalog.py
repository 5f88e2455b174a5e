"""The binder's view of the world: a transaction, registered objects, files, Python variables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from tensorsql.storage.formats import file_relation
from tensorsql.storage.formats.objects import is_table, relation
from tensorsql.storage.tables.catalog import (
    IndexEntry,
    ModelEntry,
    Relation,
    TableName,
    TableSchema,
    ViewEntry,
)

if TYPE_CHECKING:
    from tensorsql.storage.tables.database import Transaction


# Tables of fewer rows may grow to as many without another look at their plans.
FEW = 1000


@dataclass
class Lookups:
    """What binding asked of the catalog, by kind and name, and what it was told.

    `lasting` says whether there was nothing else, such as files or lists of names.
    """

    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    lasting: bool = True


@dataclass(frozen=True)
class SeenRelation:
    """A relation as planning saw it; equal to one that the same plan is as good for."""

    reference: TableName | Relation
    schema: TableSchema
    indexes: tuple[IndexEntry, ...]
    live_rows: int

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SeenRelation):
            return NotImplemented
        mine, theirs = self.reference, other.reference
        same = mine is theirs or (isinstance(mine, TableName) and mine == theirs)
        fewer, more = sorted((self.live_rows, other.live_rows))
        few = more <= 2 * fewer + FEW
        return same and few and (self.schema, self.indexes) == (other.schema, other.indexes)


class SessionCatalog:
    """Implements `planner.binder.environment.SessionNames`; tables hide registered objects.

    It remembers what it was asked, in `lookups`.
    """

    def __init__(self, transaction: Transaction, registered: Mapping[str, Relation]) -> None:
        self.transaction = transaction
        self.registered = registered
        self.lookups = Lookups()

    def answers_alike(self, lookups: Lookups) -> bool:
        """Whether another catalog's answers would be the same here."""
        return all(
            self._seen(kind, name) == answer for (kind, name), answer in lookups.answers.items()
        )

    def table(self, name: str) -> Relation:
        """A table that there is."""
        table = self.transaction.relation(name)
        assert table is not None
        return table

    def _seen(self, kind: str, name: str) -> Any:
        return _record(self._entry(kind, name))

    def _entry(self, kind: str, name: str) -> Any:
        entry = getattr(self.transaction, kind)(name)
        hidden = entry is None and kind == "relation"
        return self.registered.get(name.lower()) if hidden else entry

    def _asked(self, kind: str, name: str) -> Any:
        entry = self._entry(kind, name)
        self.lookups.answers[kind, name.lower()] = _record(entry)
        return entry

    def relation(self, name: str) -> Relation | None:
        """A table, or an object registered under this name."""
        return cast("Relation | None", self._asked("relation", name))

    def view(self, name: str) -> ViewEntry | None:
        """A view."""
        return cast("ViewEntry | None", self._asked("view", name))

    def model(self, name: str) -> ModelEntry | None:
        """A model."""
        return cast("ModelEntry | None", self._asked("model", name))

    def index(self, name: str) -> IndexEntry | None:
        """An index."""
        return cast("IndexEntry | None", self._asked("index", name))

    def _listed(self, names: Iterable[str]) -> Iterable[str]:
        self.lookups.lasting = False
        return names

    def table_names(self) -> Iterable[str]:
        """Tables and registered objects."""
        return self._listed([*self.transaction.table_names(), *self.registered])

    def view_names(self) -> Iterable[str]:
        """Views."""
        return self._listed(self.transaction.view_names())

    def model_names(self) -> Iterable[str]:
        """Models."""
        return self._listed(self.transaction.model_names())

    def index_names(self) -> Iterable[str]:
        """Indexes."""
        return self._listed(self.transaction.index_names())

    def replacement(self, name: str) -> Relation | None:
        """A Python variable of the caller as a relation."""
        self.lookups.lasting = False
        return find_object(name)

    def file_relation(
        self, function: str, path: str | tuple[str, ...], options: Mapping[str, Any]
    ) -> Relation:
        """The files of a reader function as one relation."""
        self.lookups.lasting = False
        return file_relation(function, path, options)


def _record(entry: Any) -> Any:
    """What is compared of an entry, without the data that it may hold."""
    if isinstance(entry, Relation):
        records = tuple(index.record for index in entry.indexes)
        return SeenRelation(entry.reference, entry.schema, records, entry.live_rows)
    return entry.record if isinstance(entry, IndexEntry | ModelEntry) else entry


def find_object(name: str) -> Relation | None:
    """The nearest variable of this name outside tensorsql that can be scanned, as a relation."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not str(frame.f_globals.get("__name__", "")).startswith("tensorsql"):
            for variables in (frame.f_locals, frame.f_globals):
                if name in variables:
                    return _relation(name, variables[name])
        frame = frame.f_back
    return None


def _relation(name: str, value: object) -> Relation | None:
    return relation(name, value) if is_table(value) else None
