"""Random columns of every type, as Arrow arrays with the SQL type they are read as."""

from __future__ import annotations

import datetime as dt
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from tensorsql.storage.columns import types
from tensorsql.storage.columns.arrow_types import arrow_type
from tensorsql.storage.columns.types import Type


def _integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    limit = 10**digits - 1
    return st.integers(-limit, limit).map(lambda n: Decimal(n).scaleb(-scale, _WIDE))


_WIDE = Context(prec=50)
_TEXT = st.one_of(st.sampled_from(["", "a", "b", "ß", "日本"]), st.text(max_size=5))
_FLOATS = st.floats(allow_nan=False, width=32)
_BOX = st.fixed_dictionaries(dict.fromkeys(("x0", "y0", "x1", "y1"), _FLOATS))
_MOMENT = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))

VALUES: dict[Type, st.SearchStrategy[Any]] = {
    types.BOOLEAN: st.booleans(),
    types.TINYINT: _integers(8),
    types.SMALLINT: _integers(16),
    types.INTEGER: st.one_of(st.integers(0, 3), _integers(32)),
    types.BIGINT: st.one_of(st.integers(-5, 5), _integers(64)),
    types.HUGEINT: st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal),
    types.decimal(9, 2): _decimals(9, 2),
    types.decimal(18, 0): _decimals(18, 0),
    types.decimal(38, 10): _decimals(38, 10),
    types.REAL: _FLOATS,
    types.DOUBLE: st.floats(allow_nan=False),
    types.DATE: st.dates(dt.date(1800, 1, 1), dt.date(2200, 1, 1)),
    types.TIME: st.times(),
    types.TIMESTAMP: _MOMENT,
    types.INTERVAL: st.tuples(_integers(32), _integers(32), _integers(50).map(lambda n: n * 1000)),
    types.VARCHAR: _TEXT,
    types.BLOB: st.binary(max_size=4),
    types.enum(("z", "a", "m")): st.sampled_from(["z", "a", "m"]),
    types.BOX: _BOX,
    types.list_of(types.INTEGER): st.lists(st.one_of(st.none(), _integers(32)), max_size=3),
    types.list_of(types.list_of(types.VARCHAR)): st.lists(st.lists(_TEXT, max_size=2), max_size=2),
    types.struct(("a", types.BIGINT), ("b", types.VARCHAR)): st.fixed_dictionaries(
        {"a": st.one_of(st.none(), _integers(64)), "b": _TEXT}
    ),
    types.tensor((2, 2)): st.lists(_FLOATS, min_size=4, max_size=4),
}


def columns(type: Type, max_size: int = 12) -> st.SearchStrategy[pa.Array]:
    """Arrow arrays of a type, with NULLs, empty ones and such of one row among them."""
    values = st.lists(st.one_of(st.none(), VALUES[type]), max_size=max_size)
    return values.map(lambda rows: array_of(rows, type))


def array_of(rows: list[Any], type: Type) -> pa.Array:
    """Python values as an array of the Arrow type of `type`."""
    target = arrow_type(type)
    if type.shape:
        storage = pa.array(rows, pa.list_(pa.float32(), int(np.prod(type.shape))))
        return pa.ExtensionArray.from_storage(target, storage)
    if pa.types.is_dictionary(target):
        return pa.array(rows, pa.large_string()).dictionary_encode().cast(target)
    return pa.array(rows, target)


def python(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values, in a form that compares."""
    if isinstance(array, pa.ChunkedArray):
        return [value for chunk in array.chunks for value in python(chunk)]
    if isinstance(array.type, pa.BaseExtensionType):
        return list(array.storage.to_pylist())
    return list(array.to_pylist())
