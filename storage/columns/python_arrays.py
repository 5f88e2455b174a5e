"""One Arrow column from a numpy array, a torch tensor or Python objects, without altering a value.

pyarrow guesses the type of Python objects by the first of them and bends the others to it; what
that would alter is widened here, or refused.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from tensorsql.errors import UnsupportedError
from tensorsql.storage.files.array_file import plain_booleans

MISSING = ("NoneType", "NaTType", "NAType")  # None, and what pandas has for it
NUMBERS = "biuf"  # numpy's kinds that a TENSOR can hold


def column_array(value: Any) -> pa.Array | pa.ChunkedArray:
    """A column of any kind; an Arrow array is itself."""
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value
    module = type(value).__module__.partition(".")[0]
    if module == "torch":
        return numpy_array(torch_values(value))
    if isinstance(value, np.ndarray):
        return numpy_array(value)
    if module == "pandas":
        return pandas_array(value)
    if hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__"):
        return pa.chunked_array(value)
    return object_array(list(value))


def torch_values(tensor: Any) -> np.ndarray:
    """A torch tensor as numpy; bfloat16, which numpy lacks, as the float32 that it equals."""
    try:
        plain = tensor.detach().cpu()
        if str(plain.dtype) == "torch.bfloat16":
            plain = plain.float()
        values: np.ndarray = plain.resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:  # sparse, quantised, on meta, 8-bit floats
        raise UnsupportedError(
            f"a torch tensor of {tensor.dtype}, {tensor.layout} cannot be read: {error}"
        ) from None
    return values


def numpy_array(values: np.ndarray) -> pa.Array:
    """A numpy array as one Arrow column: numbers, or TENSORs beyond one dimension.

    What a mask hides is NULL; of a TENSOR all numbers or none.
    """
    if not values.dtype.isnative and not values.dtype.names:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype == np.object_:
        return object_array(values.tolist())
    if values.ndim <= 1:
        try:
            return pa.array(values.reshape(-1))
        except pa.ArrowException:
            raise UnsupportedError(f"numpy arrays of {values.dtype} cannot be read") from None
    return _tensors(values)


def _tensors(values: np.ndarray) -> pa.Array:
    if values.dtype.kind not in NUMBERS or values.dtype.itemsize > 8:
        raise UnsupportedError(f"a TENSOR holds numbers, not {values.dtype}")
    flags = hidden_rows(values)
    contiguous = np.ascontiguousarray(np.ma.getdata(values))
    if contiguous.dtype == np.bool_:
        contiguous = plain_booleans(contiguous).view(np.uint8)
    numbers = pa.array(contiguous.reshape(-1))
    width = math.prod(values.shape[1:])
    nulls = None if flags is None else pa.array(flags)
    rows = pa.FixedSizeListArray.from_arrays(numbers, width, mask=nulls)
    return pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(numbers.type, values.shape[1:]), rows
    )


def hidden_rows(values: np.ndarray) -> np.ndarray | None:
    """Which rows a masked array hides, None if it hides nothing.

    UnsupportedError for a row that is hidden in part: numbers inside a row cannot be NULL.
    """
    hidden = (
        np.ma.getmaskarray(values).reshape(len(values), -1) if np.ma.is_masked(values) else None
    )
    if hidden is None:
        return None
    rows = np.asarray(hidden.all(axis=1))
    if (hidden.any(axis=1) != rows).any():
        row = int(np.flatnonzero(hidden.any(axis=1) != rows)[0])
        raise UnsupportedError(
            f"row {row} of a masked array is hidden in part, and a number inside a TENSOR or MASK "
            "cannot be NULL; fill it first, for example with .filled(0)"
        )
    return rows


def pandas_array(series: Any) -> pa.Array | pa.ChunkedArray:
    """A column of a pandas frame; NaN is NULL, as pandas has it."""
    if series.dtype == object:
        values = series.tolist()
        return object_array([None if isinstance(v, float) and v != v else v for v in values])
    if hasattr(series.dtype, "subtype") and hasattr(series, "sparse"):
        series = series.sparse.to_dense()
    return pa.array(series, from_pandas=True)


def object_array(values: Sequence[Any]) -> pa.Array:
    """Python objects as one column; None, NaT and NA are NULL."""
    kinds = set(map(type, values))
    if any(kind.__name__ in MISSING for kind in kinds):
        kinds = {kind for kind in kinds if kind.__name__ not in MISSING}
        values = [None if type(v).__name__ in MISSING else v for v in values]
    if not kinds:
        return pa.nulls(len(values))
    if all(issubclass(kind, np.ndarray) for kind in kinds):
        return _arrays(values)
    for check in _CHECKS:
        values = check(values, kinds)
    try:
        return pa.array(values)
    except OverflowError:
        return _integers(values)


def _arrays(values: Sequence[Any]) -> pa.Array:
    """Arrays of two and more dimensions are TENSORs; of one, lists."""
    present = [value for value in values if value is not None]
    alike = {(value.shape, value.dtype) for value in present}
    if present[0].ndim < 2 or len(alike) > 1:
        return pa.array(values)
    filled = np.stack([np.zeros_like(present[0]) if v is None else v for v in values])
    nulls = np.array([value is None for value in values]).reshape(-1, *[1] * present[0].ndim)
    return numpy_array(np.ma.masked_array(filled, np.broadcast_to(nulls, filled.shape)))


def _integers(values: Sequence[Any]) -> pa.Array:
    """Integers beyond 64 bits."""
    if not all(v is None or isinstance(v, int) for v in values):
        raise UnsupportedError("a column mixes integers beyond 64 bits with other values")
    present = [v for v in values if v is not None]
    if min(present) >= 0 and max(present) < 2**64:
        return pa.array(values, pa.uint64())
    if max(map(abs, present)) >= 10**38:
        raise UnsupportedError("integers beyond 38 digits cannot be read; give them as str")
    return pa.array(values, pa.decimal128(38, 0))


def _moments(values: Sequence[Any], kinds: set[type]) -> Sequence[Any]:
    """Dates beside datetimes are midnights; zones and nanoseconds are refused."""
    moments = [kind for kind in kinds if issubclass(kind, dt.datetime)]
    dates = [kind for kind in kinds if issubclass(kind, dt.date) and kind not in moments]
    timed = tuple(kind for kind in kinds if issubclass(kind, dt.datetime | dt.time))
    if timed:
        for value in values:
            if isinstance(value, timed) and value.tzinfo is not None:
                raise UnsupportedError(
                    f"{value!r} has a time zone, which a {type(value).__name__} column does not "
                    "keep; convert it first, for example .astimezone(timezone.utc)"
                    ".replace(tzinfo=None)"
                )
            if getattr(value, "nanosecond", 0):
                raise UnsupportedError(
                    f"{value!r} has nanoseconds, which TIMESTAMP does not keep; round it first"
                )
    if moments and dates:
        midnight = dt.time()
        return [
            dt.datetime.combine(v, midnight) if isinstance(v, dt.date) and type(v) in dates else v
            for v in values
        ]
    return values


def _texts(values: Sequence[Any], kinds: set[type]) -> Sequence[Any]:
    """str beside bytes would become bytes; a set has no order."""
    if any(issubclass(kind, str) for kind in kinds) and any(
        issubclass(kind, bytes | bytearray) for kind in kinds
    ):
        raise UnsupportedError("a column mixes str and bytes; make them one")
    if any(issubclass(kind, set | frozenset) for kind in kinds):
        raise UnsupportedError("a set has no order; give a sorted list")
    return values


def _nested(values: Sequence[Any], kinds: set[type]) -> Sequence[Any]:
    """The same inside lists and dictionaries, where what would be widened is refused."""
    inside: list[list[Any]] = []
    if any(issubclass(kind, list | tuple) for kind in kinds):
        inside.append(list(chain.from_iterable(v for v in values if isinstance(v, list | tuple))))
    if any(issubclass(kind, dict) for kind in kinds):
        rows = [value for value in values if isinstance(value, dict)]
        names = dict.fromkeys(name for row in rows for name in row)
        inside += [[row.get(name) for row in rows] for name in names]
    for elements in inside:
        inner = set(map(type, elements))
        if any(check(elements, inner) is not elements for check in _CHECKS):
            raise UnsupportedError("a list mixes dates and datetimes; make them one")
    return values


_CHECKS: tuple[Callable[[Sequence[Any], set[type]], Sequence[Any]], ...] = (
    _moments,
    _texts,
    _nested,
)
