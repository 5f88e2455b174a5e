"""Compare two answers of one query: exact except for the last bits of doubles."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import exp

Row = tuple[Any, ...]
TOLERANCE = 1e-9


def difference(expected: Sequence[Row], actual: Sequence[Row], order: Sequence[int] = ()) -> str:
    """The first difference in words, or nothing when the answers agree.

    Rows agree as bags; of their sequence only the columns in `order` (what ORDER BY states) count.
    Decimals agree to the digit, doubles within 1e-9 relative, and types must be the same.
    """
    if len(expected) != len(actual):
        return f"expected {len(expected)} rows, got {len(actual)}"
    for number, (left, right) in enumerate(zip(expected, actual, strict=True), start=1):
        for column in order:
            if not same(left[column], right[column]):
                return f"row {number}: expected {left}, got {right}"
    return _bag_difference(expected, actual)


def same(left: Any, right: Any) -> bool:
    """Whether two values agree as `difference` says; NULL agrees with NULL and NaN with NaN."""
    if isinstance(left, float) and isinstance(right, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return math.isclose(left, right, rel_tol=TOLERANCE)
    return bool(_exact(left) == _exact(right))


def order_columns(sql: str, names: Sequence[str]) -> list[int]:
    """The positions of the output columns that the outermost ORDER BY names."""
    clause = sqlglot.parse_one(sql, dialect="duckdb").args.get("order")
    keys = [ordered.this for ordered in clause.expressions] if clause else []
    folded = [name.lower() for name in names]
    return [_position(key, folded) for key in keys]


def _position(key: exp.Expression, names: list[str]) -> int:
    if isinstance(key, exp.Literal):
        return int(key.this) - 1
    return names.index(key.name.lower())


def _bag_difference(expected: Sequence[Row], actual: Sequence[Row]) -> str:
    """Match rows by their exact columns first: few then remain to compare double by double."""
    unmatched: defaultdict[Row, list[Row]] = defaultdict(list)
    for row in sorted(expected, key=_doubles):
        unmatched[_key(row)].append(row)
    for row in sorted(actual, key=_doubles):
        candidates = unmatched[_key(row)]
        place = next((n for n, other in enumerate(candidates) if _same_rows(other, row)), None)
        if place is None:
            return f"unexpected row {row}; expected one of {candidates[:3] or expected[:3]}"
        candidates.pop(place)
    return ""


def _same_rows(left: Row, right: Row) -> bool:
    return len(left) == len(right) and all(map(same, left, right))


def _key(row: Row) -> Row:
    return tuple(float if isinstance(value, float) else _exact(value) for value in row)


def _doubles(row: Row) -> list[float]:
    doubles = [value for value in row if isinstance(value, float)]
    return [math.inf if math.isnan(value) else value for value in doubles]


def _exact(value: Any) -> Any:
    """A hashable form in which 1, 1.0, 1.00 and TRUE all differ."""
    if isinstance(value, list | tuple):
        return tuple(_exact(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, _exact(item)) for name, item in value.items())
    return (type(value), str(value)) if isinstance(value, Decimal) else (type(value), value)
