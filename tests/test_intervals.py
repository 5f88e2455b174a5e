"""Intervals enclose what the engine computes, in Python numbers and in tensors alike."""

from __future__ import annotations

import math
import operator
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.runtime.program import Context
from tensorsql.operators.search.bounds import exact_interval, full_interval
from tensorsql.planner.analysis.group_intervals import Members, aggregate
from tensorsql.planner.analysis.interval_rules import compose
from tensorsql.planner.analysis.intervals import Interval, constant, differences, products, sums
from tensorsql.planner.functions.resolve import cast, resolve, resolve_aggregate
from tensorsql.planner.plans.expressions import AggregateCall, Call, ColumnRef, Expression, Literal
from tensorsql.storage.columns import types
from tensorsql.storage.columns.column import Batch, Column, Flat

INF = math.inf
ENDS = st.tuples(*[st.integers(-(2**90), 2**90)] * 2).map(sorted)
COLUMNS = {
    "b": types.BIGINT,
    "d": types.DOUBLE,
    "m": types.decimal(9, 2),
    "t": types.BOOLEAN,
}
IDS = {name: number for number, name in enumerate(COLUMNS, 1)}


def column(name: str) -> Expression:
    return ColumnRef(COLUMNS[name], IDS[name], name)


VALUES = {
    "b": st.integers(-6, 6),
    "d": st.one_of(
        st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.5, INF, -INF, math.nan, 0.1, 3.0]),
        st.floats(-4, 4),
    ),
    "m": st.integers(-500, 500),
    "t": st.booleans(),
}
DTYPES = {"b": torch.int64, "d": torch.float64, "m": torch.int64, "t": torch.bool}


@st.composite
def numbers(draw: st.DrawFn, depth: int = 3) -> Expression:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        kind = draw(st.sampled_from(["b", "d", "m", "literal"]))
        if kind == "literal":
            return draw(st.sampled_from([Literal(types.BIGINT, 2), Literal(types.DOUBLE, 0.1)]))
        return column(kind)
    a, b = draw(numbers(depth - 1)), draw(numbers(depth - 1))
    form = draw(st.sampled_from(["+", "-", "*", "/", "negate", "case", "coalesce", "cast"]))
    if form == "negate":
        return resolve("negate", [a])
    if form == "case":
        return resolve("case", [draw(truths(depth - 1)), a, b])
    if form == "cast":
        wide = types.DOUBLE if a.type.is_float else types.decimal(18, 1)
        return cast(a, draw(st.sampled_from([types.DOUBLE, types.REAL, wide])))
    return resolve(form, [a, b])


@st.composite
def truths(draw: st.DrawFn, depth: int = 2) -> Expression:
    if draw(st.integers(0, 6)) == 0:
        return column("t")
    if depth == 0 or draw(st.integers(0, 1)):
        sign = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
        return resolve(sign, [draw(numbers(1)), draw(numbers(1))])
    a, b = draw(truths(depth - 1)), draw(truths(depth - 1))
    form = draw(st.sampled_from(["and", "or", "not", "is_null"]))
    return resolve(form, [a, b] if form in ("and", "or") else [a])


def tree_interval(expression: Expression, known: dict[int, Interval]) -> Interval:
    """Bounds of the expression from bounds of its columns."""
    if isinstance(expression, ColumnRef):
        return known[expression.id]
    if isinstance(expression, Literal):
        return constant(expression.value)
    assert isinstance(expression, Call)
    return compose(expression, [tree_interval(arg, known) for arg in expression.args])


def encloses(interval: Interval, exact: Interval) -> bool:
    """Whether values known to a rounding (a DECIMAL is no double) may lie within the interval."""
    inside = (interval.lower <= exact.upper) & (exact.lower <= interval.upper)
    nan = exact.may_be_nan & interval.may_be_nan
    null = exact.may_be_null & interval.may_be_null
    return bool((inside & ~exact.may_be_null & ~exact.may_be_nan | nan | null).all())


@st.composite
def tables(draw: st.DrawFn) -> tuple[Batch, dict[int, Interval]]:
    """Rows, and for each column bounds that enclose its values, wider or exact."""
    rows = draw(st.integers(1, 5))
    columns: dict[int, Column] = {}
    known = {}
    for name, kind in COLUMNS.items():
        values = draw(st.lists(VALUES[name], min_size=rows, max_size=rows))
        valid = draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows))
        validity = torch.tensor([bool(flag) for flag in valid])
        stored = torch.tensor(values, dtype=DTYPES[name]).masked_fill(~validity, 0)
        columns[IDS[name]] = Flat(kind, stored, validity)
        exact = exact_interval(columns[IDS[name]])
        slack = torch.tensor(draw(st.lists(st.sampled_from([0, 0, 1, 2]), min_size=2, max_size=2)))
        lower, upper = exact.lower - slack[0], exact.upper + slack[1]
        if name == "t":
            lower, upper = lower.clamp(min=0), upper.clamp(max=1)
        known[IDS[name]] = Interval(lower, upper, exact.may_be_null, exact.may_be_nan)
    return Batch(columns, rows), known


@settings(max_examples=300, deadline=None)
@given(tables(), st.one_of(numbers(), truths()))
def test_composition_encloses(
    table: tuple[Batch, dict[int, Interval]], expression: Expression
) -> None:
    from tensorsql.errors import Error

    batch, known = table
    interval = full_interval(tree_interval(expression, known), batch.rows)
    try:
        (found,) = compile_expressions([expression], Context({}))(batch)
    except Error:
        return  # an overflow or NaN that cannot be cast: nothing was promised
    exact = full_interval(exact_interval(found), batch.rows)
    assert encloses(interval, exact), f"{expression}: {interval} lacks {exact}"


@settings(max_examples=150, deadline=None)
@given(tables(), truths())
def test_numbers_and_tensors_agree(
    table: tuple[Batch, dict[int, Interval]], expression: Expression
) -> None:
    batch, known = table
    whole = full_interval(tree_interval(expression, known), batch.rows)
    for row in range(batch.rows):
        one = {
            id: Interval(*(part[row].item() for part in parts(value)))
            for id, value in known.items()
        }
        alone = tree_interval(expression, one)
        assert [part[row].item() for part in parts(whole)] == [*parts(alone)]


def parts(interval: Interval) -> tuple[Any, Any, Any, Any]:
    return interval.lower, interval.upper, interval.may_be_null, interval.may_be_nan


@settings(max_examples=150, deadline=None)
@given(tables(), st.sampled_from(["sum", "avg", "min", "max", "count"]), st.sampled_from("bdm"))
def test_aggregates_enclose(
    table: tuple[Batch, dict[int, Interval]], name: str, argument: str
) -> None:
    from tensorsql.operators.aggregate.aggregate import AggregateRecipe
    from tensorsql.operators.runtime.program import Run

    batch, known = table
    call = resolve_aggregate(name, [column(argument)], False, None, ())
    assert isinstance(call, AggregateCall)
    codes = torch.arange(batch.rows) % 2
    columns = {**batch.columns, 99: Flat(types.BIGINT, codes)}
    key = ColumnRef(types.BIGINT, 99, "g")
    recipe = AggregateRecipe(0, ((99, types.BIGINT), (100, call.type)), (key,), (call,), ((0,),))
    sink = recipe.start(Run(Context({}), {}))
    state = sink.new_state()
    sink.accumulate(state, Batch(columns, batch.rows))
    groups = min(batch.rows, 2)
    found = sink.merge([state]).table().columns[100]
    exact = full_interval(exact_interval(found), groups)
    (inner,) = call.args
    value = full_interval(tree_interval(inner, known), batch.rows)
    interval = full_interval(aggregate(call, value, Members(codes, groups)), groups)
    assert encloses(interval, exact), f"{name}({argument}): {interval} lacks {exact}"


@pytest.mark.parametrize(
    ("numerator", "denominator", "lower", "upper", "nan"),
    [
        ((0.0, 0.0), (0.0, 0.0), 0.0, INF, True),  # an all-zero mask: 0/0
        ((3.0, 3.0), (0.0, 4.0), 0.75, INF, False),
        ((0.0, 0.0), (1.0, 4.0), 0.0, 0.0, False),
        ((2.0, 6.0), (2.0, 2.0), 1.0, 3.0, False),
    ],
)
def test_ratio_of_counts(
    numerator: tuple[float, float],
    denominator: tuple[float, float],
    lower: float,
    upper: float,
    nan: bool,
) -> None:
    ratio = resolve("/", [column("b"), column("b")])
    assert isinstance(ratio, Call)
    found = compose(ratio, [Interval(*numerator), Interval(*denominator)])
    assert found.lower == pytest.approx(lower)
    assert found.lower <= lower
    assert found.upper == upper
    assert found.may_be_nan == nan


def test_decided_truths() -> None:
    condition = resolve(">", [column("b"), Literal(types.BIGINT, 5)])
    assert isinstance(condition, Call)
    five = constant(5)
    assert compose(condition, [Interval(6.0, 9.0), five]).accepts
    assert compose(condition, [Interval(0.0, 5.0), five]).rejects
    undecided = compose(condition, [Interval(5.0, 6.0), five])
    assert not undecided.accepts
    assert not undecided.rejects
    assert not compose(condition, [Interval(6.0, 9.0, True), five]).accepts


def test_import_is_free_of_torch() -> None:
    code = (
        "import sys; import tensorsql.planner.analysis.interval_rules; "
        "import tensorsql.planner.analysis.group_intervals; "
        "import tensorsql.operators.indexes, tensorsql.planner.rules.use_index_topn; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(a=ENDS, b=ENDS)
def test_ends_of_whole_numbers_are_exact(a: list[int], b: list[int]) -> None:
    """Proofs that integers fit rest on them, far beyond what doubles can count."""
    one, other = Interval(*a), Interval(*b)
    every = [(x, y) for x in a for y in b]
    for ends, of in (
        (sums, operator.add),
        (differences, operator.sub),
        (products, operator.mul),
    ):
        found = [of(x, y) for x, y in every]
        assert ends(one, other) == (min(found), max(found))
