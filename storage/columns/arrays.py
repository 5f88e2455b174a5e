"""Arrow arrays as they are: in one piece, with memory of their own; their validity and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_type
from numpy.typing import NDArray

Numbers = NDArray[Any]


def one_array(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """All chunks as one array, copying only if there are several."""
    if isinstance(array, pa.ChunkedArray):
        array = _without_views(array)
    elif is_type.is_dictionary(array.type):
        array = _without_views(pa.chunked_array([array]))
    if isinstance(array, pa.Array):
        return array
    if array.num_chunks == 1:
        return array.chunk(0)
    if isinstance(array.type, pa.BaseExtensionType):
        storage = pa.chunked_array(
            [chunk.storage for chunk in array.chunks], array.type.storage_type
        )
        return array.type.wrap_array(one_array(storage))
    if is_type.is_dictionary(array.type):
        array = array.unify_dictionaries()
    elif is_type.is_string(array.type):
        array = array.cast(pa.large_string())  # int32 offsets could overflow
    elif is_type.is_binary(array.type):
        array = array.cast(pa.large_binary())
    combined = array.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _without_views(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary with plain text, where it has views, which Arrow cannot take from."""
    if not (is_type.is_dictionary(array.type) and is_type.is_string_view(array.type.value_type)):
        return array
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.large_string()))
        for chunk in array.chunks
    ]
    return pa.chunked_array(chunks, pa.dictionary(array.type.index_type, pa.large_string()))


def owned(array: pa.Array) -> pa.Array:
    """A copy that nobody writes to, as who made a numpy array that Arrow shares can."""
    return pa.concat_arrays([array, array.slice(0, 0)])


def valid_flags(array: pa.Array) -> NDArray[np.bool_] | None:
    """True per valid row, or None if every row is."""
    if array.null_count == 0:
        return None
    bitmap = array.buffers()[0]
    if bitmap is None or is_type.is_union(array.type):
        return np.array(pc.is_valid(array), dtype=bool)
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].view(np.bool_)


def with_flags(values: Numbers, flags: NDArray[np.bool_] | None) -> pa.Array:
    """An Arrow array over 1-D numbers, NULL and zero where a flag is False."""
    if flags is not None:
        values = np.where(flags, values, values.dtype.type(0))
    values = np.ascontiguousarray(values)
    buffers = [bitmap(flags), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def bitmap(flags: NDArray[np.bool_] | None) -> pa.Buffer | None:
    """Flags as an Arrow validity bitmap."""
    return None if flags is None else pa.py_buffer(np.packbits(flags, bitorder="little"))


def numbers_of(array: pa.Array, dtype: Any) -> Numbers:
    """The numbers of a fixed-width array as numpy, whatever lies under NULL included; no copy."""
    buffer = array.buffers()[1]
    width = array.type.bit_width // 8
    if buffer is None or len(array) == 0:
        return np.zeros(0, dtype)
    words = width // np.dtype(dtype).itemsize
    flat = np.frombuffer(buffer, dtype, len(array) * words, array.offset * width)
    return flat if words == 1 else flat.reshape(len(array), words)
