"""Pixel values and thresholds: one exact rule for CP, mask comparisons and index bin edges.

A stored pixel k of a mask of scale s has the value k / s. A threshold is a decimal: for integer
masks `p >= v` is `k >= ceil(v * s)` and `p <= v` is `k <= floor(v * s)`, exactly; for float masks v
* s is rounded to the mask's dtype. A DOUBLE counts as its shortest decimal text. Free of torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from tensorsql.errors import ConversionError

Level = int | float
DEFAULT_SCALES = {"bool": 1, "uint8": 255, "uint16": 65535}


def default_scale(element: str) -> int | None:
    """The stored value that means 1.0 unless stated otherwise; None where it has to be stated."""
    if np.dtype(element).kind == "f":
        return 1
    return DEFAULT_SCALES.get(element)


def exact(value: Any) -> Fraction | float:
    """The threshold as a fraction: a float by its shortest decimal text; inf and NaN stay."""
    if isinstance(value, float):
        return Fraction(repr(value)) if math.isfinite(value) else value
    return Fraction(value)


def lower_level(value: Any, scale: int, element: str) -> Level:
    """The smallest stored level l such that `p >= value` is `k >= l`."""
    return _level(value, scale, element, math.ceil)


def upper_level(value: Any, scale: int, element: str) -> Level:
    """The largest stored level u such that `p <= value` is `k <= u`."""
    return _level(value, scale, element, math.floor)


def _level(value: Any, scale: int, element: str, rounding: Callable[[Fraction], int]) -> Level:
    number = exact(value)
    is_float = np.dtype(element).kind == "f"
    if isinstance(number, float):
        # NaN is greater than every number, as in every other comparison.
        number = math.inf if math.isnan(number) else number
        if is_float:
            return number
        return scale + 1 if number > 0 else -1
    if is_float:
        return float(np.dtype(element).type(float(number * scale)))
    return min(max(rounding(number * scale), -1), scale + 1)


def successor(level: Level, element: str) -> Level:
    """The least level above: a closed range [l, u] is the half-open [l, successor(u))."""
    if np.dtype(element).kind == "f":
        kind: Any = np.dtype(element).type
        return float(np.nextafter(kind(level), kind(np.inf)))
    return int(level) + 1


def bin_edges(bins: int, scale: int, element: str) -> np.ndarray:
    """Ascending distinct edges of the half-open value bins: 0, 1/bins, …, and beyond the maximum.

    Inner edges are the levels of the decimals i / bins, so that a threshold on one is exact.
    """
    inner = {lower_level(Fraction(i, bins), scale, element) for i in range(1, bins)}
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
    found = low if low < 0 else high
    raise ConversionError(
        f'mask value {found} of "{name}" is outside 0 … {scale}; state the stored value '
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
    if chosen < 1:
        raise ConversionError(f"the scale of a mask must be a positive whole number, not {chosen}")
    return chosen
