"""A catalog for binding without storage, and shortcuts from SQL to plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sqlglot import exp

from tensorsql.errors import Error
from tensorsql.errors import IOError as FileError
from tensorsql.parser.dialect import parse
from tensorsql.planner.binder import bind
from tensorsql.planner.binder.types import bind_type
from tensorsql.planner.plans.bound_statements import BoundStatement, Query
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import free_columns
from tensorsql.planner.plans.verify import verify
from tensorsql.storage.columns import types
from tensorsql.storage.tables.catalog import (
    ColumnSchema,
    IndexEntry,
    ModelEntry,
    Relation,
    TableSchema,
    ViewEntry,
)


def _closed() -> NoReturn:
    raise AssertionError("binding must not open a relation")


def relation(name: str, columns: str, primary_key: tuple[str, ...] = ()) -> Relation:
    """A relation of `a INTEGER, b VARCHAR NOT NULL DEFAULT 'x'`, written as in CREATE TABLE."""
    (tree,) = parse(f"CREATE TABLE x ({columns})")
    found = []
    for node in tree.this.expressions:
        kinds = {type(item.kind): item.kind for item in node.args.get("constraints") or []}
        default = kinds.get(exp.DefaultColumnConstraint)
        found.append(
            ColumnSchema(
                node.name,
                bind_type(node.args["kind"]),
                exp.NotNullColumnConstraint in kinds,
                default.this.sql("duckdb") if default is not None else None,
            )
        )
    schema = TableSchema(name, tuple(found), primary_key)
    return Relation(name, schema, 100, 100, _closed, identity=name)


@dataclass
class MemoryCatalog:
    """SessionNames of dictionaries by lower-case name."""

    relations: dict[str, Relation] = field(default_factory=dict)
    views: dict[str, ViewEntry] = field(default_factory=dict)
    models: dict[str, ModelEntry] = field(default_factory=dict)
    indexes: dict[str, IndexEntry] = field(default_factory=dict)
    files: list[tuple[str, Any, dict[str, Any]]] = field(default_factory=list)

    def add(self, name: str, columns: str, primary_key: tuple[str, ...] = ()) -> None:
        self.relations[name.lower()] = relation(name, columns, primary_key)

    def relation(self, name: str) -> Relation | None:
        return self.relations.get(name.lower())

    def view(self, name: str) -> ViewEntry | None:
        return self.views.get(name.lower())

    def model(self, name: str) -> ModelEntry | None:
        return self.models.get(name.lower())

    def index(self, name: str) -> IndexEntry | None:
        return self.indexes.get(name.lower())

    def table_names(self) -> Iterable[str]:
        return [item.name for item in self.relations.values()]

    def view_names(self) -> Iterable[str]:
        return [item.name for item in self.views.values()]

    def model_names(self) -> Iterable[str]:
        return [item.name for item in self.models.values()]

    def index_names(self) -> Iterable[str]:
        return [item.name for item in self.indexes.values()]

    def replacement(self, name: str) -> Relation | None:
        return None

    def file_relation(
        self, function: str, path: str | tuple[str, ...], options: Mapping[str, Any]
    ) -> Relation:
        self.files.append((function, path, dict(options)))
        if "missing" in str(path):
            raise FileError(f'no file matches "{path}"')
        return relation(str(path), "a INTEGER, b VARCHAR")


def sample() -> MemoryCatalog:
    """A catalog with tables, views and a model."""
    found = MemoryCatalog()
    found.add("t", "a INTEGER, b INTEGER DEFAULT 7, s VARCHAR, d DECIMAL(10,2)", ("a",))
    found.add("u", "a INTEGER, c INTEGER, l INTEGER[], st STRUCT(x INTEGER, y VARCHAR)")
    found.add("masks", "mask_id INTEGER, image_id INTEGER, mask MASK(255), roi BOX, lo DOUBLE")
    found.add("Odd", '"A b" INTEGER, "select" INTEGER')
    found.views["v"] = ViewEntry("v", "SELECT a + 1 AS x, b FROM t", ("p",))
    found.views["loop"] = ViewEntry("loop", "SELECT * FROM loop")
    found.views["broken"] = ViewEntry("broken", "SELECT zz FROM t")
    inputs = (("a", types.INTEGER), ("b", types.INTEGER))
    layers = (("fc1", (10,)),)
    labels = {"classes": ("x", "y")}
    found.models["m"] = ModelEntry("m", "m.pt", "torch", "h", inputs, types.BIGINT, layers, labels)
    return found


def bound(sql: str, catalog: MemoryCatalog, parameters: Any = None) -> BoundStatement:
    """The one statement of `sql`, bound."""
    (tree,) = parse(sql)
    return bind(tree, catalog, parameters, {"threads": 2})


def plan_of(sql: str, catalog: MemoryCatalog, parameters: Any = None) -> Plan:
    """The verified plan of a query."""
    statement = bound(sql, catalog, parameters)
    assert isinstance(statement, Query), statement
    verify(statement.plan)
    assert not free_columns(statement.plan)
    return statement.plan


def error_of(sql: str, catalog: MemoryCatalog, parameters: Any = None) -> Error:
    """The error binding raises."""
    try:
        bound(sql, catalog, parameters)
    except Error as error:
        return error
    raise AssertionError(f"no error for {sql}")
