"""Key codes, orders and kernels: the properties every operator rests on."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import take_or_null
from tensorsql.operators.columns.literals import literal_column, to_python
from tensorsql.operators.keys.key_codes import fit, fit_dense, group_rows, key_codes
from tensorsql.operators.keys.ordering import Direction, order_codes, sort_rows
from tensorsql.storage.columns.column import Column, Constant, Dictionary, StringDictionary
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    HUGEINT,
    INTERVAL,
    VARCHAR,
    Type,
    list_of,
    struct,
)

NAN = float("nan")
SAMPLES: dict[str, tuple[Type, list[Any]]] = {
    "bigint": (BIGINT, [None, 0, 1, -1, 2**63 - 1, -(2**63)]),
    "boolean": (BOOLEAN, [None, True, False]),
    "double": (DOUBLE, [None, 0.0, -0.0, NAN, -NAN, float("inf"), -float("inf"), 1e-320, -2.5]),
    "hugeint": (HUGEINT, [None, 0, 2**64, 2**64 - 1, -1, -(2**100)]),
    "text": (VARCHAR, [None, "", "a", "ab", "é", "\U0001f600", "\uffff"]),
    "interval": (INTERVAL, [None, (1, 0, 0), (0, 30, 0), (0, 29, 86_400_000_000), (0, 0, -1)]),
    "list": (list_of(BIGINT), [None, (), (1,), (1, None), (1, 2), (None,)]),
    "struct": (struct(("a", BIGINT), ("b", VARCHAR)), [None, (1, "x"), (1, None), (None, "x")]),
}
MONTH, DAY = 30 * 86_400_000_000, 86_400_000_000


def comparable(value: Any) -> Any:
    """A value whose Python equality and order are SQL's."""
    if isinstance(value, float):
        return (value != value, 0.0 if value != value else value)
    if isinstance(value, str):
        return value.encode()
    return value


def plain(kind: Type, value: Any) -> Any:
    if value is not None and kind is INTERVAL:
        return value[0] * MONTH + value[1] * DAY + value[2]
    return comparable(value)


@st.composite
def keys(draw: Any) -> tuple[list[Type], list[list[Any]]]:
    names = draw(st.lists(st.sampled_from(sorted(SAMPLES)), min_size=1, max_size=4))
    rows = draw(st.integers(0, 12))
    cells = [
        draw(st.lists(st.sampled_from(SAMPLES[name][1]), min_size=rows, max_size=rows))
        for name in names
    ]
    return [SAMPLES[name][0] for name in names], cells


def columns_of(kinds: list[Type], cells: list[list[Any]]) -> list[Column]:
    return [literal_column(values, kind) for kind, values in zip(kinds, cells, strict=True)]


def rows_of(kinds: list[Type], cells: list[list[Any]]) -> list[tuple[Any, ...]]:
    plains = [[plain(kind, v) for v in values] for kind, values in zip(kinds, cells, strict=True)]
    return list(zip(*plains, strict=True))


@settings(max_examples=150, deadline=None)
@given(keys())
def test_codes_are_equal_where_rows_are(sample: Any) -> None:
    kinds, cells = sample
    rows, columns = rows_of(kinds, cells), columns_of(kinds, cells)
    codes = key_codes(columns).codes.tolist()
    for a, code in zip(rows, codes, strict=True):
        assert [code == other for other in codes] == [a == b for b in rows]
    never = key_codes(columns, "never").codes.tolist()
    assert [code < 0 for code in never] == [None in row for row in rows]
    groups = group_rows(columns)
    order = list(dict.fromkeys(rows))
    assert groups.numbers.tolist() == [order.index(row) for row in rows]
    assert groups.first.tolist() == [rows.index(row) for row in order]


@settings(max_examples=150, deadline=None)
@given(keys(), st.data())
def test_an_encoder_finds_the_same_keys_in_other_rows(sample: Any, data: Any) -> None:
    kinds, build = sample
    rows = data.draw(st.integers(0, 8))
    samples = dict(SAMPLES.values())
    probe = [
        data.draw(st.lists(st.sampled_from(samples[kind]), min_size=rows, max_size=rows))
        for kind in kinds
    ]
    equal = [data.draw(st.booleans()) for _ in kinds]
    for method in (fit, partial(fit_dense, limit=0), partial(fit_dense, limit=100)):
        encoder, fitted = method(columns_of(kinds, build), equal)
        found = encoder.encode(columns_of(kinds, probe)).tolist()
        own = fitted.codes.tolist()
        for row, code in zip(rows_of(kinds, probe), found, strict=True):
            matches = [other == row and _may(row, equal) for other in rows_of(kinds, build)]
            assert [code >= 0 and code == other for other in own] == matches


def _may(row: tuple[Any, ...], equal: list[bool]) -> bool:
    return all(value is not None or null for value, null in zip(row, equal, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["bigint", "double", "hugeint", "text", "interval"]), st.data())
def test_order(name: str, data: Any) -> None:
    kind, samples = SAMPLES[name]
    values = data.draw(st.lists(st.sampled_from(samples), max_size=12))
    descending, nulls_first = data.draw(st.booleans()), data.draw(st.booleans())
    codes = order_codes([literal_column(values, kind)], [Direction(descending, nulls_first)])
    order = sort_rows(codes).tolist()
    assert sorted(order) == list(range(len(values)))
    sign = -1 if descending else 1
    distinct = sorted({plain(kind, v) for v in values if v is not None})
    ranks = [
        (nulls_first != (v is not None), 0) if v is None else
        (not nulls_first and False, sign * distinct.index(plain(kind, v))) for v in values
    ]  # fmt: skip
    nulls = [place for place in order if values[place] is None]
    rest = [place for place in order if values[place] is not None]
    assert order == (nulls + rest if nulls_first else rest + nulls)
    assert nulls == sorted(nulls)
    assert rest == sorted(rest, key=lambda place: (ranks[place][1], place))


def test_dictionaries_compare_by_entry() -> None:
    import pyarrow as pa

    entries = pa.array(["b", "a", "b"], pa.large_string())
    first = Dictionary(
        VARCHAR, torch.tensor([0, 1, 2], dtype=torch.int32), StringDictionary(entries, unique=False)
    )
    other = StringDictionary(pa.array(["a", "c"], pa.large_string()), sorted=True)
    second = Dictionary(VARCHAR, torch.tensor([1, 0], dtype=torch.int32), other)
    assert key_codes([first]).codes.tolist()[0] == key_codes([first]).codes.tolist()[2]
    both = concat([first, second, literal_column(["c", None], VARCHAR)])
    assert to_python(both) == ["b", "a", "b", "c", "a", "c", None]
    assert group_rows([both]).numbers.tolist() == [0, 1, 0, 2, 1, 2, 3]
    encoder, fitted = fit([first], [False])
    assert encoder.encode([second]).tolist() == [encoder.size, fitted.codes.tolist()[1]]


def test_columns_with_missing_rows() -> None:
    rows = torch.tensor([1, -1, 0])
    for kind, values in SAMPLES.values():
        column = literal_column(values[1:3], kind)
        taken = take_or_null(column, rows)
        assert repr(to_python(taken)) == repr([values[2], None, values[1]])
    one = take_or_null(Constant(literal_column([5], BIGINT), 2), rows)
    assert to_python(one) == [5, None, 5]


def test_float_bits_round_trip() -> None:
    values = torch.tensor([-float("inf"), -1.5, 0.0, 1e-320, 2.0, float("inf"), NAN])
    bits = kernels.float_bits(values.double())
    assert bits.tolist() == sorted(bits.tolist())
    assert repr(kernels.bits_to_float(bits).tolist()) == repr(values.double().tolist())
