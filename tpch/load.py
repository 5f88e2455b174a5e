"""Load generated tables into tensorsql or DuckDB through the same SQL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Connection(Protocol):
    """What tensorsql's and DuckDB's connections have in common."""

    def execute(self, query: str, /) -> Any:
        """Run one statement."""
        ...


def load(connection: Connection, files: Mapping[str, Path]) -> None:
    """Create one table per Parquet file."""
    for name, path in files.items():
        quoted = str(path).replace("'", "''")
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM '{quoted}'")
