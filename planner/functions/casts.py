"""The implicit-cast lattice: what converts to what unasked, at which cost, where two types meet.

The costs and meeting points are DuckDB's, so that overloads resolve as they do there.
"""

from __future__ import annotations

from tensorsql.storage.columns.types import (
    BIGINT,
    DOUBLE,
    HUGEINT,
    INTEGER,
    INTEGER_DIGITS,
    INTEGER_RANGES,
    INTEGERS,
    REAL,
    TIMESTAMP,
    VARCHAR,
    Kind,
    Type,
    decimal,
    list_of,
    struct,
)

_PREFERENCE = {
    Kind.BIGINT: 101,
    Kind.INTEGER: 102,
    Kind.HUGEINT: 103,
    Kind.DOUBLE: 104,
    Kind.DECIMAL: 105,
    Kind.TIMESTAMP: 120,
    Kind.VARCHAR: 149,
    Kind.LIST: 160,
    Kind.STRUCT: 160,
}
_WIDER: dict[Kind, tuple[Kind, ...]] = {
    Kind.DECIMAL: (Kind.REAL, Kind.DOUBLE),
    Kind.REAL: (Kind.DOUBLE,),
    Kind.DATE: (Kind.TIMESTAMP,),
    Kind.ENUM: (Kind.VARCHAR,),
} | {
    kind: (*INTEGERS[place + 1 :], Kind.DECIMAL, Kind.REAL, Kind.DOUBLE)
    for place, kind in enumerate(INTEGERS)
}
MAX_DIGITS = 38


def preference(kind: Kind) -> int:
    """How costly it is to convert to this kind; cheaper kinds win."""
    return _PREFERENCE.get(kind, 110)


def implicit_cost(source: Type, target: Type) -> int | None:
    """The cost of converting unasked, 0 for the same type, None where it takes a cast."""
    if source == target:
        return 0
    if source.kind is Kind.NULL or target.kind in _WIDER.get(source.kind, ()):
        return preference(target.kind)
    if source.kind is target.kind is Kind.LIST:
        assert source.child is not None
        assert target.child is not None
        return implicit_cost(source.child, target.child)
    if source.kind is target.kind is Kind.DECIMAL:
        return 5 if is_safe(source, target) else None
    return None


def as_decimal(source: Type) -> Type:
    """The DECIMAL that holds every value of an integer or BOOLEAN type; a DECIMAL itself."""
    if source.kind is Kind.DECIMAL:
        return source
    return decimal(INTEGER_DIGITS.get(source.kind, 1), 0)


def common_type(a: Type, b: Type, compare: bool = False) -> Type | None:
    """The type both convert to for one column; `compare`: to be equal; None if there is none.

    Equality lets VARCHAR give way to every type and BOOLEAN to every number.
    """
    if a == b or b.kind is Kind.NULL:
        return a
    if a.kind is Kind.NULL:
        return b
    if a.is_bounded and b.is_bounded:
        met = _common_number(a, b, compare)
        loose = compare or Kind.BOOLEAN not in (a.kind, b.kind)
        return met if loose or met.is_integer else None
    kinds = {a.kind, b.kind}
    if kinds == {Kind.DATE, Kind.TIMESTAMP}:
        return TIMESTAMP
    if Kind.VARCHAR in kinds:
        other = b if a.kind is Kind.VARCHAR else a
        if other.kind is Kind.ENUM:
            return VARCHAR
        return other if compare and can_cast(VARCHAR, other) else None
    if kinds == {Kind.ENUM}:
        return VARCHAR
    return _common_nested(a, b, compare) if len(kinds) == 1 else None


def _common_number(a: Type, b: Type, compare: bool) -> Type:
    kinds = {a.kind, b.kind}
    if Kind.DOUBLE in kinds:
        return DOUBLE
    if Kind.REAL in kinds:
        return REAL
    if Kind.DECIMAL in kinds:
        one_column = len(kinds) == 1 and not compare
        return _wholes_kept(a, b) if one_column else common_decimal(as_decimal(a), as_decimal(b))
    order = (Kind.BOOLEAN, *INTEGERS)
    return max(a, b, key=lambda each: order.index(each.kind))


def common_decimal(a: Type, b: Type) -> Type:
    """The DECIMAL with the digits of both before and after the point, cut at 38 digits."""
    scale = max(a.scale, b.scale)
    whole = max(a.precision - a.scale, b.precision - b.scale)
    return decimal(min(MAX_DIGITS, whole + scale), scale)


def _wholes_kept(a: Type, b: Type) -> Type:
    """As `common_decimal`; what 38 digits cannot hold is cut off behind the point."""
    whole = max(a.precision - a.scale, b.precision - b.scale)
    scale = min(max(a.scale, b.scale), MAX_DIGITS - whole)
    return decimal(whole + scale, scale)


def _common_nested(a: Type, b: Type, compare: bool) -> Type | None:
    if a.kind is Kind.LIST and a.child is not None and b.child is not None:
        child = common_type(a.child, b.child, compare)
        return None if child is None else list_of(child)
    if a.kind is Kind.STRUCT and len(a.fields) == len(b.fields):
        children = []
        for (name, left), (_, right) in zip(a.fields, b.fields, strict=True):
            met = common_type(left, right, compare)
            if met is None:
                return None
            children.append((name, met))
        return struct(*children)
    if a.kind in (Kind.MASK, Kind.TENSOR):
        return a
    return None


def is_safe(source: Type, target: Type) -> bool:
    """Whether every value of `source` converts to `target` without an error."""
    if source == target or source.kind is Kind.NULL or target.kind is Kind.VARCHAR:
        return True
    if source.kind is Kind.BOOLEAN:
        return target.is_bounded and not (
            target.kind is Kind.DECIMAL and target.precision == target.scale
        )
    if source.is_integer and target.is_integer:
        return INTEGERS.index(source.kind) <= INTEGERS.index(target.kind)
    if target.kind is Kind.DECIMAL and (source.is_integer or source.kind is Kind.DECIMAL):
        exact = as_decimal(source)
        carry = 1 if target.scale < exact.scale else 0
        return target.precision - target.scale >= exact.precision - exact.scale + carry
    if target.kind is Kind.BOOLEAN or target.is_float:
        return source.is_bounded and not (source.kind is Kind.DOUBLE and target.kind is Kind.REAL)
    if source.kind is target.kind is Kind.LIST:
        assert source.child is not None
        assert target.child is not None
        return is_safe(source.child, target.child)
    if source.kind is target.kind is Kind.STRUCT and len(source.fields) == len(target.fields):
        pairs = zip(source.fields, target.fields, strict=True)
        return all(is_safe(left, right) for (_, left), (_, right) in pairs)
    return (source.kind, target.kind) in _SAFE


_SAFE = frozenset(
    {
        (Kind.DATE, Kind.TIMESTAMP),
        (Kind.TIMESTAMP, Kind.DATE),
        (Kind.TIMESTAMP, Kind.TIME),
    }
)
# What CAST accepts beyond numbers among themselves and everything from and to VARCHAR.
_EXPLICIT = _SAFE | {(Kind.BLOB, Kind.VARCHAR), (Kind.ENUM, Kind.ENUM), (Kind.TIME, Kind.INTERVAL)}


def can_cast(source: Type, target: Type) -> bool:
    """Whether CAST between the types means anything."""
    if source == target or source.kind is Kind.NULL or (source.is_bounded and target.is_bounded):
        return True
    if source.is_text:
        return _has_text(target) and (source.kind, target.kind) != (Kind.UUID, Kind.BLOB)
    if target.kind is Kind.VARCHAR:
        return _has_text(source)
    if source.kind is target.kind is Kind.LIST:
        return source.child is None or target.child is None or can_cast(source.child, target.child)
    if source.kind is target.kind is Kind.STRUCT:
        pairs = zip(source.fields, target.fields, strict=False)
        same = len(source.fields) == len(target.fields)
        return same and all(can_cast(left, right) for (_, left), (_, right) in pairs)
    if source.kind is target.kind is Kind.TENSOR:
        return source.shape == target.shape
    if {source.kind, target.kind} == {Kind.LIST, Kind.TENSOR}:
        listed, tensor = sorted((source, target), key=lambda each: each.kind is Kind.TENSOR)
        return _has_depth(listed, len(tensor.shape))
    return (source.kind, target.kind) in _EXPLICIT


def _has_text(kind: Type) -> bool:
    """Whether values can be written as text and read back: all but masks."""
    inner = [field for _, field in kind.fields] + ([] if kind.child is None else [kind.child])
    return kind.kind is not Kind.MASK and all(map(_has_text, inner))


def is_any_mask(source: Type, target: Type) -> bool:
    """Whether the target is a MASK of no scale yet, which takes every mask."""
    return source.kind is target.kind is Kind.MASK and not target.scale


def _has_depth(listed: Type, depth: int) -> bool:
    """Whether a LIST holds numbers under so many lists; of an empty list nothing is known."""
    child = listed.child
    if depth == 0 or child is None or child.kind is Kind.NULL:
        return depth > 0
    return (
        _has_depth(child, depth - 1) if child.kind is Kind.LIST else depth == 1 and child.is_bounded
    )


def integer_type(value: int) -> Type | None:
    """The type of an integer literal: INTEGER, BIGINT or HUGEINT; None beyond."""
    for candidate, (low, high) in _NATURAL:
        if low <= value <= high:
            return candidate
    return None


_NATURAL = tuple((each, INTEGER_RANGES[each.kind]) for each in (INTEGER, BIGINT, HUGEINT))
