"""The evaluator: who may raise, what is computed once, how constants and dictionaries pass."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import torch

from tensorsql.errors import ConversionError, OutOfRangeError
from tensorsql.operators.columns.literals import literal_column, to_python
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.functions.resolve import cast, resolve
from tensorsql.planner.plans.expressions import ColumnRef, Expression, Literal
from tensorsql.storage.columns.column import (
    Batch,
    Column,
    Constant,
    Dictionary,
    Flat,
    StringDictionary,
)
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import (
    BIGINT,
    BOOLEAN,
    HUGEINT,
    INTEGER,
    TINYINT,
    VARCHAR,
    Type,
    decimal,
)
from tensorsql.storage.tables.catalog import Relation, TableSchema

CONTEXT = Context({})
ONE = Literal(INTEGER, 1)


def ref(place: int, kind: Type) -> ColumnRef:
    return ColumnRef(kind, place, f"c{place}")


def run(
    expression: Expression, columns: list[Column], active: list[bool] | None = None
) -> list[Any]:
    batch = Batch(dict(enumerate(columns)), len(columns[0]))
    rows = None if active is None else torch.tensor(active)
    (column,) = compile_expressions([expression], CONTEXT)(batch, rows)
    return to_python(column)


def divide(a: Expression, b: Expression) -> Expression:
    return resolve("//", (a, b))


def test_inactive_and_null_rows_do_not_raise() -> None:
    a, b = ref(0, INTEGER), ref(1, INTEGER)
    columns = [literal_column([6, 6, None], INTEGER), literal_column([2, 0, 0], INTEGER)]
    assert run(divide(a, b), columns, [True, False, True])[::2] == [3, None]
    with pytest.raises(OutOfRangeError, match="division by zero"):
        run(divide(a, b), columns)


def test_guards_narrow_what_comes_after() -> None:
    a, b = ref(0, INTEGER), ref(1, INTEGER)
    columns = [literal_column([6, 6, 6], INTEGER), literal_column([2, 0, None], INTEGER)]
    quotient = divide(a, b)
    positive = resolve(">", (quotient, ONE))
    nonzero = resolve("<>", (b, Literal(INTEGER, 0)))
    zero = resolve("=", (b, Literal(INTEGER, 0)))
    assert run(resolve("and", (nonzero, positive)), columns) == [True, False, None]
    assert run(resolve("or", (zero, positive)), columns) == [True, True, None]
    assert run(resolve("case", (nonzero, quotient, ONE)), columns) == [3, 1, 1]
    inner = resolve("case", (zero, ONE, quotient))
    assert run(inner, columns) == [3, 1, None]
    known = resolve("nullif", (b, Literal(INTEGER, 2)))
    assert run(resolve("coalesce", (known, quotient)), columns) == [3, 0, None]


def test_an_error_under_a_guard_still_raises_without_it() -> None:
    a, b = ref(0, INTEGER), ref(1, INTEGER)
    columns = [literal_column([6, 6], INTEGER), literal_column([2, 0], INTEGER)]
    guarded = resolve("case", (resolve("<>", (b, Literal(INTEGER, 0))), divide(a, b), ONE))
    batch = Batch(dict(enumerate(columns)), 2)
    evaluator = compile_expressions([guarded], CONTEXT)
    assert to_python(evaluator(batch)[0]) == [3, 1]
    both = compile_expressions([guarded, divide(a, b)], CONTEXT)
    with pytest.raises(OutOfRangeError):
        both(batch)


def test_constant_errors_raise_only_for_active_rows() -> None:
    failing = divide(ONE, Literal(INTEGER, 0))
    columns = [literal_column([True, False], BOOLEAN)]
    never = resolve("case", (Literal(BOOLEAN, False), failing, ONE))
    assert run(never, columns) == [1, 1]
    assert run(failing, [literal_column([], INTEGER)]) == []
    with pytest.raises(OutOfRangeError):
        run(resolve("case", (ref(0, BOOLEAN), failing, ONE)), columns)


def _dictionary(codes: list[int], entries: list[str]) -> Dictionary:
    dictionary = StringDictionary(pa.array(entries, pa.large_string()))
    return Dictionary(VARCHAR, torch.tensor(codes, dtype=torch.int32), dictionary)


def test_unused_dictionary_entries_do_not_raise() -> None:
    column = _dictionary([0, 2, 0], ["1", "x", "3"])
    assert run(cast(ref(0, VARCHAR), INTEGER), [column]) == [1, 3, 1]
    with pytest.raises(ConversionError, match="could not convert string 'x' to INTEGER"):
        run(cast(ref(0, VARCHAR), INTEGER), [_dictionary([0, 1], ["1", "x"])])


def test_functions_of_dictionaries_run_once_per_dictionary() -> None:
    column = _dictionary([1, 0, 1], ["a", "b"])
    evaluator = compile_expressions([resolve("upper", (ref(0, VARCHAR),))], CONTEXT)
    first, second = (evaluator(Batch({0: column}, 3))[0] for _ in range(2))
    assert isinstance(first, Dictionary)
    assert isinstance(second, Dictionary)
    assert first.dictionary is second.dictionary
    assert to_python(first) == ["B", "A", "B"]


def test_constants_stay_constant() -> None:
    (column,) = compile_expressions([resolve("+", (ONE, ONE))], CONTEXT)(Batch({}, 5))
    assert isinstance(column, Constant)
    assert to_python(column) == [2] * 5


def test_common_subexpressions_are_computed_once() -> None:
    a = ref(0, INTEGER)
    shared = resolve("+", (a, ONE))
    evaluator = compile_expressions([resolve("*", (shared, shared)), shared], CONTEXT)
    # The column, the literal, the sum and the product.
    assert len(evaluator._steps) == 4


def test_overflow_raises_with_the_values() -> None:
    a = ref(0, INTEGER)
    with pytest.raises(OutOfRangeError, match="addition of 2147483647 and 1"):
        run(resolve("+", (a, ONE)), [literal_column([2147483647], INTEGER)])
    big = ref(0, BIGINT)
    with pytest.raises(OutOfRangeError):
        run(resolve("*", (big, big)), [literal_column([1 << 40, 3], BIGINT)])
    least = literal_column([-128], TINYINT)
    for name in ("negate", "abs"):
        with pytest.raises(OutOfRangeError):
            run(resolve(name, (ref(0, TINYINT),)), [least])
    assert run(divide(big, big), [literal_column([-(1 << 63)], BIGINT)]) == [1]


def test_decimals_that_stay_in_64_bits_are_checked() -> None:
    kind = decimal(18, 2)
    a = ref(0, kind)
    square = resolve("*", (a, a))
    assert square.type == decimal(18, 4)
    assert run(square, [literal_column([Decimal("1000000.00")], kind)]) == [
        Decimal("1000000000000.0000")
    ]
    with pytest.raises(OutOfRangeError):
        run(square, [literal_column([Decimal("100000000.00")], kind)])


def test_ranges_prove_results() -> None:
    a = ref(0, BIGINT)
    call = resolve("*", (a, a))
    statistics = {"a": ColumnStatistics(0, 10)}
    table = Relation("t", TableSchema("t", ()), 1, 1, lambda: None, statistics)  # type: ignore[arg-type,return-value]
    (proven,) = [
        step.proven  # type: ignore[attr-defined]
        for step in compile_expressions([call], CONTEXT, {0: (table, "a")})._steps
        if isinstance(getattr(step, "proven", None), bool)
    ]
    assert proven


def test_wide_arithmetic_is_exact() -> None:
    values = [10**37, -(10**37), 3, -3, (1 << 127) - 1]
    a = ref(0, HUGEINT)
    column = literal_column(values, HUGEINT)
    assert run(resolve("-", (a, Literal(HUGEINT, 1))), [column]) == [each - 1 for each in values]
    assert run(resolve("%", (a, Literal(HUGEINT, 7))), [column]) == [
        abs(each) % 7 * (-1 if each < 0 else 1) for each in values
    ]
    with pytest.raises(OutOfRangeError):
        run(resolve("*", (a, Literal(HUGEINT, 20))), [column])


def test_selection_is_applied() -> None:
    column = literal_column([1, 2, 3, 4], INTEGER)
    batch = Batch({0: column}, 4, torch.tensor([1, 3], dtype=torch.int32))
    (result,) = compile_expressions([resolve("+", (ref(0, INTEGER), ONE))], CONTEXT)(batch)
    assert to_python(result) == [3, 5]


def test_narrow_storage_is_widened() -> None:
    column = Flat(INTEGER, torch.tensor([100, 127], dtype=torch.int8))
    assert run(resolve("+", (ref(0, INTEGER), Literal(INTEGER, 100))), [column]) == [200, 227]
    assert run(ref(0, INTEGER), [column]) == [100, 127]
    assert run(resolve("<", (ref(0, INTEGER), Literal(INTEGER, 300))), [column]) == [True, True]
