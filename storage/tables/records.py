"""Catalog records as JSON text and back. Torch-free."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorsql.errors import CatalogError
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.tables.catalog import (
    ColumnSchema,
    IndexEntry,
    ModelEntry,
    Running,
    TableSchema,
    ViewEntry,
)

ENTRY_CLASSES: dict[str, Any] = {
    "view": ViewEntry,
    "model": ModelEntry,
    "index": IndexEntry,
}
IN_PROCESS = ("state", "handle", "files")  # fields that live in this process only
PATHS = ("directory", "source")  # fields kept relative to the database, so that it can be moved


def type_record(type: Type) -> dict[str, Any]:
    """A type as a JSON object of its parameters that are not the default."""
    record: dict[str, Any] = {"kind": type.kind.name}
    for field in dataclasses.fields(type):
        value = getattr(type, field.name)
        if field.name != "kind" and value != field.default:
            record[field.name] = value
    if type.child is not None:
        record["child"] = type_record(type.child)
    if type.fields:
        record["fields"] = [[name, type_record(child)] for name, child in type.fields]
    return record


def type_of_record(record: Mapping[str, Any]) -> Type:
    """The type that `type_record` wrote."""
    parameters = {key: value for key, value in record.items() if key != "kind"}
    if "child" in parameters:
        parameters["child"] = type_of_record(parameters["child"])
    if "fields" in parameters:
        parameters["fields"] = tuple((n, type_of_record(t)) for n, t in parameters["fields"])
    for name in ("members", "shape"):
        if name in parameters:
            parameters[name] = tuple(parameters[name])
    return Type(Kind[record["kind"]], **parameters)


def schema_record(schema: TableSchema) -> dict[str, Any]:
    """A table schema as a JSON object."""
    columns = [
        [column.name, type_record(column.type), column.not_null, column.default]
        for column in schema.columns
    ]
    return {
        "name": schema.name,
        "columns": columns,
        "primary_key": schema.primary_key,
        "unique": schema.unique,
    }


def schema_of_record(record: Mapping[str, Any]) -> TableSchema:
    """The schema that `schema_record` wrote."""
    columns = tuple(
        ColumnSchema(name, type_of_record(kind), not_null, default)
        for name, kind, not_null, default in record["columns"]
    )
    unique = tuple(tuple(key) for key in record["unique"])
    return TableSchema(record["name"], columns, tuple(record["primary_key"]), unique)


def statistics_record(statistics: Mapping[str, ColumnStatistics]) -> dict[str, Any]:
    """Statistics by column as a JSON object of what is known."""
    return {
        name: {
            field.name: getattr(facts, field.name)
            for field in dataclasses.fields(facts)
            if getattr(facts, field.name) != field.default
        }
        for name, facts in statistics.items()
    }


def statistics_of_record(record: Mapping[str, Any]) -> dict[str, ColumnStatistics]:
    """The statistics that `statistics_record` wrote."""
    return {name: ColumnStatistics(**facts) for name, facts in record.items()}


def entry_text(entry: Any, folder: Path) -> str:
    """A view, model or index as JSON; CatalogError if an option cannot be kept."""
    record = {
        field.name: _plain(getattr(entry, field.name), field.name, folder)
        for field in dataclasses.fields(entry)
        if field.name not in IN_PROCESS
    }
    try:
        return json.dumps(record)
    except TypeError as error:
        raise CatalogError(f'"{entry.name}" cannot be kept in a file: {error}') from None


def entry_of_text(kind: str, text: str, folder: Path) -> Any:
    """The entry that `entry_text` wrote."""
    record = json.loads(text)
    for name in PATHS:
        path = record.get(name)
        if isinstance(path, dict):
            record[name] = str(folder / path["inside"])
    for name in ("arguments", "columns"):
        if name in record:
            record[name] = tuple(record[name])
    if kind == "model":
        record["inputs"] = tuple((name, type_of_record(t)) for name, t in record["inputs"])
        record["layers"] = tuple((name, tuple(shape)) for name, shape in record["layers"])
        output = record["output"]
        record["output"] = None if output is None else type_of_record(output)
        running = record["running"]
        record["running"] = Running(**{**running, "output": tuple(running["output"])})
    return ENTRY_CLASSES[kind](**record)


def _plain(value: Any, name: str, folder: Path) -> Any:
    if isinstance(value, Type):
        return type_record(value)
    if isinstance(value, Running):
        return dataclasses.asdict(value)
    if name == "inputs":
        return [[key, type_record(type)] for key, type in value]
    if name in PATHS and isinstance(value, str) and Path(value).is_relative_to(folder):
        return {"inside": str(Path(value).relative_to(folder))}
    return dict(value) if isinstance(value, Mapping) else value
