"""Results as pandas frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tensorsql.errors import ConversionError
from tensorsql.result import DAYS_PER_MONTH, python_values
from tensorsql.storage.columns.arrays import numbers_of, one_array
from tensorsql.storage.columns.types import Kind, Type

if TYPE_CHECKING:
    import pandas as pd

MICROSECONDS_PER_DAY = 86_400_000_000


def data_frame(table: pa.Table, types: Sequence[Type]) -> pd.DataFrame:
    """The rows as a frame; `Cursor.df` says which dtypes its columns have."""
    import pandas as pd

    pairs = zip(table.columns, types, strict=True)
    columns = {place: _series(column, type) for place, (column, type) in enumerate(pairs)}
    frame = pd.DataFrame(columns)
    frame.columns = pd.Index(table.column_names)  # which may repeat
    return frame


def _series(column: pa.ChunkedArray, type: Type) -> Any:
    import pandas as pd

    match type.kind:
        case Kind.MASK | Kind.TENSOR:
            arrays = pd.Series([None] * len(column), dtype=object)
            for place, values in enumerate(python_values(column, type)):
                arrays.iat[place] = values
            return arrays
        case Kind.ENUM:
            return pd.Series(one_array(column).to_pandas())
        case Kind.INTERVAL:
            return pd.Series(pd.arrays.ArrowExtensionArray(_durations(column)))
        case Kind.HUGEINT:
            return pd.Series(pd.arrays.ArrowExtensionArray(_integers(column)))
        case Kind.DECIMAL if type.is_wide:
            return pd.Series(pd.arrays.ArrowExtensionArray(_wider(column)))
        case _:
            return pd.Series(pd.arrays.ArrowExtensionArray(column))


def _integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """HUGEINT as int64 if its values fit: Arrow's decimals have a mean of whole digits."""
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return _wider(column)


def _wider(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimals of room: a sum of two has a digit more, and Arrow's narrower ones end at 38."""
    return column.cast(pa.decimal256(column.type.precision, column.type.scale))


def _durations(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Intervals as durations, a month as 30 days."""
    array = one_array(column)
    words = numbers_of(array, np.int64).reshape(-1, 2)
    halves = np.ascontiguousarray(words[:, 0]).view(np.int32).reshape(-1, 2).astype(np.int64)
    days = halves[:, 0] * DAYS_PER_MONTH + halves[:, 1]
    microseconds = words[:, 1] // 1000
    if np.abs(days).max(initial=0) >= (2**62 - 1) // MICROSECONDS_PER_DAY:
        raise ConversionError("an INTERVAL is too long for pandas; fetch_arrow_table has it")
    nulls = np.asarray(array.is_null())
    durations = pa.array(days * MICROSECONDS_PER_DAY + microseconds, pa.int64(), mask=nulls)
    return pa.chunked_array([durations.cast(pa.duration("us"))])
