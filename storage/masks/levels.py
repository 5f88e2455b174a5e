"""Pixel values and thresholds: one rule for CP, mask comparisons and index bin edges.

A stored pixel k of a mask of scale s has the value k / s, correctly rounded to DOUBLE. It passes
`p >= t` if that value does, so that a level always meets its own quotient: byte 128 passes t =
128/255. Where the threshold is a REAL, or pixels are stored in less than DOUBLE, both sides are
rounded to the coarser type: 0.6 meets the float32 pixel nearest to 0.6. Free of torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tensorsql.errors import ConversionError

Level = int | float
Thresholds: TypeAlias = NDArray[np.floating[Any]]
TABULATED = 1 << 16  # levels whose values are held, so that a threshold is looked up
DEFAULT_SCALES = {"bool": 1, "uint8": 255, "uint16": 65535}


def default_scale(element: str) -> int | None:
    """The stored value that means 1.0 unless stated otherwise; None where it has to be stated."""
    if np.dtype(element).kind == "f":
        return 1
    return DEFAULT_SCALES.get(element)


def lower_level(value: Any, scale: int, element: str) -> Level:
    """The least stored level l such that `p >= value` is `k >= l`, for one threshold."""
    level: Level = lower_levels(np.array([float(value)]), scale, element).tolist()[0]
    return level


def upper_level(value: Any, scale: int, element: str) -> Level:
    """The largest stored level u such that `p <= value` is `k <= u`, for one threshold."""
    level: Level = upper_levels(np.array([float(value)]), scale, element).tolist()[0]
    return level


def lower_levels(thresholds: Thresholds, scale: int, element: str) -> np.ndarray:
    """The least levels at or above thresholds: float32 for REALs, else float64.

    One beyond every level where no pixel passes. NaN is greater than every number.
    """
    rule = _Rule.of(thresholds.dtype, scale, element)
    wanted = rule.rounded(thresholds)
    return wanted if rule.is_identity else rule.levels(rule.search(wanted, "left"))


def upper_levels(thresholds: Thresholds, scale: int, element: str) -> np.ndarray:
    """The largest levels at or below thresholds; -1 where no pixel passes."""
    rule = _Rule.of(thresholds.dtype, scale, element)
    wanted = rule.rounded(thresholds)
    return wanted if rule.is_identity else rule.levels(rule.search(wanted, "right") - 1)


@dataclass(frozen=True)
class _Rule:
    """How pixels compare. Levels are numbered in order: integers count, floats by their bits."""

    scale: int
    element: np.dtype[Any]
    type: np.dtype[Any]  # in which values and thresholds compare

    @staticmethod
    def of(thresholds: np.dtype[Any], scale: int, element: str) -> _Rule:
        kind = np.dtype(element)
        types = [thresholds, kind] if kind.kind == "f" else [thresholds]
        return _Rule(scale, kind, min(types, key=lambda each: each.itemsize))

    @property
    def is_identity(self) -> bool:
        """Whether a threshold, rounded, is the level."""
        return self.scale == 1 and self.element == self.type

    @property
    def count(self) -> int:
        """How many levels a pixel can have."""
        if self.element.kind != "f":
            return self.scale + 1
        return int(np.array(self.scale, self.element).view(f"i{self.element.itemsize}")) + 1

    def rounded(self, thresholds: Thresholds) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.where(np.isnan(thresholds), np.inf, thresholds).astype(self.type)

    def search(self, wanted: np.ndarray, side: Literal["left", "right"]) -> NDArray[np.int64]:
        """numpy's searchsorted over the values of all levels, which few levels are held for."""
        if self.count <= TABULATED:
            return np.searchsorted(_table(self), wanted, side)
        low, high = np.zeros(len(wanted), np.int64), np.full(len(wanted), self.count)
        while (undecided := low < high).any():
            middle = low + (high - low) // 2
            values = self.values(np.minimum(middle, self.count - 1))
            passes = values >= wanted if side == "left" else values > wanted
            low = np.where(undecided & ~passes, middle + 1, low)
            high = np.where(undecided & passes, middle, high)
        return low

    def levels(self, numbers: NDArray[np.int64]) -> np.ndarray:
        """The levels of numbers, which may be one before the first or one past the last."""
        if self.element.kind != "f":
            return numbers
        bits = np.maximum(numbers, 0).astype(f"i{self.element.itemsize}").view(self.element)
        return np.where(numbers < 0, self.element.type(-1), bits)

    def values(self, numbers: NDArray[np.int64]) -> np.ndarray:
        """What pixels of these levels are compared as."""
        with np.errstate(over="ignore"):
            return (self.levels(numbers).astype(np.float64) / self.scale).astype(self.type)


@lru_cache(maxsize=64)
def _table(rule: _Rule) -> np.ndarray:
    return rule.values(np.arange(rule.count))


def successor(level: Level, element: str) -> Level:
    """The least level above: a closed range [l, u] is the half-open [l, successor(u))."""
    if np.dtype(element).kind == "f":
        kind: Any = np.dtype(element).type
        return float(np.nextafter(kind(level), kind(np.inf)))
    return int(level) + 1


def bin_edges(bins: int, scale: int, element: str) -> np.ndarray:
    """Ascending distinct edges of the half-open value bins: 0, 1/bins, …, and beyond the maximum.

    Inner edges are the levels of i / bins, so that a threshold on one is exact.
    """
    inner = lower_levels(np.arange(1, bins) / bins, scale, element).tolist()
    last = successor(upper_level(1, scale, element), element)
    edges = sorted({lower_level(0, scale, element), *inner, last})
    return np.array(edges, dtype=np.float64 if np.dtype(element).kind == "f" else np.int64)


def check_pixels(pixels: np.ndarray, scale: int, name: str) -> None:
    """Refuse NaN and values outside 0 … scale, naming where they came from."""
    if pixels.size == 0 or pixels.dtype.kind == "b":
        return
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= scale:
        return
    if np.isnan(low) or np.isnan(high):
        raise ConversionError(f'mask values of "{name}" contain NaN; replace it before loading')
    outside = low if low < 0 else high
    raise ConversionError(
        f'mask value {outside} of "{name}" is outside 0 … {scale}; state the stored value '
        f"that means 1 with scale => …"
    )


def check_element(dtype: np.dtype[Any], scale: int | None, name: str) -> int:
    """The scale of masks stored in this dtype; refuses dtypes and scales without a meaning."""
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ConversionError(
            f'masks of "{name}" have dtype {dtype}; a number or boolean is needed'
        )
    chosen = default_scale(dtype.name) if scale is None else scale
    if chosen is None:
        raise ConversionError(
            f'masks of "{name}" have dtype {dtype}, which has no usual scale; state the stored '
            f"value that means 1 with scale => …"
        )
    if dtype.kind == "b" and chosen != 1:
        raise ConversionError(
            f'masks of "{name}" are booleans, of which TRUE means 1; a scale of {chosen} would'
            f" make it 1/{chosen}; leave the scale out"
        )
    return chosen
