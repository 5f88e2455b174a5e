"""The SQL texts of TPC-H that lie beside this file."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")
QUERIES = tuple(range(1, 23))


def query(number: int) -> str:
    """The text of query 1…22 with its validation parameters."""
    return (HERE / "queries" / f"q{number:02}.sql").read_text(encoding="utf-8")


def schema() -> list[str]:
    """The CREATE TABLE statements, each without its semicolon."""
    text = (HERE / "schema.sql").read_text(encoding="utf-8")
    return [statement.strip() for statement in text.split(";") if statement.strip()]
