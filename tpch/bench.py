"""Time TPC-H beside DuckDB: `python -m tensorsql.tpch.bench --scale 1 --queries 1,3 --repeat 5`.

Both engines run in this process with the same number of threads, in turns, so that a busy machine
slows both alike; no time is printed for a query whose answer differs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

import tensorsql
from tensorsql import errors
from tensorsql.tpch.answers import Row, difference, order_columns
from tensorsql.tpch.generate import DATA, tables
from tensorsql.tpch.load import Connection, load
from tensorsql.tpch.statements import QUERIES, query

DEFAULT_QUERIES = (1, 3, 4, 6, 9, 13, 18, 21, 22)


@dataclass(frozen=True)
class Measurement:
    """One query: the median milliseconds of each engine, or what was wrong with our answer."""

    query: int
    ours: float = 0.0
    duckdb: float = 0.0
    wrong: str = ""


@dataclass(frozen=True)
class Engines:
    """The two connections, loaded with the same data."""

    ours: Connection
    duckdb: Connection


def measure(engines: Engines, number: int, repeat: int) -> Measurement:
    """Check the answer of one query, then time it `repeat` times on both engines in turns."""
    wrong = check(engines, number)
    if wrong:
        return Measurement(number, wrong=wrong)
    times: list[tuple[float, float]] = []
    for _ in range(max(repeat, 1)):
        times.append((_time(engines.ours, number), _time(engines.duckdb, number)))
    ours, theirs = zip(*times, strict=True)
    return Measurement(number, statistics.median(ours), statistics.median(theirs))


def check(engines: Engines, number: int) -> str:
    """How our answer differs from DuckDB's, or nothing."""
    cursor = engines.duckdb.execute(query(number))
    order = order_columns(query(number), [column[0] for column in cursor.description])
    expected: Sequence[Row] = cursor.fetchall()
    try:
        actual: Sequence[Row] = engines.ours.execute(query(number)).fetchall()
    except errors.Error as error:
        return f"{type(error).__name__}: {error}"
    return difference(expected, actual, order)


def _time(connection: Connection, number: int) -> float:
    started = time.perf_counter()
    connection.execute(query(number)).fetchall()
    return 1000 * (time.perf_counter() - started)


def report(measurements: Sequence[Measurement]) -> Table:
    """A table of medians and of how many times as fast as DuckDB we are."""
    table = Table("query", title="TPC-H, median ms")
    for title in ("tensorsql", "DuckDB", "ratio"):
        table.add_column(title, justify="right")
    for one in measurements:
        if one.wrong:
            table.add_row(f"Q{one.query}", "wrong", "", "")
        else:
            ratio = f"{one.duckdb / one.ours:.2f}"
            table.add_row(f"Q{one.query}", f"{one.ours:.1f}", f"{one.duckdb:.1f}", ratio)
    return table


def _connect(options: argparse.Namespace) -> Engines:
    files = tables(options.scale, options.data)
    engines = Engines(tensorsql.connect(), duckdb.connect())
    for connection in (engines.ours, engines.duckdb):
        connection.execute(f"SET threads = {options.threads}")
        load(connection, files)
    return engines


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tensorsql.tpch.bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1, help="scale factor (default 1)")
    parser.add_argument(
        "--queries", type=_numbers, default=DEFAULT_QUERIES, help="such as 1,3,6 or all"
    )
    parser.add_argument("--repeat", type=int, default=5, help="runs of each query (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="of both engines (default 2)")
    parser.add_argument("--data", type=Path, default=DATA, help="where generated data is kept")
    return parser.parse_args(arguments)


def _numbers(text: str) -> Sequence[int]:
    if text == "all":
        return QUERIES
    numbers = [int(number) for number in text.split(",")]
    unknown = [str(number) for number in numbers if number not in QUERIES]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no query {', '.join(unknown)}")
    return numbers


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the exit status is 1 when an answer was wrong."""
    options = _options(arguments)
    try:
        engines = _connect(options)
    except errors.Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    measurements = [measure(engines, number, options.repeat) for number in options.queries]
    console = Console()
    console.print(report(measurements))
    wrong = [one for one in measurements if one.wrong]
    for one in wrong:
        console.print(f"Q{one.query} is wrong: {one.wrong}", markup=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
