"""Calls of every aggregate and window function over rows at the edges of every type.

A `Call` stands in a table of its own: i numbers the rows, g groups them (NULL, too), k orders them
with ties, b filters, and a0, a1 are the arguments.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fuzz_functions import VALUES, shapes

from tensorsql.planner.functions.signatures import ALIASES, SIGNATURES, masks, models, neurons

OURS = {each.name for group in (masks, models, neurons) for each in group.SIGNATURES}
# What an argument may be where only some values mean anything: written as a constant.
SHARES = ("0", "1", "0.5", "0.25", "0.9", "1e-9")
CONSTANTS: dict[tuple[str, int], tuple[str, ...]] = {
    ("quantile_cont", 1): SHARES,
    ("quantile_disc", 1): SHARES,
    ("string_agg", 1): ("'-'", "''", "', '"),
    ("ntile", 0): ("1", "3", "100"),
    ("lag", 1): ("0", "1", "-2", "100"),
    ("lead", 1): ("0", "1", "-2", "100"),
    ("nth_value", 1): ("1", "2", "100"),
}
# The answer depends on the order of the rows, of which DISTINCT and ties have none.
ORDERED = {"first", "last", "any_value", "list", "string_agg", "arg_min", "arg_max", "mode"}
# An ORDER BY of theirs says from which end their share counts, and takes one key only.
QUANTILES = {"median", "quantile_cont", "quantile_disc"}
EDGES = (
    "UNBOUNDED PRECEDING",
    "3 PRECEDING",
    "1 PRECEDING",
    "0 PRECEDING",
    "CURRENT ROW",
    "0 FOLLOWING",
    "2 FOLLOWING",
    "UNBOUNDED FOLLOWING",
)

SOURCES = (
    "FROM t",
    "FROM t GROUP BY g ORDER BY g",
    "FROM t WHERE i = 0",
    "FROM t WHERE i < 0",
    "FROM t WHERE i < 0 GROUP BY g",
    "FROM t WHERE a0 IS NULL",
    "FROM t GROUP BY g HAVING count(*) > 2 ORDER BY g",
)


@dataclass(frozen=True)
class Call:
    """A function, the types of its arguments, and its rows: g, k, b and the arguments' texts."""

    name: str
    types: tuple[str, ...]
    arguments: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def ordered(self) -> bool:
        """Whether the answer depends on the order of the rows."""
        return self.name in ORDERED

    def sql(self, before: str = "", after: str = "") -> str:
        """The call, with words before and after its arguments."""
        return f"{self.name}({before}{', '.join(self.arguments)}{after})"

    def table(self) -> str:
        """The query of the call's table."""
        values = ", ".join(f"({n}, {', '.join(row)})" for n, row in enumerate(self.rows))
        places = range(len(self.rows[0]) - 3)
        names = "".join(f", a{n}" for n in places)
        typed = "".join(f", a{n}::{self.types[n]} AS a{n}" for n in places)
        return (
            f"SELECT i, g::INTEGER AS g, k::INTEGER AS k, b{typed} "
            f"FROM (VALUES {values}) v(i, g, k, b{names})"
        )


def names_of(kind: str) -> list[str]:
    """Every aggregate or window function that DuckDB should know."""
    return sorted(
        {n for n, found in SIGNATURES.items() if found[0].kind == kind} - OURS - {*ALIASES}
    )


def calls(name: str, draw: random.Random, rows: int, mixed: int) -> Iterator[Call]:
    """A call for each shape of a function's arguments; half of the tables have many ties."""
    for types in shapes(name, draw, mixed):
        columns = [n for n in range(len(types)) if (name, n) not in CONSTANTS]
        pools = {n: (*VALUES[types[n]], f"NULL::{types[n]}") for n in columns}
        if draw.random() < 0.5:
            pools = {n: tuple(draw.choices(pool, k=3)) for n, pool in pools.items()}
        arguments = tuple(
            f"a{n}" if n in columns else draw.choice(CONSTANTS[name, n]) for n in range(len(types))
        )
        yield Call(name, types, arguments, tuple(_rows(draw, rows, list(pools.values()))))


def _rows(
    draw: random.Random, rows: int, pools: Sequence[Sequence[str]]
) -> Iterator[tuple[str, ...]]:
    for _ in range(rows):
        places = draw.choices(("0", "1", "2", "NULL"), k=2)
        yield (*places, draw.choice(("true", "false", "NULL")), *map(draw.choice, pools))


def aggregates(call: Call) -> tuple[str, ...]:
    """The call in each way that an aggregate is written."""
    whole = call.sql()
    ways = [whole, f"{whole} FILTER (WHERE b)"]
    if call.arguments and call.name not in QUANTILES:
        ways.append(call.sql("", " ORDER BY i DESC"))
    if call.ordered:
        ways.append(call.sql("", " ORDER BY k NULLS FIRST, i"))
    if call.ordered and len(call.arguments) == 1:
        ways.append(call.sql("DISTINCT ", " ORDER BY a0"))
    if call.arguments and not call.ordered:
        ways += [call.sql("DISTINCT "), f"{call.sql('DISTINCT ')} FILTER (WHERE b)"]
    return tuple(ways)


def windows(call: Call, draw: random.Random, frames: int) -> tuple[str, ...]:
    """The call OVER windows of every shape."""
    kind = SIGNATURES[call.name][0].kind
    ties = ("rank", "dense_rank", "percent_rank", "cume_dist")
    unique = call.ordered or (kind == "window" and call.name not in ties)
    inner = [call.sql()]
    if kind == "aggregate":
        inner += [f"{call.sql()} FILTER (WHERE b)"]
        if call.arguments and not call.ordered:
            inner.append(call.sql("DISTINCT "))
    return tuple(f"{draw.choice(inner)} OVER ({_window(draw, unique)})" for _ in range(frames))


def _window(draw: random.Random, unique: bool) -> str:
    """A window; its order leaves no ties where the answer depends on it."""
    partition = draw.choice(("", "PARTITION BY g "))
    key = draw.choice(("k", "k DESC", "k NULLS FIRST", "g, k DESC NULLS LAST"))
    order = f"ORDER BY {key}, i" if unique else draw.choice((f"ORDER BY {key}", "ORDER BY i", ""))
    if not order or draw.random() < 0.2:
        return partition + order
    kind = draw.choice(("ROWS", "GROUPS", "RANGE"))
    if kind == "ROWS" and not unique:
        order = "ORDER BY k, i"
    edges = [each for each in EDGES if kind != "RANGE" or each[0] in "UC"]
    start = draw.choice(edges[:-1])
    if draw.random() < 0.2 and "FOLLOWING" not in start:
        return f"{partition}{order} {kind} {start}"
    least = 1 if start.startswith("UNB") else _place(start)
    end = draw.choice([each for each in edges[1:] if _place(each) >= least])
    return f"{partition}{order} {kind} BETWEEN {start} AND {end}"


def _place(edge: str) -> int:
    """Where a kind of edge stands among the others."""
    kinds = ("UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING")
    return kinds.index(edge if edge in kinds else edge.split()[1])
