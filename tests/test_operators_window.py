"""Window functions against DuckDB, over ties, NULLs and every kind of frame that runs."""

from __future__ import annotations

import math
import random
import statistics
from fractions import Fraction
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import everywhere, key, literal, ref, table

import tensorsql
from tensorsql.operators.windows import frame_ranks, frame_tree, framed, window
from tensorsql.planner.functions.resolve import resolve_aggregate
from tensorsql.planner.plans.expressions import Literal, WindowCall, WindowFrame
from tensorsql.planner.plans.logical import Window
from tensorsql.planner.plans.plan import new_field
from tensorsql.storage.columns.types import INTEGER, VARCHAR

TYPES = {"p": INTEGER, "o": INTEGER, "v": VARCHAR, "n": INTEGER}
FRAMES = {
    "": None,
    "ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING": ("rows", ("preceding", 1), ("following", 2)),
    "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING": (
        "rows",
        ("current row", None),
        ("unbounded following", None),
    ),
    "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW": (
        "groups",
        ("preceding", 1),
        ("current row", None),
    ),
}
FUNCTIONS = [
    ("rank", ()), ("dense_rank", ()), ("percent_rank", ()), ("cume_dist", ()), ("row_number", ()),
    ("ntile", (3,)), ("lag", ("v",)), ("lead", ("n", 2)), ("lag", ("n", 1, 7)),
    ("first_value", ("v",)), ("last_value", ("n",)), ("nth_value", ("v", 2)),
    ("sum", ("n",)), ("count", ()), ("min", ("v",)), ("avg", ("n",)), ("string_agg", ("v",)),
]  # fmt: skip
CONNECTION = duckdb.connect(config={"threads": 1})


def end(word: str, offset: int | None) -> tuple[str, Any]:
    return word, None if offset is None else Literal(INTEGER, offset)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([None, 1, 2, 3])), max_size=12
    ),
    st.sampled_from(sorted(FRAMES)),
)
def test_window_functions_agree_with_duckdb(keys: list[Any], frame: str) -> None:
    rows = [(p, o, None if o == 2 else f"v{place}", place) for place, (p, o) in enumerate(keys)]
    scan = table(TYPES, rows)
    spec = FRAMES[frame]
    bounds = None if spec is None else WindowFrame(spec[0], end(*spec[1]), end(*spec[2]))
    # The last key makes the order total where the answer depends on it.
    order = (key(ref(scan, "o"), True), key(ref(scan, "n")))
    calls = []
    for name, arguments in FUNCTIONS:
        resolved = [ref(scan, a) if isinstance(a, str) else literal(a) for a in arguments]
        found = resolve_aggregate(name, resolved)
        window = WindowCall(found.type, found, (ref(scan, "p"),), order, bounds)
        calls.append((new_field(name, found.type), window))
    ranked = resolve_aggregate("rank", [])
    tied = WindowCall(ranked.type, ranked, (ref(scan, "p"),), order[:1])
    calls.append((new_field("tied", ranked.type), tied))
    mine = [row[5:] for row in everywhere(Window(scan, tuple(calls)))]
    assert mine == oracle(rows, frame)


def oracle(rows: list[Any], frame: str) -> list[tuple[Any, ...]]:
    CONNECTION.execute("CREATE OR REPLACE TABLE t (p INTEGER, o INTEGER, v VARCHAR, n INTEGER)")
    if rows:
        CONNECTION.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    over = f"OVER (PARTITION BY p ORDER BY o DESC NULLS LAST, n {frame})"
    calls = [f"{name}({', '.join(map(str, arguments))}) {over}" for name, arguments in FUNCTIONS]
    tied = "rank() OVER (PARTITION BY p ORDER BY o DESC NULLS LAST)"
    return CONNECTION.execute(f"SELECT {', '.join(calls)}, {tied} FROM t ORDER BY n").fetchall()


LONG_FRAMES = (
    "ORDER BY x",
    "PARTITION BY k ORDER BY x",
    "PARTITION BY k ORDER BY x ROWS BETWEEN 90 PRECEDING AND 70 FOLLOWING",
    "ORDER BY x ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "ORDER BY x ROWS BETWEEN 200 PRECEDING AND 100 PRECEDING",
)
# Those with states that combine, those whose states add in another order, and those without.
LONG_CALLS = (
    *("count(*)", "count(i)", "sum(i)", "avg(i)", "min(i)", "max(s)", "first(s)", "last(i)"),
    *("any_value(s)", "sum(i) FILTER (WHERE k = 1)", "sum(f)", "avg(f)", "min(f)", "max(f)"),
    *("stddev_pop(f)", "stddev_samp(g)", "var_pop(f)", "var_samp(i) FILTER (WHERE k = 1)"),
    *("covar_pop(f, g)", "covar_samp(g, x)", "corr(f, x)", "arg_min(s, f)", "arg_max(x, s)"),
    *("string_agg(s, ',')", "count(DISTINCT s)", "count(DISTINCT f)", "sum(DISTINCT k)"),
    *("avg(DISTINCT f)", "var_pop(DISTINCT f)", "count(DISTINCT k) FILTER (WHERE k = 1)"),
    *("median(f)", "quantile_cont(f, 0.3)", "quantile_disc(s, 0.8)", "median(DISTINCT f)"),
    *("quantile_disc(x, 0.5) FILTER (WHERE k = 1)", "median(i)", "max(DISTINCT s)"),
    *("quantile_cont(CAST(x AS DECIMAL(30, 1)), 0.25)", "median(f) FILTER (WHERE k = 7)"),
)


def alike(ours: Any, theirs: Any) -> bool:
    """Equal, or floats that differ as sums in another order do."""
    if not isinstance(theirs, float) or math.isnan(theirs):
        return repr(ours) == repr(theirs)
    return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-9)


@pytest.mark.parametrize("frame", LONG_FRAMES)
def test_long_frames_agree_with_duckdb(frame: str) -> None:
    chosen = random.Random(frame)
    kinds = {
        "i": lambda: chosen.choice([None, chosen.randint(-(2**62), 2**62)]),
        "s": lambda: chosen.choice([None, chosen.choice("abc") * chosen.randint(0, 3)]),
        "f": lambda: chosen.choice([None, 0.5, chosen.uniform(-9, 9), 1.0]),
        "g": lambda: chosen.choice([None, 1000 + chosen.random()]),
        "k": lambda: chosen.choice([0, 1]),
    }
    columns = {name: [make() for _ in range(600)] for name, make in kinds.items()}
    rows = pa.table({"x": list(range(600)), **columns})
    connection = tensorsql.connect().register("rows", rows)
    calls = ", ".join(f"{call} OVER ({frame})" for call in LONG_CALLS)
    sql = f"SELECT x, {calls} FROM rows ORDER BY x"
    expected = CONNECTION.execute(sql).fetchall()
    for ours, theirs in zip(connection.execute(sql).fetchall(), expected, strict=True):
        assert list(map(alike, ours, theirs)) == [True] * len(ours), (ours, theirs)


SPREADS = ("stddev_pop(v)", "var_samp(v)", "covar_pop(v, x)", "corr(v, v)", "corr(x, v)")


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("value", ["0.1", "1e9 + 0.1", "-7e300", "'inf'", "'nan'", "NULL"])
def test_equal_values_spread_by_nothing(value: str, count: int) -> None:
    """By states as of all rows: exactly 0, NaN of what has no mean, NULL of nothing."""
    rows = f"SELECT range x, CAST({value} AS DOUBLE) v FROM range({count})"
    whole = f"SELECT {', '.join(SPREADS)} FROM ({rows}) q"
    framed = f"SELECT {', '.join(f'{call} OVER (ORDER BY x)' for call in SPREADS)} FROM ({rows}) q"
    expected = CONNECTION.execute(whole).fetchone()
    for sql in (whole, framed):
        assert repr(tensorsql.connect().execute(sql).fetchall()[-1]) == repr(expected)


def test_spread_of_large_values_is_that_of_what_they_differ_by() -> None:
    """Closer to the exact variance than one pass over the values would come."""
    chosen = random.Random(1)
    values = [1e9 + chosen.randint(0, 999) / 128 for _ in range(200)]
    rows = pa.table({"x": list(range(200)), "v": values})
    sql = "SELECT var_pop(v) OVER (ORDER BY x) FROM rows ORDER BY x"
    found = tensorsql.connect().register("rows", rows).execute(sql).fetchall()
    for place in range(200):
        exact = statistics.pvariance(map(Fraction, values[: place + 1]))
        assert math.isclose(found[place][0], exact, rel_tol=1e-12)


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_spoils_only_the_frames_that_have_it(special: float) -> None:
    rows = pa.table({"x": range(300), "v": [special if x == 150 else x**2 / 7 for x in range(300)]})
    frame = "ORDER BY x ROWS BETWEEN 60 PRECEDING AND 60 FOLLOWING"
    calls = ", ".join(f"{call} OVER ({frame})" for call in SPREADS)
    sql = f"SELECT {calls} FROM rows ORDER BY x"
    found = tensorsql.connect().register("rows", rows).execute(sql).fetchall()
    for ours, theirs in zip(found, CONNECTION.execute(sql).fetchall(), strict=True):
        assert all(map(alike, ours, theirs)), (ours, theirs)


def work(monkeypatch: pytest.MonkeyPatch, call: str, rows: int) -> int:
    """How many rows and states a running frame over some rows reads."""
    met: list[int] = []
    for module in (frame_tree, framed, window):
        taken = module.take
        counted = lambda column, rows, taken=taken: (met.append(len(rows)), taken(column, rows))[1]  # noqa: E731
        monkeypatch.setattr(module, "take", counted)
    levels = frame_ranks._levels
    monkeypatch.setattr(
        frame_ranks,
        "_levels",
        lambda codes: (level for level in levels(codes) if met.append(len(codes)) is None),
    )
    connection = tensorsql.connect()
    table = f"(SELECT range x, range * 37 % 101 v FROM range({rows}))"
    connection.execute(f"SELECT {call} OVER (ORDER BY x) FROM {table} q").fetchall()
    monkeypatch.undo()
    return sum(met)


TREES = (
    *("stddev(v)", "corr(v, x)", "arg_max(x, v)", "count(DISTINCT v)", "sum(DISTINCT v)"),
    *("median(v)", "quantile_disc(v, 0.2)", "avg(DISTINCT x)", "approx_count_distinct(x)"),
)


@pytest.mark.parametrize("call", TREES)
def test_twice_the_rows_are_little_more_than_twice_the_work(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    assert work(monkeypatch, call, 4096) < 2.6 * work(monkeypatch, call, 2048)


def test_work_of_a_frame_does_not_grow_with_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = tensorsql.connect()
    met: list[int] = []
    taken = frame_tree.take
    monkeypatch.setattr(
        frame_tree, "take", lambda column, rows: (met.append(len(rows)), taken(column, rows))[1]
    )
    connection.execute("SELECT sum(range) OVER (ORDER BY range) FROM range(4096)").fetchall()
    assert 0 < sum(met) <= 4096 * 2 * 12
