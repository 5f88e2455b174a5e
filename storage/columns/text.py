"""When and how text becomes a sorted dictionary with int32 codes. Torch-free."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SAMPLE = 8192
SMALL = 4096


def worth_encoding(distinct: int, rows: int) -> bool:
    """Whether a dictionary pays: each entry is used at least 8 times, or there are few."""
    return distinct <= max(rows // 8, SMALL)


def encode_text(text: pa.LargeStringArray) -> pa.Array:
    """A sorted dictionary array if values repeat enough, else the text as it is.

    A sample decides first, since encoding text that proves unique is the costliest part of a load.
    """
    rows = len(text)
    if rows > 4 * SAMPLE:
        sample = text.take(pa.array(np.linspace(0, rows - 1, SAMPLE).astype(np.int64)))
        if len(pc.unique(sample)) > SAMPLE // 2:
            return text
    encoded = text.dictionary_encode()
    if not worth_encoding(len(encoded.dictionary), rows - text.null_count):
        return text
    return sort_dictionary(encoded)


def sort_dictionary(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same text with sorted, unique, non-NULL and used entries, int32 codes, 0 under NULL."""
    entries = array.dictionary.cast(pa.large_string())
    present = _present(array, len(entries))
    used = entries.take(pa.array(present))
    unique = pc.unique(used.drop_null())
    ordered = unique.take(pc.sort_indices(unique))
    lookup = np.zeros(len(entries), np.int32)
    lookup[present] = pc.fill_null(pc.index_in(used, value_set=ordered), 0).to_numpy()
    null_entries = np.zeros(len(entries), np.bool_)
    null_entries[present] = np.asarray(used.is_null())
    codes = np.asarray(pc.fill_null(array.indices, 0))
    nulls = np.asarray(array.indices.is_null())
    if len(entries):
        nulls = nulls | null_entries[codes]
        codes = lookup[codes]
    codes = np.where(nulls, np.int32(0), codes.astype(np.int32))
    mask = nulls if nulls.any() else None
    return pa.DictionaryArray.from_arrays(code_array(codes, mask), ordered)


def code_array(codes: np.ndarray, nulls: np.ndarray | None) -> pa.Array:
    """int32 codes as Arrow; codes under NULL must be 0 already."""
    bits = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    values = np.ascontiguousarray(codes, np.int32)
    return pa.Array.from_buffers(pa.int32(), len(values), [bits, pa.py_buffer(values)])


def _present(array: pa.DictionaryArray, entries: int) -> np.ndarray:
    used = np.zeros(entries, np.bool_)
    codes = array.indices.drop_null() if array.indices.null_count else array.indices
    used[np.asarray(codes)] = True
    return np.flatnonzero(used)
