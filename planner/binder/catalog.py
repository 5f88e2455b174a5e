"""What binding needs to know of the world: the session implements it for one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from tensorsql.storage.tables.catalog import IndexEntry, ModelEntry, Relation, ViewEntry


class BindCatalog(Protocol):
    """One snapshot of the catalog; names compare case-insensitively. Free of torch."""

    def relation(self, name: str) -> Relation | None:
        """The table of this name."""

    def view(self, name: str) -> ViewEntry | None:
        """The view of this name."""

    def model(self, name: str) -> ModelEntry | None:
        """The model of this name."""

    def index(self, name: str) -> IndexEntry | None:
        """The index of this name."""

    def table_names(self) -> Iterable[str]:
        """All tables and registered relations."""

    def view_names(self) -> Iterable[str]:
        """All views."""

    def model_names(self) -> Iterable[str]:
        """All models."""

    def index_names(self) -> Iterable[str]:
        """All indexes."""

    def replacement(self, name: str) -> Relation | None:
        """A Python object of this name in the caller's frames, as a relation."""

    def file_relation(
        self, function: str, path: str | tuple[str, ...], options: Mapping[str, Any]
    ) -> Relation:
        """The files of `read_csv`, `read_parquet`, … as one relation; options are Python values.

        `path` may be a glob. IOError where nothing matches; BindError for an unknown option.
        """
