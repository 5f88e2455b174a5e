"""Finding rows by their keys: an index beside each segment, so that nothing is scanned. Torch-free.

The index of a segment is its rows' keys as 64-bit words in ascending order. Where a whole number of
the key ascends with the rows anyway, the column is the index. Elsewhere the words are hashes, kept
with a large segment in fields beside its columns. Equal words are only a suspicion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as is_type
from numpy.typing import NDArray

from tensorsql.storage.columns.arrays import numbers_of, valid_flags, with_flags
from tensorsql.storage.columns.arrow_types import numpy_dtype
from tensorsql.storage.columns.types import Type
from tensorsql.storage.tables.catalog import TableSchema
from tensorsql.storage.tables.segment import MemorySource, Segment

KEPT_ROWS = 4096  # smaller segments are hashed anew when asked
FAN_OUT = 8  # a column that ascends is index enough if no value has more rows
BYTES = 1 << 20  # of text hashed at a time
PARTS = ("words", "rows")  # the two fields of an index

Words = NDArray[Any]
Positions = NDArray[np.int64]
Key = Mapping[str, Type]  # its columns


@dataclass(frozen=True, eq=False)
class KeyIndex:
    """Words in ascending order, and the row of each; None if that is its place."""

    words: Words
    rows: Positions | None

    def rows_at(self, places: Positions) -> Positions:
        """The rows of the words at these places."""
        return places if self.rows is None else self.rows[places]

    def repeated(self) -> Positions:
        """The rows whose word another row has, too."""
        same = self.words[1:] == self.words[:-1]
        edges = np.zeros(1, np.bool_)
        return self.rows_at(np.flatnonzero(np.append(edges, same) | np.append(same, edges)))


def keys_of(schema: TableSchema) -> list[tuple[str, dict[str, Type]]]:
    """The keys of a table: what they are called in messages, and their columns."""
    primary = [("PRIMARY KEY", schema.primary_key)] if schema.primary_key else []
    keys = []
    for kind, names in [*primary, *(("UNIQUE", names) for names in schema.unique)]:
        columns = [column for name in names if (column := schema.column(name))]
        keys.append((kind, {column.name: column.type for column in columns}))
    return keys


def with_key_indexes(schema: TableSchema, segment: Segment) -> Segment:
    """A segment in memory with the hashes of its keys in fields beside the columns."""
    if segment.rows < KEPT_ROWS or not isinstance(segment.source, MemorySource):
        return segment
    fields: dict[str, pa.Array] = {}
    for _, key in keys_of(schema):
        if ascending_column(segment, key) is None:
            names = [_field(key, part) for part in PARTS]
            index = index_of(segment, key, None)
            fields.update(zip(names, _padded(index, segment.rows), strict=True))
    if not fields:
        return segment
    source = segment.source
    return replace(segment, source=MemorySource({**source.arrays, **fields}, source.blocks))


def ascending_column(segment: Segment, key: Key) -> str | None:
    """A column of the key that is index enough in this segment."""
    for name in key:
        facts = segment.statistics[name]
        few = facts.max_fan_out is not None and facts.max_fan_out <= FAN_OUT
        whole = is_type.is_integer(segment.source.mapped(name).type)
        if few and whole and facts.sorted and facts.non_null:
            return name
    return None


def index_of(segment: Segment, key: Key, column: str | None) -> KeyIndex:
    """The index by one whole-number column, or by the hash of all columns, made once."""
    name = (*key, "", column or "")
    if name not in segment.keys:
        segment.keys[name] = (
            _by_hash(segment, key) if column is None else _by_column(segment, key, column)
        )
    index: KeyIndex = segment.keys[name]
    return index


def pairs(left: KeyIndex, right: KeyIndex) -> tuple[Positions, Positions]:
    """The rows of two indexes of one kind that have the same word."""
    if len(left.words) > len(right.words):
        second, first = pairs(right, left)
        return first, second
    wanted, places = _within(left.words, right.words)
    low = np.searchsorted(right.words, wanted, "left")
    counts = np.searchsorted(right.words, wanted, "right") - low
    hit = counts > 0
    counts, low, places = counts[hit], low[hit], places[hit]
    offsets = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return (
        left.rows_at(np.repeat(places, counts)),
        right.rows_at(np.repeat(low, counts) + offsets),
    )


def _within(words: Words, others: Words) -> tuple[Words, Positions]:
    """The words that can be among the others, in their dtype: NumPy would widen all of them."""
    places = np.arange(len(words))
    if not len(others):
        return others, places[:0]
    start = np.searchsorted(words, others[0], "left")
    stop = np.searchsorted(words, others[-1], "right")
    return words[start:stop].astype(others.dtype), places[start:stop]


def _by_column(segment: Segment, key: Key, column: str) -> KeyIndex:
    array = segment.source.array(column)
    values = numbers_of(array, numpy_dtype(array.type))
    if segment.statistics[column].sorted and segment.statistics[column].non_null:
        return KeyIndex(values, None)
    return _in_order(values, _complete(segment, key))


def _by_hash(segment: Segment, key: Key) -> KeyIndex:
    words, rows = (segment.source.field(_field(key, part)) for part in PARTS)
    if words is not None and rows is not None:
        count = segment.rows - words.null_count
        return KeyIndex(numbers_of(words, np.uint64)[:count], numbers_of(rows, np.int32)[:count])
    hashes = np.zeros(segment.rows, np.uint64)
    for name, type in key.items():
        hashes = _mixed(hashes * np.uint64(31) + _words(segment.source.array(name), type))
    return _in_order(hashes, _complete(segment, key))


def _in_order(words: Words, rows: Positions | None) -> KeyIndex:
    chosen = words if rows is None else words[rows]
    order = np.argsort(chosen, kind="stable")
    return KeyIndex(chosen[order], order if rows is None else rows[order])


def _complete(segment: Segment, key: Key) -> Positions | None:
    """The rows without a NULL in the key; None for all."""
    flags = [valid_flags(segment.source.array(name)) for name in key]
    nullable = [flag for flag in flags if flag is not None]
    return np.flatnonzero(np.logical_and.reduce(nullable)) if nullable else None


def _padded(index: KeyIndex, rows: int) -> tuple[pa.Array, pa.Array]:
    """The index as two fields of a segment, NULL behind its end."""
    count = len(index.words)
    words, places = np.zeros(rows, np.uint64), np.zeros(rows, np.int32)
    words[:count], places[:count] = index.words, index.rows_at(np.arange(count))
    flags = None if count == rows else np.arange(rows) < count
    return with_flags(words, flags), with_flags(places, None)


def _field(key: Key, part: str) -> str:
    return "\0".join(["", part, *key])  # no column can have this name


def _words(array: pa.Array, type: Type) -> Words:
    """A 64-bit word per value; equal for values that are equal as keys."""
    if isinstance(array, pa.DictionaryArray):
        entries = np.append(_words(array.dictionary, type), np.uint64(0))
        return entries[numbers_of(array.indices, np.int32)]
    if is_type.is_integer(array.type):
        return numbers_of(array, numpy_dtype(array.type)).astype(np.int64).view(np.uint64)
    if is_type.is_floating(array.type):
        values = numbers_of(array, numpy_dtype(array.type)).astype(np.float64) + 0.0  # -0.0 is 0.0
        return np.where(np.isnan(values), np.nan, values).view(np.uint64)
    if is_type.is_decimal(array.type):
        low, high = numbers_of(array, np.uint64).reshape(len(array), 2).T
        return low + _mixed(high)
    if is_type.is_large_string(array.type) or is_type.is_large_binary(array.type):
        return _text_words(array)
    return np.zeros(len(array), np.uint64)


def _text_words(array: pa.Array) -> Words:
    """Of each text the polynomial of its bytes, some texts at a time."""
    offsets, data = array.buffers()[1:]
    if not len(array) or data is None:
        return np.zeros(len(array), np.uint64)
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    bytes = np.frombuffer(data, np.uint8)
    cuts = np.searchsorted(ends, np.arange(ends[0], ends[-1], BYTES), "left")
    words = np.empty(len(array), np.uint64)
    for start, stop in pairwise(np.unique([*cuts.tolist(), 0, len(array)]).tolist()):
        words[start:stop] = _polynomials(bytes, ends[start : stop + 1])
    return words


def _polynomials(bytes: NDArray[np.uint8], ends: NDArray[np.int64]) -> Words:
    """From sums that run through all texts; what lies before a text is divided out again."""
    text = bytes[ends[0] : ends[-1]]
    places = ends - ends[0]
    terms = BYTE_WORDS[text] * _powers(len(text), BASE)
    sums = np.append(np.uint64(0), np.cumsum(terms, dtype=np.uint64))
    inner = (sums[places[1:]] - sums[places[:-1]]) * _powers(len(text) + 1, INVERSE)[places[:-1]]
    return _mixed(inner + np.diff(places).astype(np.uint64))


def _powers(count: int, base: int) -> Words:
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _mixed(words: Words) -> Words:
    """SplitMix64's finalizer: every bit of a word decides about every bit."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed


BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse
INVERSE = pow(BASE, -1, 1 << 64)
BYTE_WORDS = _mixed(np.arange(1, 257, dtype=np.uint64))
