"""The catalog and its records: schemas, relations, models, indexes — free of torch.

A `Relation` is what planning sees of anything that can be scanned: schema and facts at one snapshot
and a way to open it. Reading data (torch) happens only behind `Relation.open`, so that bind and
EXPLAIN never load torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from tensorsql.storage.columns.places import Places
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import Type

if TYPE_CHECKING:
    from torch import Tensor

    from tensorsql.storage.columns.column import Column


@dataclass(frozen=True)
class ColumnSchema:
    """A column of a table; `default` is SQL text."""

    name: str
    type: Type
    not_null: bool = False
    default: str | None = None


@dataclass(frozen=True)
class TableSchema:
    """A table's columns and keys; names compare case-insensitively and keep their case."""

    name: str
    columns: tuple[ColumnSchema, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()

    def column(self, name: str) -> ColumnSchema | None:
        """The column of this name in any case, or None."""
        return self._by_name.get(name.lower())

    @cached_property
    def _by_name(self) -> dict[str, ColumnSchema]:
        return {item.name.lower(): item for item in reversed(self.columns)}

    def is_key(self, name: str) -> bool:
        """Whether the column alone is the primary key or UNIQUE."""
        keys = (self.primary_key, *self.unique)
        return any(len(key) == 1 and key[0].lower() == name.lower() for key in keys)


@dataclass(frozen=True)
class IndexEntry:
    """A CHI, NPI or other bounds index: which method over which table, columns or model layer.

    `arguments` are the method's arguments as given (column names, or model and layer); `options`
    the WITH list after defaults; `directory` is where its blocks are (None in memory), `files` what
    opens them; `state` is an opaque object of the method that the index module alone reads.
    """

    name: str
    table: str
    method: str
    arguments: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    directory: str | None = None
    state: Any = field(default=None, compare=False, repr=False)
    files: Any = field(default=None, compare=False, repr=False)

    @property
    def record(self) -> IndexEntry:
        """The entry without its blocks, which plans hold."""
        return replace(self, state=None, files=None)


@dataclass(frozen=True)
class Running:
    """How a model is run, found by probing it; part of its identity.

    `element` is the type of its inputs, `activation` the float type that holds every activation,
    `output` the shape of one row's output. A run has `batch` rows; `alone` = all copies of one row.
    Not `probed`: kept by a version that did not try models, and ran them as these defaults say.
    """

    element: str = "float32"
    activation: str = "float32"
    output: tuple[int, ...] = ()
    batch: int = 64
    alone: bool = False
    probed: bool = field(default=True, repr=False)  # as records call it


@dataclass(frozen=True)
class ModelEntry:
    """A model: where it came from, its signature and the hash of its weights.

    `inputs` and `outputs` are (name, type) pairs; `layers` (module path, output shape per row);
    `handle` is the loaded model or None until first use. `file_hash` is that of the file kept: one
    with another content is not opened.
    """

    name: str
    source: str
    format: str
    weights_hash: str
    inputs: tuple[tuple[str, Type], ...] = ()
    output: Type | None = None
    layers: tuple[tuple[str, tuple[int, ...]], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    running: Running = Running()
    handle: Any = field(default=None, compare=False, repr=False)
    file_hash: str = ""

    @property
    def record(self) -> ModelEntry:
        """The entry without the loaded model, which plans hold."""
        return replace(self, handle=None)


@dataclass(frozen=True)
class ViewEntry:
    """A view: its SQL text and the column names given to it, if any."""

    name: str
    sql: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Relation:
    """Something that can be scanned, at one snapshot.

    `rows` counts positions 0 … rows - 1, deleted ones included; `live_rows` the others. `identity`
    tells base tables apart across snapshots (provenance: identity and row id name a row for ever);
    None for files and computed relations without stable row ids. `statistics` may lack columns.
    `places` says where in files the rows stand, if that is where they come from; `doubtful` names a
    column that is a row's reason to be left out where it cannot be read. Equality is by name,
    identity and version alone.
    """

    name: str
    schema: TableSchema
    rows: int = field(compare=False)
    live_rows: int = field(compare=False)
    open: Callable[[], Reader] = field(compare=False, repr=False)
    statistics: Mapping[str, ColumnStatistics] = field(
        default_factory=dict, compare=False, repr=False
    )
    identity: str | None = None
    version: int = 0
    indexes: tuple[IndexEntry, ...] = field(default=(), compare=False, repr=False)
    places: Places | None = field(default=None, compare=False, repr=False)
    doubtful: str = field(default="", compare=False, repr=False)

    @property
    def reference(self) -> TableName | Relation:
        """What a program holds of it: a table's rows are found when the program runs, those of
        files and objects are what they were when their name was bound."""
        return self if self.identity is None else TableName(self.name, self.identity)


@dataclass(frozen=True)
class TableName:
    """A table of the database at whatever snapshot it is read; `identity` tells it from another
    table that has its name now."""

    name: str
    identity: str


class Reader(Protocol):
    """Positions 0 … rows - 1 of one snapshot, deleted rows included. Thread-safe."""

    def read(self, column: str, start: int, stop: int) -> Column:
        """Rows start … stop - 1 of a column; text columns share one dictionary over all ranges."""

    def live(self, start: int, stop: int) -> Tensor | None:
        """bool per position, False = deleted; None = all live."""

    def row_ids(self, start: int, stop: int) -> Tensor:
        """int64 row ids, ascending."""

    def positions(self, row_ids: Tensor) -> Tensor:
        """The position of each row id (int64), -1 where this snapshot does not have it."""


class Catalog(Protocol):
    """One snapshot of what a database names; names compare case-insensitively."""

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


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names told apart; an empty one says the column's place."""
    return told_apart(name or f"column{place}" for place, name in enumerate(names))


def told_apart(names: Iterable[str]) -> list[str]:
    """The names with `_1`, `_2` … added where one was there before, as DuckDB does.

    SQL does not tell case apart, so neither does this.
    """
    apart: list[str] = []
    taken: set[str] = set()
    for base in names:
        name, number = base, 0
        while name.lower() in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name.lower())
        apart.append(name)
    return apart


def repeated_name(names: Iterable[str]) -> str | None:
    """The first name that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
