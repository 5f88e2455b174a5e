"""The binder's view of the world: a transaction, registered objects, files, Python variables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from tensorsql.storage.formats import file_relation
from tensorsql.storage.formats.objects import is_table, relation
from tensorsql.storage.tables.catalog import IndexEntry, ModelEntry, Relation, ViewEntry

if TYPE_CHECKING:
    from tensorsql.storage.tables.database import Transaction


class SessionCatalog:
    """Implements `planner.binder.environment.SessionNames`; tables hide registered objects."""

    def __init__(self, transaction: Transaction, registered: Mapping[str, Relation]) -> None:
        self.transaction = transaction
        self.registered = registered

    def relation(self, name: str) -> Relation | None:
        """A table, or an object registered under this name."""
        return self.transaction.relation(name) or self.registered.get(name.lower())

    def view(self, name: str) -> ViewEntry | None:
        """A view."""
        return self.transaction.view(name)

    def model(self, name: str) -> ModelEntry | None:
        """A model."""
        return self.transaction.model(name)

    def index(self, name: str) -> IndexEntry | None:
        """An index."""
        return self.transaction.index(name)

    def table_names(self) -> Iterable[str]:
        """Tables and registered objects."""
        return [*self.transaction.table_names(), *self.registered]

    def view_names(self) -> Iterable[str]:
        """Views."""
        return self.transaction.view_names()

    def model_names(self) -> Iterable[str]:
        """Models."""
        return self.transaction.model_names()

    def index_names(self) -> Iterable[str]:
        """Indexes."""
        return self.transaction.index_names()

    def replacement(self, name: str) -> Relation | None:
        """A Python variable of the caller as a relation."""

        return find_object(name)

    def file_relation(
        self, function: str, path: str | tuple[str, ...], options: Mapping[str, Any]
    ) -> Relation:
        """The files of a reader function as one relation."""

        return file_relation(function, path, options)


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
