"""Overloads resolve as tests/golden/overloads.txt says; TENSORSQL_GOLDEN=1 asks DuckDB anew."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import duckdb

from tensorsql.errors import Error
from tensorsql.planner.functions.casts import can_cast
from tensorsql.planner.functions.resolve import resolve
from tensorsql.planner.plans.expressions import ColumnRef, Expression, Literal
from tensorsql.storage.columns.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    INTERVAL,
    REAL,
    SMALLINT,
    TIME,
    TIMESTAMP,
    TINYINT,
    VARCHAR,
    Type,
    decimal,
)

PATH = Path(__file__).parent / "golden" / "overloads.txt"
TYPES: dict[str, Type] = {
    str(kind): kind
    for kind in (
        BOOLEAN,
        TINYINT,
        SMALLINT,
        INTEGER,
        BIGINT,
        HUGEINT,
        REAL,
        DOUBLE,
        decimal(4, 1),
        decimal(15, 2),
        decimal(18, 10),
        decimal(38, 10),
        VARCHAR,
        DATE,
        TIME,
        TIMESTAMP,
        INTERVAL,
    )
}
LITERALS: dict[str, Literal] = {"1": Literal(INTEGER, 1), "300": Literal(INTEGER, 300)}
OPERATORS = ("+", "-", "*", "/", "//", "%", "=", "<", "||")
BINARY = (
    "coalesce",
    "greatest",
    "pow",
    "nullif",
    "contains",
    "starts_with",
    "round",
    "left",
    "repeat",
)
UNARY = [
    "abs",
    "ceil",
    "floor",
    "round",
    "trunc",
    "sign",
    "sqrt",
    "exp",
    "upper",
    "length",
    "trim",
    "year",
    "hour",
    "epoch",
    "last_day",
    "isnan",
    "monthname",
    "reverse",
    "ascii",
    "to_days",
    "to_seconds",
]


def cases() -> list[tuple[str, tuple[str, ...]]]:
    """(function, arguments): type names are columns of the type, the others literals."""
    arguments = (*TYPES, *LITERALS)
    pairs = [(name, pair) for name in (*OPERATORS, *BINARY) for pair in product(arguments, TYPES)]
    pairs += [(name, (one, two)) for name in OPERATORS for one in TYPES for two in LITERALS]
    return pairs + [(name, (one,)) for name in UNARY for one in TYPES]


def ours(name: str, arguments: tuple[str, ...]) -> str:
    """The result type, or "error"."""
    args: list[Expression] = [
        LITERALS.get(each) or ColumnRef(TYPES[each], place, "c")
        for place, each in enumerate(arguments)
    ]
    try:
        return str(resolve(name, args).type)
    except Error:
        return "error"


def theirs(connection: duckdb.DuckDBPyConnection, name: str, arguments: tuple[str, ...]) -> str:
    """What DuckDB says."""
    names = [
        each if each in LITERALS else f'{"ab"[place]}."{each}"'
        for place, each in enumerate(arguments)
    ]
    call = f"{names[0]} {name} {names[1]}" if name in OPERATORS else f"{name}({', '.join(names)})"
    try:
        rows = connection.execute(f"DESCRIBE SELECT {call} FROM t a, t b").fetchall()
    except duckdb.Error:
        return "error"
    return str(rows[0][1])


def deliberate(name: str, arguments: tuple[str, ...], found: str) -> bool:
    """Where we differ: equality of types that no cast joins is an error before the query runs, not

    while it does.
    """
    if name in ("=", "nullif"):
        a, b = (TYPES.get(each, INTEGER) for each in arguments)
        return found == "error" and not (can_cast(a, b) and can_cast(b, a))
    return False


def asked() -> str:
    """The whole table from DuckDB, one line a call."""
    connection = duckdb.connect()
    columns = ", ".join(f'"{kind}" {kind}' for kind in TYPES)
    connection.execute(f"CREATE TABLE t ({columns})")
    lines = [
        f"{name}\t{', '.join(arguments)}\t{theirs(connection, name, arguments)}"
        for name, arguments in cases()
    ]
    return "\n".join(lines) + "\n"


def test_overloads() -> None:
    if os.environ.get("TENSORSQL_GOLDEN") == "1":
        PATH.write_text(asked(), encoding="utf-8")
    failures = []
    for line in PATH.read_text(encoding="utf-8").splitlines():
        name, arguments, expected = line.split("\t")
        found = ours(name, _split(arguments))
        if found != expected and not deliberate(name, _split(arguments), found):
            failures.append(f"{name}({arguments}): {found}, not {expected}")
    assert not failures, f"{len(failures)}:\n" + "\n".join(failures)


def _split(arguments: str) -> tuple[str, ...]:
    """At the commas outside parentheses."""
    parts, depth = [""], 0
    for character in arguments:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return tuple(part.strip() for part in parts)
