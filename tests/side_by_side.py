"""The same tables in tensorsql and DuckDB, and where their answers differ."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow as pa

import tensorsql
from tensorsql.errors import Error, InternalError

Outcome = list[tuple[Any, ...]] | str
ERROR = "an error"


class SideBySide:
    """Two fresh databases that see the same Arrow tables and statements."""

    def __init__(self, tables: Mapping[str, pa.Table] | None = None) -> None:
        self.ours = tensorsql.connect()
        self.theirs = duckdb.connect(config={"threads": 1})
        for name, table in (tables or {}).items():
            self.ours.register(name, table)
            self.theirs.register(name, table)

    def both(self, statement: str) -> None:
        """Run a statement that sets something up."""
        self.ours.execute(statement)
        self.theirs.execute(statement)

    def difference(self, query: str) -> str | None:
        """How the answers differ in values, bit by bit, or in whether there is an error."""
        ours, theirs = _ours(self.ours, query), _theirs(self.theirs, query)
        if _bits(ours) == _bits(theirs):
            return None
        if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs) > 3:
            pairs = zip(ours, theirs, strict=True)
            places = [n for n, (a, b) in enumerate(pairs) if _bits([a]) != _bits([b])]
            shown = "; ".join(f"row {n}: {ours[n]} is not {theirs[n]}" for n in places[:3])
            return f"{query}: {len(places)} rows, {shown}"
        return f"{query}: {ours} is not {theirs}"

    def check(self, queries: Iterable[str]) -> None:
        """Fail with every difference."""
        found = [each for each in map(self.difference, queries) if each is not None]
        assert not found, f"{len(found)} differences:\n" + "\n".join(found)


def _ours(connection: tensorsql.Connection, query: str) -> Outcome:
    try:
        return connection.execute(query).fetchall()
    except InternalError as error:
        return f"a defect: {error}"
    except Error:
        return ERROR


def _theirs(connection: duckdb.DuckDBPyConnection, query: str) -> Outcome:
    try:
        return connection.execute(query).fetchall()
    except duckdb.Error:
        return ERROR


def _bits(value: Any) -> Any:
    """Equal for equal values only: floats by their bits (NaN is one value), types apart."""
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else struct.pack("d", value))
    if isinstance(value, list | tuple):
        return tuple(_bits(each) for each in value)
    if isinstance(value, dict):
        return tuple(_bits(each) for each in value.values())
    return (type(value).__name__, value)
