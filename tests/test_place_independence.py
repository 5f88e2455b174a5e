"""A scalar function of floats gives the same bits wherever in a column its arguments stand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from side_by_side import SideBySide
from torch import Tensor

from tensorsql.errors import Error
from tensorsql.operators.functions.registry import Extent, kernel_of
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.functions.signatures import SIGNATURES
from tensorsql.planner.plans.expressions import Call
from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.column import VALUE_DTYPE, Column, Constant, Flat
from tensorsql.storage.columns.types import Type

ENDS = (0.0, -0.0, 1.0, 2.0, 0.5, 27.0, np.inf, -np.inf, np.nan, 5e-324, 1e-310, 1e308, -1e308)


def _is_of_floats(signature: Signature) -> bool:
    types = signature.parameters
    numbers = all(isinstance(each, Type) and each.is_numeric and not each.is_wide for each in types)
    return numbers and any(isinstance(each, Type) and each.is_float for each in types)


def _title(signature: Signature) -> str:
    return f"{signature.name}({', '.join(map(str, signature.parameters))})"


OF_FLOATS = [
    each
    for overloads in SIGNATURES.values()
    for each in overloads
    if each.kind == "scalar" and not each.volatile and _is_of_floats(each)
]


def _values(type: Type, count: int, seed: int) -> Tensor:
    draw = np.random.default_rng(seed)
    if not type.is_float:
        return torch.from_numpy(draw.integers(-20, 20, count)).to(VALUE_DTYPE[type.kind])
    wide = 10.0 ** draw.uniform(-300, 300, count // 4)
    near = [draw.uniform(-1, 1, count // 4), draw.uniform(-100, 100, count // 4)]
    values = np.concatenate([ENDS, wide, *near, draw.uniform(0, 9, count)])[:count]
    with np.errstate(over="ignore"):
        return torch.from_numpy(draw.permutation(values)).to(VALUE_DTYPE[type.kind])


def _run(signature: Signature, columns: list[Column]) -> Tensor | None:
    """The result's bits; None where the call raises."""
    kinds = tuple(column.type for column in columns)
    call = Call(signature.result_type(kinds), signature, ())
    try:
        result = kernel_of(signature.kernel)(
            columns, call, Extent(len(columns[0]), None, Context({}))
        )
    except Error:
        return None
    if not isinstance(result, Flat):
        return None
    values = result.values.expand(len(columns[0]), *result.values.shape[1:]).contiguous()
    if not values.dtype.is_floating_point:
        return values
    return torch.where(values.isnan(), torch.nan, values).view(
        torch.int64 if values.dtype == torch.float64 else torch.int32
    )


def _columns(signature: Signature, rows: list[Tensor]) -> list[Column]:
    return [Flat(kind, row) for kind, row in zip(signature.parameters, rows, strict=True)]  # type: ignore[arg-type]


@pytest.mark.parametrize("signature", OF_FLOATS, ids=_title)
def test_same_bits_at_every_place(signature: Signature) -> None:
    rows = [_values(each, 400, place) for place, each in enumerate(signature.parameters)]  # type: ignore[arg-type]
    expected = _run(signature, _columns(signature, rows))
    if expected is None:
        pytest.skip("raises for these values")
    draw = np.random.default_rng(5)
    for length in (*range(1, 41), 100_003):
        for offset in (0, 1, 3):
            places = torch.from_numpy(draw.integers(0, 400, length + offset))
            moved = [row[places][offset:] for row in rows]
            found = _run(signature, _columns(signature, moved))
            assert found is not None
            assert torch.equal(found, expected[places[offset:]]), (length, offset)


@pytest.mark.parametrize("signature", OF_FLOATS, ids=_title)
def test_same_bits_beside_constants(signature: Signature) -> None:
    """A literal operand is one row, repeated."""
    rows = [_values(each, 400, place) for place, each in enumerate(signature.parameters)]  # type: ignore[arg-type]
    for constant in range(len(rows)):
        if len(rows) == 1:
            continue  # one constant alone is evaluated as one row
        for value in (0, 7, 100, 399):
            some = [
                row[value : value + 1].expand(400) if n == constant else row
                for n, row in enumerate(rows)
            ]
            columns = _columns(signature, [row.contiguous() for row in some])
            expected = _run(signature, columns)
            one = Flat(columns[constant].type, rows[constant][value : value + 1])
            columns[constant] = Constant(one, 400)
            found = _run(signature, columns)
            assert (found is None) == (expected is None)
            assert found is None or expected is None or torch.equal(found, expected)


def test_groups_of_equal_values_stay_whole() -> None:
    pair = SideBySide()
    pair.both(
        "CREATE TABLE t AS SELECT i % 7 AS k, (i % 7) / 3.0::DOUBLE AS x FROM range(10007) r(i)"
    )
    calls = ("power(x, 0.3)", "cbrt(x)", "atan2(x, 0.3)", "exp(x)", "ln(x + 1)", "sin(x)", "tan(x)")
    pair.check(f"SELECT count(*) FROM (SELECT {call} FROM t GROUP BY 1)" for call in calls)
