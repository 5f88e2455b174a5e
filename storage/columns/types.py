"""SQL types: immutable values, free of torch.

`DECIMAL(p, s)` is a scaled integer (p ≤ 18: int64, beyond: a hi/lo pair). DATE is days, TIME and
TIMESTAMP are microseconds, since 1970-01-01. UUID is text with a checked form. `BOX` is four
doubles x0, y0, x1, y1: 0-based, half-open, pixel c is inside where x0 <= c < x1. `MASK(scale)` is a
2-D array of pixels whose value is stored / scale. `TENSOR(shape)` is float32 unless it says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from tensorsql.errors import shown

LARGEST_SCALE = (1 << 32) - 1  # of a MASK
LARGEST_TENSOR = (1 << 31) - 1  # numbers, which Arrow counts in 32 bits


class Kind(StrEnum):
    """The family of a type; a type of one kind may have parameters."""

    NULL = "NULL"
    BOOLEAN = "BOOLEAN"
    TINYINT = "TINYINT"
    SMALLINT = "SMALLINT"
    INTEGER = "INTEGER"
    BIGINT = "BIGINT"
    HUGEINT = "HUGEINT"
    DECIMAL = "DECIMAL"
    REAL = "FLOAT"
    DOUBLE = "DOUBLE"
    DATE = "DATE"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"
    INTERVAL = "INTERVAL"
    VARCHAR = "VARCHAR"
    BLOB = "BLOB"
    UUID = "UUID"
    ENUM = "ENUM"
    LIST = "LIST"
    STRUCT = "STRUCT"
    BOX = "BOX"
    MASK = "MASK"
    TENSOR = "TENSOR"


def _identifier(name: str) -> str:
    plain = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)
    return name if plain else '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Type:
    """A SQL type. Unused parameters keep their default, so that equality is by value."""

    kind: Kind
    precision: int = 0  # DECIMAL
    scale: int = 0  # DECIMAL: digits after the point; MASK: the stored value that means 1
    child: Type | None = None  # LIST
    fields: tuple[tuple[str, Type], ...] = ()  # STRUCT
    members: tuple[str, ...] = ()  # ENUM, in order
    shape: tuple[int, ...] = ()  # TENSOR, of one row; () = any
    element: str = field(default="")  # MASK, TENSOR: numpy dtype name of the stored values

    def __str__(self) -> str:
        match self.kind:
            case Kind.DECIMAL:
                return f"DECIMAL({self.precision},{self.scale})"
            case Kind.LIST:
                return f"{self.child}[]"
            case Kind.STRUCT:
                fields = (f"{_identifier(name)} {kind}" for name, kind in self.fields)
                return f"STRUCT({', '.join(fields)})"
            case Kind.ENUM:
                return f"ENUM({', '.join(map(shown, self.members))})"
            case Kind.MASK:
                return f"MASK({self.scale})" if self.scale else "MASK"
            case Kind.TENSOR if self.shape:
                return "TENSOR(" + ", ".join(map(str, self.shape)) + ")"
            case _:
                return str(self.kind.value)

    @property
    def is_integer(self) -> bool:
        """TINYINT … HUGEINT."""
        return self.kind in INTEGERS

    @property
    def is_float(self) -> bool:
        """REAL or DOUBLE."""
        return self.kind in (Kind.REAL, Kind.DOUBLE)

    @property
    def is_numeric(self) -> bool:
        """An integer, DECIMAL or float."""
        return self.is_integer or self.is_float or self.kind is Kind.DECIMAL

    @property
    def is_bounded(self) -> bool:
        """A number or a truth value, which count as 0 and 1."""
        return self.is_numeric or self.kind is Kind.BOOLEAN

    @property
    def is_text(self) -> bool:
        """Stored as UTF-8 bytes: VARCHAR, UUID or ENUM."""
        return self.kind in (Kind.VARCHAR, Kind.UUID, Kind.ENUM)

    @property
    def is_wide(self) -> bool:
        """Two 64-bit words a value: HUGEINT and DECIMAL beyond 18 digits."""
        return self.kind is Kind.HUGEINT or (self.kind is Kind.DECIMAL and self.precision > 18)

    @property
    def limits(self) -> tuple[int, int] | None:
        """The least and the greatest stored number of an integer or DECIMAL; None for others."""
        if self.kind is Kind.DECIMAL:
            return 1 - 10**self.precision, 10**self.precision - 1
        return INTEGER_RANGES.get(self.kind)


INTEGERS = (Kind.TINYINT, Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT, Kind.HUGEINT)
INTEGER_RANGES = {
    kind: (-(1 << bits - 1), (1 << bits - 1) - 1)
    for kind, bits in zip(INTEGERS, (8, 16, 32, 64, 128), strict=True)
}
INTEGER_DIGITS = {
    Kind.TINYINT: 3,
    Kind.SMALLINT: 5,
    Kind.INTEGER: 10,
    Kind.BIGINT: 19,
    Kind.HUGEINT: 38,
}

NULL = Type(Kind.NULL)
BOOLEAN = Type(Kind.BOOLEAN)
TINYINT = Type(Kind.TINYINT)
SMALLINT = Type(Kind.SMALLINT)
INTEGER = Type(Kind.INTEGER)
BIGINT = Type(Kind.BIGINT)
HUGEINT = Type(Kind.HUGEINT)
REAL = Type(Kind.REAL)
DOUBLE = Type(Kind.DOUBLE)
DATE = Type(Kind.DATE)
TIME = Type(Kind.TIME)
TIMESTAMP = Type(Kind.TIMESTAMP)
INTERVAL = Type(Kind.INTERVAL)
VARCHAR = Type(Kind.VARCHAR)
BLOB = Type(Kind.BLOB)
UUID = Type(Kind.UUID)
BOX = Type(Kind.BOX)


def decimal(precision: int, scale: int) -> Type:
    """DECIMAL(precision, scale), 1 ≤ precision ≤ 38, 0 ≤ scale ≤ precision."""
    return Type(Kind.DECIMAL, precision=precision, scale=scale)


def enum(members: tuple[str, ...]) -> Type:
    """ENUM, ordered as its members are listed."""
    return Type(Kind.ENUM, members=members)


def list_of(child: Type) -> Type:
    """LIST of `child`."""
    return Type(Kind.LIST, child=child)


def struct(*fields: tuple[str, Type]) -> Type:
    """STRUCT of named fields."""
    return Type(Kind.STRUCT, fields=fields)


def mask(scale: int, element: str) -> Type:
    """MASK whose stored numpy dtype is `element` and whose value 1.0 is stored as `scale`."""
    return Type(Kind.MASK, scale=scale, element=element)


def tensor(shape: tuple[int, ...], element: str = "float32") -> Type:
    """TENSOR of one fixed shape a row."""
    return Type(Kind.TENSOR, shape=shape, element=element)
