"""What is proven of stored columns at a snapshot. Free of torch.

A stale fact is a wrong answer, a stale estimate only a slow one: estimates are another type, in
`planner/analysis/estimates.py`, and the two never mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """Facts of one stored column at one snapshot, kept at load. None or False = not known.

    `minimum` and `maximum` are physical values (scaled integers, days, microseconds, str for text;
    floats leave NaN out and set `has_nan`). Deletions keep every fact but `sorted`, `unique` stay
    true and bounds stay valid, only no longer tight; `dense` (values are min … max without gaps or
    repeats, at sorted positions) is lost.
    """

    minimum: Any = None
    maximum: Any = None
    non_null: bool = False
    has_nan: bool = True
    sorted: bool = False
    unique: bool = False
    dense: bool = False
    max_fan_out: int | None = None  # the most rows that share one value
    distinct: int | None = None  # an estimate: exact at load, drifts with changes
    dictionary: bool = False  # text stored as codes
