"""Aggregates against DuckDB: every function, FILTER, DISTINCT, grouping sets, no rows, no keys."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import aggregate, call, everywhere, execute, key, ref, table

from tensorsql.errors import OutOfRangeError
from tensorsql.planner.plans.logical import Aggregate, Scan
from tensorsql.planner.plans.plan import new_field
from tensorsql.storage.columns.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    VARCHAR,
    decimal,
)

TYPES = {
    "k": INTEGER,
    "i": BIGINT,
    "d": decimal(9, 2),
    "x": DOUBLE,
    "s": VARCHAR,
    "b": BOOLEAN,
    "t": DATE,
}
CONNECTION = duckdb.connect(config={"threads": 1})
ROW = st.tuples(
    st.sampled_from([None, 1, 2]),
    st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    st.none() | st.integers(-999, 999).map(lambda cents: Decimal(cents) / 100),
    st.none() | st.floats(-1e6, 1e6).map(lambda value: value + 0.0),
    st.sampled_from([None, "", "a", "é", "zz"]),
    st.sampled_from([None, True, False]),
    st.none() | st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)),
)
EXACT = [
    "count(*)", "count(s)", "sum(i)", "sum(d)", "min(i)", "max(i)", "min(x)", "max(x)",
    "min(s)", "max(s)", "min(d)", "max(t)", "bool_and(b)", "bool_or(b)", "any_value(s)", "first(s)",
    "last(s)", "count_if(b)", "arg_min(s, x)", "arg_max(i, x)",
    "quantile_disc(s, 0.3)", "median(d)",
    "string_agg(s, '-')", "list(i)", "sum(b)",
]  # fmt: skip
CLOSE = [
    "sum(x)", "avg(x)", "avg(i)", "avg(d)", "var_pop(x)", "var_samp(x)",
    "stddev_pop(x)", "stddev_samp(x)",
    "median(x)", "quantile_cont(x, 0.7)", "covar_pop(x, x)", "product(x)",
]  # fmt: skip


def parsed(text: str, scan: Scan) -> Any:
    name, _, rest = text.partition("(")
    arguments: list[Any] = []
    for word in rest[:-1].split(", "):
        if word.startswith("'"):
            arguments.append(word[1:-1])
        elif word[:1].isdigit():
            arguments.append(float(word))
        elif word != "*":
            arguments.append(ref(scan, word))
    return aggregate(name, *arguments)


def oracle(rows: list[Any], sql: str) -> list[tuple[Any, ...]]:
    with CONNECTION.cursor() as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
        connection.execute(f"CREATE OR REPLACE TABLE t ({columns})")
        if rows:
            places = ", ".join(f"({', '.join('?' * len(TYPES))})" for _ in rows)
            connection.execute(
                f"INSERT INTO t VALUES {places}", [cell for row in rows for cell in row]
            )
        return connection.execute(sql).fetchall()


def by_key(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: (row[0] is None, row[0] or 0))


@settings(max_examples=7, deadline=None)
@given(st.lists(ROW, max_size=20), st.booleans())
def test_functions_agree_with_duckdb(rows: list[Any], grouped: bool) -> None:
    scan = table(TYPES, rows)
    names = EXACT + CLOSE
    keys = ((new_field("k", INTEGER), ref(scan, "k")),) if grouped else ()
    plan = Aggregate(scan, keys, tuple(parsed(text, scan) for text in names))
    found = everywhere(plan)
    group = ("k, ", " GROUP BY k") if grouped else ("0, ", "")
    wanted = by_key(oracle(rows, f"SELECT {group[0]}{', '.join(names)} FROM t{group[1]}"))
    found = by_key(found if grouped else [(0, *row) for row in found])
    assert [row[0] for row in found] == [row[0] for row in wanted]
    for mine, theirs in zip(found, wanted, strict=True):
        for place, name in enumerate(names, 1):
            check(name, mine[place], theirs[place])


def check(name: str, mine: Any, theirs: Any) -> None:
    if name.startswith("list") and theirs is not None:
        theirs = tuple(theirs)
    if name in EXACT or mine is None or theirs is None:
        assert mine == theirs, name
    else:
        assert math.isclose(mine, theirs, rel_tol=1e-6, abs_tol=1e-3), name


@settings(max_examples=7, deadline=None)
@given(st.lists(ROW, max_size=20))
def test_distinct_filter_and_order(rows: list[Any]) -> None:
    scan = table(TYPES, rows)
    passing = call(">", ref(scan, "d"), 0)
    calls = (
        aggregate("count", ref(scan, "s"), distinct=True),
        aggregate("sum", ref(scan, "d"), distinct=True, filter=ref(scan, "b")),
        aggregate("count", filter=passing),
        aggregate("string_agg", ref(scan, "s"), ",", order_by=(key(ref(scan, "s"), True),)),
        aggregate("avg", ref(scan, "i"), filter=passing),
    )
    found = everywhere(Aggregate(scan, ((new_field("k", INTEGER), ref(scan, "k")),), calls))
    wanted = oracle(
        rows,
        "SELECT k, count(DISTINCT s), sum(DISTINCT d) FILTER (b), count(*) FILTER (d > 0), "
        "string_agg(s, ',' ORDER BY s DESC), avg(i) FILTER (d > 0) FROM t GROUP BY k",
    )
    for mine, theirs in zip(by_key(found), by_key(wanted), strict=True):
        assert mine[:5] == theirs[:5]
        check("avg", mine[5], theirs[5])


@settings(max_examples=10, deadline=None)
@given(st.lists(ROW, max_size=12))
def test_grouping_sets(rows: list[Any]) -> None:
    scan = table(TYPES, rows)
    keys = tuple((new_field(name, TYPES[name]), ref(scan, name)) for name in ("k", "s"))
    plan = Aggregate(scan, keys, (aggregate("count"),), ((0, 1), (0,), ()))
    wanted = oracle(rows, "SELECT k, s, count(*) FROM t GROUP BY GROUPING SETS ((k, s), (k), ())")
    assert sorted(map(repr, everywhere(plan))) == sorted(map(repr, wanted))


def test_groups_come_in_order_of_first_appearance() -> None:
    scan = table({"k": VARCHAR}, [(name,) for name in "cabacxb"])
    plan = Aggregate(scan, ((new_field("k", VARCHAR), ref(scan, "k")),), (aggregate("count"),))
    assert everywhere(plan) == [("c", 2), ("a", 2), ("b", 2), ("x", 1)]


def test_sums_are_exact_beyond_64_bits_and_refuse_beyond_128() -> None:
    large = 2**126
    scan = table({"h": HUGEINT}, [(large,), (-large,), (large,), (5,)])
    assert everywhere(Aggregate(scan, (), (aggregate("sum", ref(scan, "h")),))) == [(large + 5,)]
    scan = table({"h": HUGEINT}, [(large,), (large,)])
    with pytest.raises(OutOfRangeError, match="sum is out of the range"):
        execute(Aggregate(scan, (), (aggregate("sum", ref(scan, "h")),)))
