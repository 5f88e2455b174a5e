"""Columns to and from Arrow, concatenated, analyzed: against Python lists."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pickle
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_values import VALUES, array_of, columns, python
from torch import Tensor

from tensorsql.errors import ConversionError, UnsupportedError
from tensorsql.storage.columns import types
from tensorsql.storage.columns.analyze import analyze, merge
from tensorsql.storage.columns.arrow import from_arrow, to_arrow
from tensorsql.storage.columns.arrow_types import arrow_type, type_of_arrow
from tensorsql.storage.columns.changes import to_device, with_nulls
from tensorsql.storage.columns.column import (
    Bytes,
    Constant,
    Dictionary,
    Flat,
    Wide,
    slice_column,
    take,
)
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.physical import physical
from tensorsql.storage.columns.types import Type

SETTINGS = settings(max_examples=10, deadline=None)
MAP = pa.map_(pa.string(), pa.int8())
PAIRS = pa.list_(pa.list_(pa.int8(), 2), 1)
each_type = pytest.mark.parametrize("type", VALUES, ids=str)


@each_type
@given(data=st.data())
@SETTINGS
def test_round_trip(type: Type, data: st.DataObject) -> None:
    array = data.draw(columns(type))
    for stored in (False, True):
        column = from_arrow(array, type, stored)
        back = to_arrow(column)
        back.validate(full=True)
        assert back.type == arrow_type(type)
        assert python(back) == python(array)
        half = len(array) // 2
        assert python(to_arrow(slice_column(column, half, len(array)))) == python(array)[half:]
        assert python(to_arrow(from_arrow(array.slice(half), type, stored))) == python(array)[half:]


@each_type
@given(data=st.data())
@SETTINGS
def test_concat_and_take(type: Type, data: st.DataObject) -> None:
    parts = data.draw(st.lists(columns(type, 6), min_size=1, max_size=3))
    expected = [value for part in parts for value in python(part)]
    stored = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    joined = concat([from_arrow(p, type, s) for p, s in zip(parts, stored, strict=True)])
    assert python(to_arrow(joined)) == expected
    chunked = from_arrow(pa.chunked_array(parts), type, stored=True)
    assert python(to_arrow(chunked)) == expected
    if expected:
        rows = data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=5))
        taken = take(joined, torch.tensor(rows, dtype=torch.int64))
        assert python(to_arrow(taken)) == [expected[row] for row in rows]


@each_type
@given(data=st.data())
@SETTINGS
def test_nulls_and_pickles(type: Type, data: st.DataObject) -> None:
    """NULLs hide what is below, and a pickle holds the rows of a slice."""
    array = data.draw(columns(type))
    column = from_arrow(array, type, data.draw(st.booleans()))
    missing = data.draw(st.lists(st.booleans(), min_size=len(array), max_size=len(array)))
    nulled = with_nulls(column, torch.tensor(missing, dtype=torch.bool))
    pairs = zip(python(array), missing, strict=True)
    assert python(to_arrow(nulled)) == [None if hidden else value for value, hidden in pairs]
    half = len(array) // 2
    part = slice_column(nulled, half, len(array))
    assert python(to_arrow(pickle.loads(pickle.dumps(part)))) == python(to_arrow(part))
    moved = to_device(part, torch.device("meta"))
    assert len(moved) == len(part) and all(each.is_meta for each in tensors(moved))


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a column, found without asking it for its parts."""
    if isinstance(value, Tensor):
        return [value]
    if dataclasses.is_dataclass(value):
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    return [found for each in value for found in tensors(each)] if isinstance(value, tuple) else []


def test_a_pickle_is_no_larger_than_its_rows() -> None:
    """Not even where the tensors are views of millions of rows."""
    text = pa.array([f"text {number}" for number in range(100_000)], pa.large_string())
    for array in (text, pa.array(range(100_000)), pa.array([[1, 2]] * 100_000)):
        column = slice_column(from_arrow(array), 50_000, 50_010)
        assert len(pickle.dumps(column)) < 4000
        back = pickle.loads(pickle.dumps(column))
        assert to_arrow(back).to_pylist() == array[50_000:50_010].to_pylist()


@pytest.mark.parametrize(
    ("array", "type", "expected"),
    [
        (pa.array([1, None], pa.uint8()), "SMALLINT", [1, None]),
        (pa.array([2**64 - 1], pa.uint64()), "HUGEINT", [Decimal(2**64 - 1)]),
        (pa.array([np.float16(1.5)]), "FLOAT", [1.5]),
        (pa.array([Decimal("1.5")], pa.decimal256(40 - 5, 2)), "DECIMAL(35,2)", [Decimal("1.50")]),
        (pa.array([dt.date(2020, 2, 29)], pa.date64()), "DATE", [dt.date(2020, 2, 29)]),
        (pa.array([dt.time(1, 2)], pa.time32("s")), "TIME", [dt.time(1, 2)]),
        (pa.array(["a", None], pa.string_view()), "VARCHAR", ["a", None]),
        (pa.array(["b", "a", None]).dictionary_encode(), "VARCHAR", ["b", "a", None]),
        (pa.array([[("k", 1)]], MAP), None, [[{"key": "k", "value": 1}]]),
        (pa.array([[[1, 2]], None], PAIRS), "TENSOR(1, 2)", [[1, 2], None]),
        (pa.nulls(2), "NULL", [None, None]),
    ],
)  # fmt: skip
def test_other_arrow_types(array: pa.Array, type: str | None, expected: list[Any]) -> None:
    column = from_arrow(array)
    assert type is None or str(column.type) == type
    assert python(to_arrow(column)) == expected


def test_uuid() -> None:
    value = uuid.uuid4()
    storage = pa.array([value.bytes, None], pa.binary(16))
    column = from_arrow(pa.ExtensionArray.from_storage(pa.uuid(), storage))
    assert to_arrow(column).to_pylist() == [str(value), None]


def test_numbers_are_shared_not_copied() -> None:
    array = pa.array(np.arange(8)).slice(2)
    column = from_arrow(array)
    assert isinstance(column, Flat)
    assert column.values.data_ptr() == array.buffers()[1].address + 16


def test_values_under_null_are_zero() -> None:
    dirty = pa.Array.from_buffers(
        pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(np.array([7, 9]))]
    )
    column = from_arrow(dirty)
    assert isinstance(column, Flat) and column.values.tolist() == [7, 0]


def test_text_layout_follows_repetition() -> None:
    repeated = pa.array(["b", "a", None, "b"] * 50)
    column = from_arrow(repeated, stored=True)
    assert isinstance(column, Dictionary) and column.dictionary.sorted
    assert column.dictionary.entries.to_pylist() == ["a", "b"]
    unique = pa.array([f"name {number}" for number in range(5000)])
    assert isinstance(from_arrow(unique, stored=True), Bytes)


def test_wide_words() -> None:
    column = from_arrow(pa.array([Decimal(-1), Decimal(2**64)], pa.decimal128(38, 0)))
    assert isinstance(column, Wide)
    assert column.hi.tolist() == [-1, 1] and column.lo.tolist() == [-1, 0]


def test_constants_leave_as_arrays() -> None:
    for type, rows in (
        (types.INTEGER, [5]),
        (types.VARCHAR, [None]),
        (types.tensor((2,)), [[1, 2]]),
    ):
        column = Constant(from_arrow(array_of(rows, type), type), 3)
        assert python(to_arrow(column)) == rows * 3
        assert python(to_arrow(concat([column, column]))) == rows * 6


def test_conversion_errors() -> None:
    with pytest.raises(ConversionError, match="cannot convert int64 to TINYINT"):
        from_arrow(pa.array([300]), types.TINYINT)
    with pytest.raises(ConversionError, match="'q' is not a member of ENUM"):
        from_arrow(pa.array(["q"]), types.enum(("a",)))
    with pytest.raises(ConversionError, match="every row needs 3 numbers"):
        from_arrow(pa.array([[1.0, 2.0]]), types.tensor((3,)))
    with pytest.raises(UnsupportedError, match="cannot be read"):
        type_of_arrow(pa.dense_union([pa.field("a", pa.int8())]))


@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.integers(-4, 9)), max_size=6), min_size=1, max_size=3
    ),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_facts(parts: list[list[int | None]], ordered: bool) -> None:
    if ordered:
        flat = sorted(v for part in parts for v in part if v is not None)
        parts = [flat[: len(flat) // 2], flat[len(flat) // 2 :]]
    facts = merge(
        [analyze(physical(pa.array(p, pa.int64()), types.BIGINT), types.BIGINT) for p in parts]
    )
    rows = [value for part in parts for value in part]
    present = [value for value in rows if value is not None]
    most = max([rows.count(value) for value in rows], default=0)
    if facts.minimum is not None:
        assert facts.minimum <= min(present) and max(present) <= facts.maximum
    assert not facts.non_null or len(present) == len(rows)
    assert not facts.sorted or rows == sorted(present)
    assert not facts.unique or most <= 1
    assert not facts.dense or rows == list(range(rows[0], rows[0] + len(rows)))
    assert facts.max_fan_out is None or facts.max_fan_out >= most
    if len(parts) == 1:
        assert facts.distinct == len(set(present))
        assert facts.sorted == (rows == sorted(present) if len(present) == len(rows) else False)
        assert facts.unique == (most <= 1)


def test_facts_of_text_and_floats() -> None:
    text = analyze(physical(pa.array(["b", "a"] * 9), types.VARCHAR, True), types.VARCHAR)
    assert (text.minimum, text.maximum, text.distinct, text.dictionary) == ("a", "b", 2, True)
    numbers = pa.array([1.5, float("nan"), None])
    facts = analyze(physical(numbers, types.DOUBLE, True), types.DOUBLE)
    assert (facts.minimum, facts.maximum, facts.has_nan) == (1.5, 1.5, True)
    wide = pa.array([Decimal("-1.25"), Decimal(10**30)], pa.decimal128(38, 2))
    facts = analyze(physical(wide, types.decimal(38, 2)), types.decimal(38, 2))
    assert (facts.minimum, facts.maximum) == (-125, 10**32)
