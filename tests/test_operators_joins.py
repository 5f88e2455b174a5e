"""Every join kind against brute force: key types, NULLs, residuals, duplicates, empty sides."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import call, everywhere, execute, ref, table

from tensorsql.errors import DataError
from tensorsql.planner.plans.expressions import TRUE, Expression, conjunction
from tensorsql.planner.plans.logical import Filter, Join, Scan, Values
from tensorsql.planner.plans.plan import new_field
from tensorsql.storage.columns.types import BIGINT, BOOLEAN, DOUBLE, INTEGER, VARCHAR

LEFT = {"k": INTEGER, "s": VARCHAR, "f": DOUBLE, "l": INTEGER}
RIGHT = {"k2": INTEGER, "s2": VARCHAR, "f2": DOUBLE, "r": INTEGER}
NAN = float("nan")
KEYS = st.sampled_from([None, 1, 2, 3, -7])
ROWS = st.lists(
    st.tuples(
        KEYS,
        st.sampled_from([None, "a", "ü", ""]),
        st.sampled_from([None, 0.0, -0.0, NAN, 1.5]),
        st.integers(0, 4),
    ),
    max_size=9,
)
KINDS = ["inner", "left", "right", "full", "semi", "anti", "mark"]
BUILDS = {"right": ("left",), "semi": ("left", "right"), "anti": ("left", "right")}
Row = tuple[Any, ...]


def equal(a: Any, b: Any) -> bool | None:
    if a is None or b is None:
        return None
    return a == b or (a != a and b != b)


def same(a: Any, b: Any) -> bool:
    return a is b or equal(a, b) is True


def both(*parts: bool | None) -> bool | None:
    if any(part is False for part in parts):
        return False
    return None if any(part is None for part in parts) else True


CONDITIONS: dict[str, Any] = {
    "cross": lambda a, b: True,
    "integer": lambda a, b: equal(a[0], b[0]),
    "text": lambda a, b: equal(a[1], b[1]),
    "float": lambda a, b: equal(a[2], b[2]),
    "two": lambda a, b: both(equal(a[0], b[0]), equal(a[1], b[1])),
    "null_safe": lambda a, b: both(same(a[0], b[0]), equal(a[1], b[1])),
    "residual": lambda a, b: both(equal(a[0], b[0]), a[3] < b[3]),
    "unequal": lambda a, b: None if a[0] is None or b[0] is None else a[0] < b[0],
}


def condition(name: str, left: Scan, right: Scan) -> Expression:
    def equals(a: str, b: str) -> Expression:
        return call("=", ref(left, a), ref(right, b))

    match name:
        case "cross":
            return TRUE
        case "integer":
            return equals("k", "k2")
        case "text":
            return equals("s", "s2")
        case "float":
            return call("=", ref(right, "f2"), ref(left, "f"))
        case "two":
            return conjunction([equals("k", "k2"), equals("s", "s2")])
        case "null_safe":
            safe = call("is_not_distinct_from", ref(left, "k"), ref(right, "k2"))
            return conjunction([safe, equals("s", "s2")])
        case "residual":
            return conjunction([equals("k", "k2"), call("<", ref(left, "l"), ref(right, "r"))])
    return call("<", ref(left, "k"), ref(right, "k2"))


def expected(kind: str, left: list[Row], right: list[Row], holds: Any) -> list[Row]:
    if kind == "right":
        flipped = expected("left", right, left, lambda b, a: holds(a, b))
        return [
            (*row[len(right[0]) if right else 5 :], *row[: len(right[0]) if right else 5])
            for row in flipped
        ]
    output: list[Row] = []
    met: set[int] = set()
    for a in left:
        truths = [holds(a, b) for b in right]
        hits = [place for place, truth in enumerate(truths) if truth is True]
        met.update(hits)
        if kind == "mark":
            output.append((*a, True if hits else None if None in truths else False))
        elif kind in ("semi", "anti"):
            output.extend([a] if bool(hits) == (kind == "semi") else [])
        else:
            output.extend((*a, *right[place]) for place in hits)
            if not hits and kind in ("left", "full"):
                output.append((*a, *[None] * 5))
    if kind == "full":
        output.extend((*[None] * 5, *b) for place, b in enumerate(right) if place not in met)
    return output


def with_ids(rows: list[Row]) -> list[Row]:
    return [(*row, 100 + place) for place, row in enumerate(rows)]


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4, deadline=None)
@given(left=ROWS, right=ROWS)
def test_join_equals_brute_force(kind: str, name: str, left: list[Row], right: list[Row]) -> None:
    a, b = table(LEFT, left), table(RIGHT, right)
    mark = new_field("mark", BOOLEAN) if kind == "mark" else None
    wanted = expected(kind, with_ids(left), with_ids(right), CONDITIONS[name])
    for build in BUILDS.get(kind, ("right",)):
        plan = Join(kind, a, b, condition(name, a, b), mark, build)  # type: ignore[arg-type]
        assert repr(everywhere(plan)) == repr(wanted)


def test_single_join_takes_one_row_or_none() -> None:
    left = table({"k": INTEGER}, [(1,), (2,), (None,)])
    right = table({"k2": INTEGER}, [(1,), (3,), (None,)])
    on = call("=", ref(left, "k"), ref(right, "k2"))
    assert [row[2] for row in everywhere(Join("single", left, right, on))] == [1, None, None]
    twice = table({"k2": INTEGER}, [(1,), (1,)])
    on = call("=", ref(left, "k"), ref(twice, "k2"))
    with pytest.raises(DataError, match="more than one row returned by a subquery"):
        execute(Join("single", left, twice, on))


def test_scalar_subquery_is_a_single_join_without_condition() -> None:
    left = table({"k": INTEGER}, [(1,), (2,)])
    one = table({"x": VARCHAR}, [("only",)])
    none = table({"x": VARCHAR}, [])
    assert [row[2] for row in everywhere(Join("single", left, one))] == ["only", "only"]
    assert [row[2] for row in everywhere(Join("single", left, none))] == [None, None]


def test_blocks_of_many_pairs_and_sparse_keys() -> None:
    many = [(place * 10**15, place) for place in range(1500)]
    left = table({"k": BIGINT, "l": INTEGER}, many)
    right = table({"k2": BIGINT, "r": INTEGER}, many)
    sparse = Join("inner", left, right, call("=", ref(left, "k"), ref(right, "k2")))
    assert len(execute(sparse)) == 1500
    cross = Join("inner", left, right, call("<", ref(left, "l"), ref(right, "r")))
    assert len(execute(Filter(cross, call("=", ref(right, "r"), 1499)))) == 1499


def test_join_over_no_columns_and_text_of_different_layouts() -> None:
    empty_row = Values((), ((),))
    right = table({"x": INTEGER}, [(1,), (2,)])
    assert [row[0] for row in everywhere(Join("inner", empty_row, right))] == [1, 2]
    assert math.isclose(len(execute(Join("left", right, table({"y": INTEGER}, [])))), 2)
