"""The binder's view of the world: one transaction, the session's registered objects, files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tensorsql.replacement import find_object
from tensorsql.storage.formats import file_relation
from tensorsql.storage.tables.catalog import IndexEntry, ModelEntry, Relation, ViewEntry

if TYPE_CHECKING:
    from tensorsql.storage.tables.database import Transaction


class SessionCatalog:
    """Implements `planner.binder.catalog.BindCatalog`; tables hide registered objects."""

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
