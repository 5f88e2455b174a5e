"""How fine an NPI is: the options of CREATE INDEX, or what fits a share of full storage.

The published rule (largest power of two P ≤ rows / batch whose ids fit, then the largest MAI that
fits the rest), counting all bytes: bit planes of the ids, bounds of the partitions, MAI entries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensorsql.errors import BindError
from tensorsql.storage.formats.options import option_fields, share, text, whole

DEFAULT_BUDGET = 0.2
VALUE_BYTES = 4  # an activation, a bound
MAI_BYTES = 8  # row and activation
MOST_PARTITIONS = 2**15


@dataclass(frozen=True)
class Configuration:
    """Partitions per neuron and the share of rows with exact values."""

    partitions: int
    ratio: float


OPTIONS = {
    "budget": share("budget"),
    "partitions": whole("partitions", 1, MOST_PARTITIONS),
    "ratio": share("ratio", may_be_zero=True),
    "image": text("image"),
}


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The WITH list, checked; BindError for an option NPI does not have or a value out of range."""
    checked = option_fields("an NPI index", options, OPTIONS)
    if "budget" in checked and ("partitions" in checked or "ratio" in checked):
        raise BindError("give an NPI index a budget, or partitions and ratio, not both")
    return checked


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
