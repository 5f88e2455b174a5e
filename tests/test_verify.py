"""Broken plans, one for each thing that `verify` looks at, and the words that it finds for them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import traceback
from collections.abc import Iterator

import pytest
from plans import aggregate, call, key, literal, ref, table

from tensorsql.errors import InternalError
from tensorsql.planner.binder.placeholders import UnnestExpression
from tensorsql.planner.functions.resolve import resolve_aggregate
from tensorsql.planner.plans import verify as module
from tensorsql.planner.plans.expressions import WindowCall
from tensorsql.planner.plans.index_plans import IndexFilter
from tensorsql.planner.plans.logical import (
    Aggregate,
    DependentJoin,
    Filter,
    Join,
    Project,
    Reference,
    SetOperation,
    Sort,
    Window,
    With,
)
from tensorsql.planner.plans.plan import Plan, new_field
from tensorsql.planner.plans.verify import verify
from tensorsql.storage.columns.types import BIGINT, INTEGER, VARCHAR

T = table({"a": INTEGER, "s": VARCHAR}, [(1, "x")])
U = table({"b": INTEGER, "w": VARCHAR}, [(1, "x")])
A, S, B = ref(T, "a"), ref(T, "s"), ref(U, "b")
TOTAL, SUM = aggregate("sum", A)
NUMBER = resolve_aggregate("row_number", [])
ROW_NUMBER = WindowCall(NUMBER.type, NUMBER)
POSITIVE = call(">", A, 0)
SHARED = Reference(7, "w", ((new_field("a", INTEGER), T.fields[0].id),))
OTHER = dataclasses.replace(T.fields[0].ref(), type=BIGINT)
NARROW = Project(T, ((T.fields[0], A),))
AFTER = Project(U, ((U.fields[0], B),))  # its input's column w is gone
SETS = Aggregate(T, ((new_field("k", INTEGER), A),), ((TOTAL, SUM),), ((0,), ()))


def union(left: Plan, right: Plan) -> SetOperation:
    """UNION ALL whose columns have the left side's types."""
    columns = tuple(new_field(field.name, field.type) for field in left.fields)
    return SetOperation("union", True, left, right, columns)


SOUND: dict[str, Plan] = {
    "a filter": Filter(T, POSITIVE),
    "a join": Join("inner", T, U, call("=", A, B)),
    "groups": SETS,
    "an order": Sort(T, (key(A),)),
    "sides of one type": union(NARROW, AFTER),
    "a shared plan read twice": With(
        ((7, "w", T),),
        Join("inner", SHARED, Reference(7, "w", ((new_field("a", INTEGER), T.fields[0].id),))),
    ),
    "a subplan that reads the row outside": DependentJoin("inner", T, Filter(U, call("=", A, B))),
}
BROKEN: dict[str, tuple[Plan, str]] = {
    "a column of nobody": (Filter(U, POSITIVE), 'reads column "a" .* which no input has'),
    "a column that went before": (
        Filter(AFTER, call("=", ref(U, "w"), "x")),
        'reads column "w" .* which no input has',
    ),
    "a sort key of another plan": (Sort(U, (key(A),)), 'Sort reads column "a"'),
    "a column of the left side alone": (
        Join("inner", T, Filter(U, POSITIVE)),
        'Filter reads column "a" .* which no input has',
    ),
    "a column of another type": (Filter(T, call(">", OTHER, 0)), '"a" as BIGINT, .* has INTEGER'),
    "one id for two columns": (
        Project(T, ((T.fields[0], A), (T.fields[0], A))),
        r"Project gives one id to two columns: \['a'\]",
    ),
    "a column on both sides": (
        Join("inner", T, Filter(T, POSITIVE)),
        "gives one id to two columns",
    ),
    "the same of a semi join": (Join("semi", T, Filter(T, POSITIVE)), "both sides of a join"),
    "a predicate that is a number": (Filter(T, A), "predicate of Filter is INTEGER"),
    "an index's predicate": (IndexFilter(T, A, ()), "predicate of IndexFilter is INTEGER"),
    "a join's condition": (Join("inner", T, U, B), "predicate of Join is INTEGER"),
    "a dependent join's": (DependentJoin("semi", T, U, B), "predicate of DependentJoin is INTEGER"),
    "a column that is not its value": (
        Project(T, ((new_field("n", BIGINT), A),)),
        '"n" is BIGINT, its value INTEGER',
    ),
    "an aggregate outside groups": (Filter(T, call(">", SUM, 0)), r"Filter holds .*sum.*cannot"),
    "a window outside Window": (
        Project(T, ((new_field("n", BIGINT), ROW_NUMBER),)),
        "Project holds .*row_number.*cannot",
    ),
    "what the binder put there for later": (
        Filter(T, call("=", UnnestExpression(INTEGER, A, T.fields[0]), 0)),
        "Filter still holds UnnestExpression",
    ),
    "sides of different types": (
        union(NARROW, Project(U, ((U.fields[1], ref(U, "w")),))),
        "sides of union differ",
    ),
    "sides of different widths": (union(T, NARROW), "sides of union differ"),
    "a grouping set of no key": (
        dataclasses.replace(SETS, grouping_sets=((1,),)),
        "grouping set names a key there is not",
    ),
    "a shared plan that nobody defines": (SHARED, '"w" is referred to but not defined'),
    "one that is defined later": (
        With(((7, "w", T), (8, "v", U)), With(((9, "x", Reference(10, "y", ())),), SHARED)),
        '"y" is referred to but not defined',
    ),
    "a column that the shared plan has not": (
        With(((7, "w", U),), SHARED),
        '"w" has no column "a" of INTEGER',
    ),
    "one of another type there": (
        With(((7, "w", T),), Reference(7, "w", ((new_field("a", BIGINT), T.fields[0].id),))),
        '"w" has no column "a" of BIGINT',
    ),
    "a fault below a sound node": (Sort(Filter(T, A), (key(A),)), "predicate of Filter"),
    "a fault in a definition": (With(((7, "w", Filter(T, A)),), SHARED), "predicate of Filter"),
    "a window's input": (
        Window(Filter(T, A), ((new_field("n", BIGINT), ROW_NUMBER),)),
        "predicate of Filter",
    ),
    "a constant as predicate": (Filter(T, literal(1)), "predicate of Filter is INTEGER"),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_plans_pass(name: str) -> None:
    verify(SOUND[name])


@pytest.mark.parametrize("name", BROKEN)
def test_broken_plans_are_told(name: str) -> None:
    plan, words = BROKEN[name]
    with pytest.raises(InternalError, match=words):
        verify(plan)


def test_every_check_is_tried() -> None:
    """A check that no plan here offends could be dropped unseen."""
    source = ast.parse(inspect.getsource(module))
    checks = {node.lineno for node in ast.walk(source) if isinstance(node, ast.Raise)}
    assert checks == set(_lines_that_raised())


def _lines_that_raised() -> Iterator[int]:
    for plan, _ in BROKEN.values():
        with pytest.raises(InternalError) as caught:
            verify(plan)
        line = traceback.extract_tb(caught.value.__traceback__)[-1].lineno
        assert line is not None
        yield line
