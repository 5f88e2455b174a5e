"""Scan, sort, limits, distinct, set operations, unnest, shared plans: against plain Python."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import call, everywhere, execute, key, literal, ref, table

from tensorsql.planner.plans.expressions import Expression, Literal
from tensorsql.planner.plans.logical import (
    Distinct,
    Filter,
    Limit,
    Project,
    Reference,
    SetOperation,
    Sort,
    TopN,
    Unnest,
    Values,
    With,
)
from tensorsql.planner.plans.plan import Plan, new_field
from tensorsql.storage.columns.types import BIGINT, DOUBLE, INTEGER, INTERVAL, VARCHAR, list_of

TYPES = {"i": INTEGER, "x": DOUBLE, "s": VARCHAR}
VALUES = st.tuples(
    st.sampled_from([None, 0, 1, -5]),
    st.sampled_from([None, 0.0, -0.0, 2.5, -1e300, float("nan"), float("inf")]),
    st.sampled_from([None, "", "a", "Z", "é", "a\x00b"]),
)
ROWS = st.lists(VALUES, max_size=15)
Row = tuple[Any, ...]


def rank(value: Any) -> Any:
    """Orders as SQL does: NaN after all numbers, text by its bytes."""
    if isinstance(value, float):
        return (value != value, 0.0 if value != value else value)
    return value.encode() if isinstance(value, str) else value


def python_sort(rows: list[Row], keys: list[tuple[int, bool, bool]]) -> list[Row]:
    for place, descending, nulls_first in reversed(keys):
        nulls = [row for row in rows if row[place] is None]
        rest = [row for row in rows if row[place] is not None]
        rest.sort(key=lambda row: rank(row[place]), reverse=False)
        if descending:  # stable: reversed runs keep the order inside a run
            rest.reverse()
            rest.sort(key=lambda row: rows.index(row))
            rest.sort(key=lambda row: rank(row[place]), reverse=True)
        rows = nulls + rest if nulls_first else rest + nulls
    return rows


KEYS = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=3)


@settings(max_examples=12, deadline=None)
@given(ROWS, KEYS, st.integers(0, 6), st.integers(0, 3))
def test_sort_and_top_n(rows: list[Row], keys: Any, count: int, offset: int) -> None:
    scan = table(TYPES, rows)
    order = tuple(key(scan.fields[place].ref(), down, first) for place, down, first in keys)
    numbered = [(*row, 100 + place) for place, row in enumerate(rows)]
    wanted = python_sort(numbered, keys)
    assert repr(everywhere(Sort(scan, order))) == repr(wanted)
    assert repr(everywhere(TopN(scan, order, count, offset))) == repr(wanted[offset:][:count])


def test_top_n_prunes_candidates() -> None:
    rows = [((place * 7919) % 5003,) for place in range(20000)]
    scan = table({"i": INTEGER}, rows)
    plan = TopN(scan, (key(ref(scan, "i"), True),), 5, 2)
    wanted = sorted((row[0] for row in rows), reverse=True)[2:7]
    for size in (1000, 131072):
        assert [row[0] for row in execute(plan, size)] == wanted


@settings(max_examples=12, deadline=None)
@given(ROWS, st.integers(0, 9) | st.none(), st.integers(0, 9))
def test_limit(rows: list[Row], count: int | None, offset: int) -> None:
    scan = table({**TYPES}, rows)
    found = everywhere(Limit(scan, count, offset))
    wanted = range(100, 100 + len(rows))[offset:]
    assert [row[-1] for row in found] == list(wanted if count is None else wanted[:count])


def identity(row: Row) -> Row:
    """Equal for rows SQL calls equal: NaN is NaN, -0.0 is 0.0."""
    return tuple("nan" if value != value else value for value in row)


@settings(max_examples=7, deadline=None)
@given(ROWS, ROWS)
def test_distinct_and_set_operations(left: list[Row], right: list[Row]) -> None:
    a, b = (project(table(TYPES, rows)) for rows in (left, right))
    assert [identity(row) for row in everywhere(Distinct(a))] == list(
        dict.fromkeys(map(identity, left))
    )
    for kind in ("union", "intersect", "except"):
        for keep_all in (False, True):
            columns = tuple(new_field(field.name, field.type) for field in a.fields)
            plan = SetOperation(kind, keep_all, a, b, columns)  # type: ignore[arg-type]
            mine = [identity(row) for row in everywhere(plan)]
            assert mine == python_sets(kind, keep_all, left, right)


def project(scan: Plan) -> Plan:
    return Project(scan, tuple((field, field.ref()) for field in scan.fields[:3]))


def python_sets(kind: str, keep_all: bool, left: list[Row], right: list[Row]) -> list[Row]:
    a, b = [identity(row) for row in left], [identity(row) for row in right]
    if kind == "union":
        return a + b if keep_all else list(dict.fromkeys(a + b))
    output, rest = [], list(b)
    for row in a if keep_all else dict.fromkeys(a):
        there = row in rest
        if there and keep_all:
            rest.remove(row)
        if there == (kind == "intersect"):
            output.append(row)
    return output


def test_scan_leaves_deleted_rows_out() -> None:
    scan = table({"i": INTEGER}, [(place,) for place in range(10)], frozenset({0, 4, 9}))
    assert everywhere(scan) == [(place, 100 + place) for place in (1, 2, 3, 5, 6, 7, 8)]
    assert [row[0] for row in everywhere(Filter(scan, call(">", ref(scan, "i"), 5)))] == [6, 7, 8]


def test_project_computes_and_renames() -> None:
    scan = table({"i": INTEGER}, [(1,), (None,), (3,)])
    twice = new_field("twice", BIGINT)
    plan = Project(scan, ((twice, call("+", ref(scan, "i"), ref(scan, "i"))),))
    assert everywhere(plan) == [(2,), (None,), (6,)]


def test_values_and_empty_values() -> None:
    fields = (new_field("a", INTEGER), new_field("b", VARCHAR))
    rows: tuple[tuple[Expression, ...], ...] = (
        (literal(1), literal("x")),
        (Literal(INTEGER, None), literal("y")),
    )
    assert everywhere(Values(fields, rows)) == [(1, "x"), (None, "y")]
    assert everywhere(Values(fields, ())) == []
    assert everywhere(Values((), ((),))) == [()]


def test_unnest() -> None:
    scan = table({"v": list_of(INTEGER)}, [((1, None),), ((),), (None,), ((3,),)])
    element, place = new_field("e", INTEGER), new_field("n", BIGINT)
    plan = Unnest(scan, element, ref(scan, "v"), place)
    assert [row[2:] for row in everywhere(plan)] == [(1, 1), (None, 2), (3, 1)]


def test_shared_plans_run_once() -> None:
    scan = table({"i": INTEGER}, [(1,), (2,)])
    references = [
        Reference(7, "cte", ((new_field("i", INTEGER), scan.fields[0].id),)) for _ in range(2)
    ]
    union = SetOperation("union", True, *references, (new_field("i", INTEGER),))
    assert everywhere(With(((7, "cte", scan),), union)) == [(1,), (2,), (1,), (2,)]


@pytest.mark.parametrize("descending", [False, True])
def test_sort_of_lists_and_intervals(descending: bool) -> None:
    lists = [((2,),), ((1, 5),), ((1,),), ((),), ((1, None),)]
    scan = table({"v": list_of(INTEGER)}, lists)
    found = [row[0] for row in everywhere(Sort(scan, (key(ref(scan, "v"), descending),)))]
    wanted = [(), (1,), (1, 5), (1, None), (2,)]
    assert found == (wanted[::-1] if descending else wanted)
    spans = table({"v": INTERVAL}, [((0, 31, 0),), ((1, 0, 0),), ((0, 0, 1),)])
    found = [row[1] for row in everywhere(Sort(spans, (key(ref(spans, "v"), descending),)))]
    assert found == ([100, 101, 102] if descending else [102, 101, 100])
