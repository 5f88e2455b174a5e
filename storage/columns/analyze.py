"""Column facts, measured at load on the physical array. Torch-free.

What would be expensive to prove stays unknown; only `distinct` may then be an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Context
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_type
from numpy.typing import NDArray

from tensorsql.storage.columns.arrays import numbers_of, valid_flags
from tensorsql.storage.columns.arrow_types import numpy_dtype
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import Kind, Type

Numbers = NDArray[Any]
SAMPLE = 8192
COUNTED_DOMAIN = 65536  # integer ranges up to this and twice the rows are counted exactly
EXACT = Context(prec=80)


def analyze(array: pa.Array, type: Type) -> ColumnStatistics:
    """Facts of one physical array."""
    nulls = array.null_count
    if len(array) == nulls:
        return ColumnStatistics(
            non_null=nulls == 0,
            has_nan=False,
            sorted=nulls == 0,
            unique=nulls <= 1,
            max_fan_out=nulls,
            distinct=0,
        )
    facts = ColumnStatistics(non_null=nulls == 0, has_nan=type.is_float)
    if isinstance(array, pa.DictionaryArray):
        return _dictionary(array, type, facts)
    if type.is_text:
        return _text(array, facts)
    if type.is_wide:
        return _wide(array, type, facts)
    if is_type.is_integer(array.type):
        return _integers(array, type, facts)
    return _floats(array, facts) if type.is_float else facts


def merge(parts: Sequence[ColumnStatistics]) -> ColumnStatistics:
    """Facts of the rows of all parts in order; no parts give those of an empty column."""
    filled = [part for part in parts if part.distinct != 0 or not part.non_null]
    if not filled:
        return parts[0] if parts else analyze(pa.array([], pa.int8()), Type(Kind.TINYINT))
    if len(filled) == 1:
        return filled[0]
    return _merge(filled)


def without_rows(facts: ColumnStatistics) -> ColumnStatistics:
    """What still holds after some rows were deleted."""
    return replace(facts, dense=False)


def _merge(parts: Sequence[ColumnStatistics]) -> ColumnStatistics:
    bounded = all(part.minimum is not None for part in parts)
    pairs = list(pairwise(parts))
    ascending = bounded and all(a.maximum < b.minimum for a, b in pairs)
    ordered = bounded and all(a.maximum <= b.minimum for a, b in pairs)
    apart = ascending or (bounded and _disjoint(parts))
    fan_outs = [part.max_fan_out for part in parts]
    known_fan_outs = [fan_out for fan_out in fan_outs if fan_out is not None]
    complete = len(known_fan_outs) == len(parts)
    counts = [part.distinct for part in parts if part.distinct is not None] or [0]
    estimate = sum(counts) if apart else max(counts)
    non_null = all(part.non_null for part in parts)
    # rows that are NULL share NULL across parts however far apart the values lie
    together = max if apart and non_null else sum
    return ColumnStatistics(
        minimum=min(part.minimum for part in parts) if bounded else None,
        maximum=max(part.maximum for part in parts) if bounded else None,
        non_null=non_null,
        has_nan=any(part.has_nan for part in parts),
        sorted=ordered and all(part.sorted for part in parts),
        unique=apart and non_null and all(part.unique for part in parts),
        dense=ascending and all(part.dense for part in parts) and _adjacent(pairs),
        max_fan_out=together(known_fan_outs) if complete else None,
        distinct=estimate if any(part.distinct is not None for part in parts) else None,
        dictionary=all(part.dictionary for part in parts),
    )


def _disjoint(parts: Sequence[ColumnStatistics]) -> bool:
    ordered = sorted(parts, key=lambda part: part.minimum)
    return all(a.maximum < b.minimum for a, b in pairwise(ordered))


def _adjacent(pairs: Sequence[tuple[ColumnStatistics, ColumnStatistics]]) -> bool:
    return all(a.maximum + 1 == b.minimum for a, b in pairs)


def _integers(array: pa.Array, type: Type, facts: ColumnStatistics) -> ColumnStatistics:
    values = numbers_of(array, numpy_dtype(array.type))
    flags = valid_flags(array)
    present = values if flags is None else values[flags]
    low, high = int(present.min()), int(present.max())
    if type.kind is Kind.BOOLEAN:
        facts = replace(facts, minimum=bool(low), maximum=bool(high))
    else:
        facts = replace(facts, minimum=low, maximum=high)
    if flags is None and _ascending(values):
        return _runs(values, replace(facts, sorted=True), high - low)
    if high - low <= max(2 * len(present), COUNTED_DOMAIN):
        shifted = present.astype(np.int64) - low
        return _counted(np.bincount(shifted), array.null_count, facts)
    return replace(facts, distinct=_estimate(present))


def _floats(array: pa.Array, facts: ColumnStatistics) -> ColumnStatistics:
    values = numbers_of(array, numpy_dtype(array.type))
    flags = valid_flags(array)
    present = values if flags is None else values[flags]
    has_nan = bool(np.isnan(present).any())
    numbers = present[~np.isnan(present)] if has_nan else present
    facts = replace(facts, has_nan=has_nan, distinct=_estimate(present))
    if not len(numbers):
        return facts
    facts = replace(facts, minimum=float(numbers.min()), maximum=float(numbers.max()))
    if flags is None and not has_nan and _ascending(values):
        return _runs(values, replace(facts, sorted=True), math.inf)
    return facts


def _runs(values: Numbers, facts: ColumnStatistics, span: float) -> ColumnStatistics:
    starts = np.flatnonzero(values[1:] != values[:-1]) + 1
    edges = np.concatenate([[0], starts, [len(values)]])
    distinct = len(edges) - 1
    unique = distinct == len(values)
    return replace(
        facts,
        unique=unique,
        dense=unique and span + 1 == len(values),
        max_fan_out=int(np.diff(edges).max()),
        distinct=distinct,
    )


def _counted(counts: Numbers, nulls: int, facts: ColumnStatistics) -> ColumnStatistics:
    most = int(counts.max())
    return replace(
        facts,
        unique=most == 1 and nulls <= 1,
        max_fan_out=max(most, nulls),
        distinct=int(np.count_nonzero(counts)),
    )


def _dictionary(array: pa.DictionaryArray, type: Type, facts: ColumnStatistics) -> ColumnStatistics:
    codes = numbers_of(array.indices, np.int32)
    flags = valid_flags(array.indices)
    present = codes if flags is None else codes[flags]
    facts = replace(_counted(np.bincount(present), array.null_count, facts), dictionary=True)
    if type.kind is Kind.ENUM:
        return facts
    low, high = array.dictionary[int(present.min())], array.dictionary[int(present.max())]
    ordered = flags is None and _ascending(codes)
    return replace(facts, minimum=low.as_py(), maximum=high.as_py(), sorted=ordered)


def _text(array: pa.Array, facts: ColumnStatistics) -> ColumnStatistics:
    bounds = pc.min_max(array)
    chosen = array.take(pa.array(_positions(len(array)))).drop_null().dictionary_encode()
    counts = np.bincount(np.asarray(chosen.indices)) if len(chosen) else np.ones(1, np.int64)
    return replace(
        facts,
        minimum=bounds["min"].as_py(),
        maximum=bounds["max"].as_py(),
        distinct=_extrapolate(counts, len(array) - array.null_count),
    )


def _wide(array: pa.Array, type: Type, facts: ColumnStatistics) -> ColumnStatistics:
    bounds = pc.min_max(array)
    low, high = (
        int(bounds[end].as_py().scaleb(type.scale, context=EXACT)) for end in ("min", "max")
    )
    return replace(facts, minimum=low, maximum=high)


def _ascending(values: Numbers) -> bool:
    head = values[:SAMPLE]
    if not bool(np.all(head[1:] >= head[:-1])):
        return False
    return bool(np.all(values[1:] >= values[:-1]))


def _estimate(values: Numbers) -> int:
    sample = values[_positions(len(values))]
    return _extrapolate(np.unique(sample, return_counts=True)[1], len(values))


def _positions(count: int) -> Numbers:
    return np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64)


def _extrapolate(counts: Numbers, rows: int) -> int:
    """The estimator of Charikar et al. (2000): sqrt(rows / sample) for values seen once."""
    sampled = int(counts.sum())
    once = int((counts == 1).sum())
    if once == sampled:
        return rows
    return min(rows, round(math.sqrt(rows / sampled) * once) + len(counts) - once)
