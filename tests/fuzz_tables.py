"""Hypothesis strategies that make tables.

Every table has the same columns, one per kind of value; names of columns are their kinds:
i INTEGER, b BIGINT, d DOUBLE, m DECIMAL, s VARCHAR, t DATE, f BOOLEAN, and `id` that numbers the
rows. Doubles are small multiples of 1/8, so that sums do not depend on the order of rows.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

KINDS = "ibdmstf"
COLUMN_TYPES = {
    "i": "INTEGER",
    "b": "BIGINT",
    "d": "DOUBLE",
    "m": "DECIMAL(9, 2)",
    "s": "VARCHAR",
    "t": "DATE",
    "f": "BOOLEAN",
}
VALUES: dict[str, Sequence[Any]] = {
    "i": (0, 1, 2, 3, -1, 7, 100),
    "b": (0, 1, 2, -5, 3_000_000_000, 9_007_199_254_740_993),
    "d": (0.0, -0.0, 0.5, 1.0, -2.25, 3.0, 1024.0, math.nan, math.inf, -math.inf),
    "m": (Decimal("0.00"), Decimal("1.10"), Decimal("1.00"), Decimal("-0.05"), Decimal("999.99")),
    "s": ("", "a", "b", "ab", "A", "ä", "abc abc", "a%b", "1"),
    "t": tuple(map(datetime.date.fromisoformat, ("2020-02-29", "1992-01-01", "1969-12-31"))),
    "f": (True, False),
}
TABLES = ("one", "two", "three")

Row = tuple[Any, ...]


def literal(kind: str, value: Any) -> str:
    """A value as SQL text of exactly its kind's type."""
    if value is None:
        return f"CAST(NULL AS {COLUMN_TYPES[kind]})"
    if kind in "dmb":
        return f"CAST('{value}' AS {COLUMN_TYPES[kind]})"
    if kind == "s":
        return f"'{value}'"
    return f"DATE '{value}'" if kind == "t" else str(value).upper()


def table_statements(name: str, rows: Sequence[Row]) -> list[str]:
    """The statements that make one table."""
    columns = ", ".join(f"{kind} {COLUMN_TYPES[kind]}" for kind in KINDS)
    statements = [f"CREATE OR REPLACE TABLE {name} (id INTEGER, {columns})"]
    if rows:
        texts = []
        for number, row in enumerate(rows):
            values = (literal(kind, value) for kind, value in zip(KINDS, row, strict=True))
            texts.append(f"({number}, {', '.join(values)})")
        statements.append(f"INSERT INTO {name} VALUES {', '.join(texts)}")
    return statements


def _rows() -> st.SearchStrategy[list[Row]]:
    values = [st.none() | st.sampled_from(VALUES[kind]) for kind in KINDS]
    row = st.tuples(*values)
    sizes = st.sampled_from((4, 8, 12, 1, 0, 6, 10))
    return sizes.flatmap(lambda size: st.lists(row, min_size=size, max_size=size))


def tables() -> st.SearchStrategy[list[str]]:
    """The statements that make all three tables."""
    return st.tuples(*(_rows() for _ in TABLES)).map(
        lambda contents: [
            statement
            for name, rows in zip(TABLES, contents, strict=True)
            for statement in table_statements(name, rows)
        ]
    )
