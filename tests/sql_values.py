"""Values, comparisons, aggregates and orders as SQL has them: None is NULL, NaN the greatest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

import numpy as np


def compare(a: Any, b: Any) -> int:
    """-1, 0 or 1; neither is NULL."""
    a_nan, b_nan = (isinstance(v, float) and math.isnan(v) for v in (a, b))
    if a_nan or b_nan:
        return int(a_nan) - int(b_nan)
    return (a > b) - (a < b)


def divide(a: Any, b: Any) -> float:
    """DOUBLE division."""
    with np.errstate(all="ignore"):
        return float(np.float64(a) / np.float64(b))


def strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """NULL if any argument is."""
    return lambda *values: None if None in values else function(*values)


def truth_and(a: Any, b: Any) -> Any:
    """Three-valued AND."""
    return False if a is False or b is False else None if None in (a, b) else True


def truth_or(a: Any, b: Any) -> Any:
    """Three-valued OR."""
    return True if a is True or b is True else None if None in (a, b) else False


def truth_not(a: Any) -> Any:
    """Three-valued NOT."""
    return None if a is None else not a


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: compare(a, b) < 0,
    "<=": lambda a, b: compare(a, b) <= 0,
    ">": lambda a, b: compare(a, b) > 0,
    ">=": lambda a, b: compare(a, b) >= 0,
    "=": lambda a, b: compare(a, b) == 0,
    "<>": lambda a, b: compare(a, b) != 0,
}


def _extreme(values: list[Any], sign: int) -> Any:
    return max(values, key=cmp_to_key(lambda a, b: sign * compare(a, b)), default=None)


AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "SUM": lambda values: sum(values) if values else None,
    "AVG": lambda values: divide(sum(values), len(values)) if values else None,
    "MIN": lambda values: _extreme(values, -1),
    "MAX": lambda values: _extreme(values, 1),
}


@dataclass(frozen=True)
class Order:
    """ORDER BY one value."""

    descending: bool
    nulls_first: bool

    def sql(self) -> str:
        """DESC and NULLS FIRST where they hold."""
        return " DESC" * self.descending + " NULLS FIRST" * self.nulls_first

    def sorted(self, items: Sequence[Any], value: Callable[[Any], Any]) -> list[Any]:
        """Stable: ties keep their order."""

        def before(a: Any, b: Any) -> int:
            x, y = value(a), value(b)
            if x is None or y is None:
                return ((y is None) - (x is None)) * (1 if self.nulls_first else -1)
            return -compare(x, y) if self.descending else compare(x, y)

        return sorted(items, key=cmp_to_key(before))


def same(found: Sequence[Any], expected: Sequence[Any], ordered: bool) -> bool:
    """Equal rows; NaN equals itself."""
    if not ordered:
        found, expected = sorted(found), sorted(expected)
    return len(found) == len(expected) and all(
        _same_value(a, b)
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def _same_value(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return compare(a, b) == 0
