"""Intervals enclose what the engine computes, in Python numbers and in tensors alike."""

from __future__ import annotations

import math
import operator
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorsql
from tensorsql.errors import Error
from tensorsql.operators.columns.layouts import operand
from tensorsql.operators.columns.literals import to_python
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.functions.ranges import range_of
from tensorsql.operators.runtime.program import Context
from tensorsql.operators.search.bounds import exact_interval, full_interval
from tensorsql.parser.dialect import parse
from tensorsql.planner.analysis.facts import facts
from tensorsql.planner.analysis.group_intervals import MemberGroups, aggregate
from tensorsql.planner.analysis.interval_rules import compose
from tensorsql.planner.analysis.intervals import (
    Interval,
    common,
    constant,
    differences,
    fits,
    hull,
    magnitudes,
    negatives,
    products,
    sums,
    widened,
)
from tensorsql.planner.binder import bind
from tensorsql.planner.functions.resolve import cast, resolve, resolve_aggregate
from tensorsql.planner.optimizer import optimize
from tensorsql.planner.plans.bound_statements import plan_of as bound_plan
from tensorsql.planner.plans.expressions import AggregateCall, Call, ColumnRef, Expression, Literal
from tensorsql.session import Session
from tensorsql.session_catalog import SessionCatalog
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
    call = resolve_aggregate(name, [column(argument)])
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
    interval = full_interval(aggregate(call, value, MemberGroups(codes, groups)), groups)
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
        assert ends(one, other) == Interval(min(found), max(found))
    assert negatives(one) == Interval(-a[1], -a[0])
    assert hull(one, other) == Interval(min(a[0], b[0]), max(a[1], b[1]))
    assert common(one, other) == Interval(max(a[0], b[0]), min(a[1], b[1]))


@given(a=ENDS, inside=st.floats(0, 1))
def test_magnitudes_enclose(a: list[int], inside: float) -> None:
    value = min(a[1], a[0] + int((a[1] - a[0]) * inside))
    found = magnitudes(Interval(*a))
    assert found.lower <= abs(value) <= found.upper
    assert {found.lower, found.upper} <= {0, abs(a[0]), abs(a[1])}
    tensors = magnitudes(Interval(*torch.tensor(a, dtype=torch.float64)))
    assert [tensors.lower.item(), tensors.upper.item()] == [float(found.lower), float(found.upper)]


LIMITED = [
    *(types.TINYINT, types.SMALLINT, types.INTEGER, types.BIGINT, types.HUGEINT),
    *(types.decimal(1, 1), types.decimal(9, 2), types.decimal(18, 0), types.decimal(38, 5)),
]


@pytest.mark.parametrize("type", LIMITED, ids=str)
def test_what_fits_has_a_stored_number(type: types.Type) -> None:
    """Around both limits, in doubles: to fit is to be stored without an overflow."""
    assert type.limits is not None
    for limit in type.limits:
        for value in around(limit / 10**type.scale):
            low, high = type.limits
            exact = low <= Fraction(value) * 10**type.scale <= high
            fitting = fits(type, Interval(value, value))
            assert exact or not fitting, value
            tensor = torch.tensor([value], dtype=torch.float64)
            assert bool(fits(type, Interval(tensor, tensor))) == fitting
    assert fits(type, Interval(0.0, float(Fraction(99 * high, 100 * 10**type.scale))))
    whole = type.is_integer and high <= 2**53
    assert not whole or fits(type, Interval(float(low), float(high)))


def around(value: float) -> list[float]:
    """The value and doubles near it."""
    near = [math.nextafter(value, INF), math.nextafter(value, -INF), value + 1, value - 1]
    return [value, *near, value * (1 + 2.0**-40), value * (1 - 2.0**-40)]


@given(st.tuples(*[st.floats(allow_nan=False)] * 2).map(sorted), st.floats(0, 1))
def test_widened_bounds_enclose(ends: list[float], share: float) -> None:
    found = widened(Interval(*ends), share)
    assert (found.lower <= ends[0] and ends[1] <= found.upper) or INF in map(abs, ends)


@st.composite
def exact_numbers(draw: st.DrawFn, depth: int = 3) -> Expression:
    """Arithmetic on whole numbers and DECIMALs."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([column("b"), column("m"), Literal(types.BIGINT, 2**31)]))
    a = draw(exact_numbers(depth - 1))
    form = draw(st.sampled_from(["+", "-", "*", "negate", "abs", "cast"]))
    if form == "cast":
        return cast(a, draw(st.sampled_from([types.HUGEINT, types.decimal(38, 6)])))
    arguments = [a] if form in ("negate", "abs") else [a, draw(exact_numbers(depth - 1))]
    try:
        return resolve(form, arguments)
    except Error:  # too many digits
        return a


@settings(max_examples=200, deadline=None)
@given(tables(), exact_numbers())
def test_proven_ranges_enclose(
    table: tuple[Batch, dict[int, Interval]], expression: Expression
) -> None:
    """Stored numbers lie in the range that is proven from the ranges of their columns."""
    batch, _ = table
    ranges = {}
    for id in (IDS["b"], IDS["m"]):
        stored = operand(batch.columns[id]).tolist()
        ranges[id] = Interval(min(stored), max(stored))
    bounds = range_of(expression, ranges, {})
    try:
        (result,) = compile_expressions([expression], Context({}))(batch)
    except Error:
        return
    unscaled = [
        value * 10**expression.type.scale for value in to_python(result) if value is not None
    ]
    assert bounds is not None
    assert all(bounds.lower <= number <= bounds.upper for number in unscaled)


def test_facts_bound_what_is_stored() -> None:
    """The intervals of a scan and of an outer join's right side, by the values that come out."""
    with tensorsql.connect() as connection:
        connection.execute(f"""
            CREATE TABLE t AS SELECT * FROM (VALUES (1, 1.5::DOUBLE, {2**62}::HUGEINT, 0.05),
            (3, 'nan', -{2**100}, NULL), (2, 'inf', 7, -2.50)) v(a, d, h, m);
            CREATE TABLE u (b INTEGER NOT NULL); INSERT INTO u VALUES (1), (9)""")
        ranges = ranges_of(connection.session, "SELECT u.b, t.* FROM u LEFT JOIN t ON a = b")
        assert ranges == [
            Interval(1, 9),
            Interval(1, 3, True),
            Interval(1.5, INF, True, True),
            Interval(-(2**100), 2**62, True),
            Interval(-250, 5, True),
        ]


def ranges_of(session: Session, sql: str) -> list[Interval]:
    """What is proven of a query's columns."""
    with session.open_transaction() as transaction:
        catalog = SessionCatalog(transaction, session.registered)
        plan = bound_plan(bind(parse(sql)[0], catalog, (), session.settings))
        assert plan is not None
        optimized = optimize(plan)
        return [facts(optimized).ranges[field.id] for field in optimized.fields]
