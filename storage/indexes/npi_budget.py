"""How fine an NPI is: the options of CREATE INDEX, or what fits a share of full storage.

The published rule (largest power of two P ≤ rows / batch whose ids fit, then the largest MAI that
fits the rest), counting all bytes: bit planes of the ids, bounds of the partitions, MAI entries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensorsql.errors import BindError, nearest, shown

DEFAULT_BUDGET = 0.2
VALUE_BYTES = 4  # an activation, a bound
MAI_BYTES = 8  # row and activation
MOST_PARTITIONS = 2**15


@dataclass(frozen=True)
class Configuration:
    """Partitions per neuron and the share of rows with exact values."""

    partitions: int
    ratio: float


def check_options(options: Mapping[str, Any]) -> None:
    """BindError for an option NPI does not have or a value out of its range."""
    known = ("partitions", "ratio", "budget", "image")
    for name in options:
        if name not in known:
            raise BindError(f'an NPI index has no option "{name}"{nearest(name, known)}')
    if "budget" in options and ("partitions" in options or "ratio" in options):
        raise BindError("give an NPI index a budget, or partitions and ratio, not both")
    _number(options, "ratio", 0, 1)
    if _number(options, "budget", 0, math.inf) == 0:
        raise BindError("the budget of an NPI index is a share of full storage above 0")
    if (count := _number(options, "partitions", 1, MOST_PARTITIONS)) is not None and count % 1:
        raise BindError(f"the partitions of an NPI index are a whole number, not {count:g}")


def _number(options: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    if name not in options:
        return None
    try:
        value = float(options[name])
    except (TypeError, ValueError):
        value = math.nan
    if not low <= value <= high:
        raise BindError(
            f"{name} of an NPI index is a number from {low:g} to {high:g}, "
            f"not {shown(options[name])}"
        )
    return value


def configure(options: Mapping[str, Any], rows: int, batch: int) -> Configuration:
    """The options' configuration, else the best for the budget (a fifth of full storage)."""
    if "partitions" in options or "ratio" in options:
        fallback = fit(DEFAULT_BUDGET, rows, batch).partitions
        return Configuration(
            int(options.get("partitions", fallback)), float(options.get("ratio", 0.0))
        )
    return fit(float(options.get("budget", DEFAULT_BUDGET)), rows, batch)


def fit(budget: float, rows: int, batch: int) -> Configuration:
    """Counted per neuron; at least two partitions, since one bounds nothing."""
    available = budget * rows * VALUE_BYTES
    partitions = 2
    while partitions * 2 <= min(rows // batch, MOST_PARTITIONS) and (
        partition_bytes(rows, partitions * 2) <= available
    ):
        partitions *= 2
    rest = available - partition_bytes(rows, partitions)
    ratio = max(0.0, min(1.0, rest / MAI_BYTES / rows)) if rows else 0.0
    entries = math.floor(ratio * rows)
    return Configuration(partitions, entries / rows if rows else 0.0)


def partition_bytes(rows: int, partitions: int) -> float:
    """Bytes of one neuron's ids and bounds."""
    bits = max(1, math.ceil(math.log2(partitions)))
    return bits * math.ceil(rows / 8) + 2 * VALUE_BYTES * partitions
