"""The type objects and constructors of PEP 249."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from tensorsql.storage.columns.types import INTEGERS, Kind, Type

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:
    """The local date at so many seconds since 1970."""
    return datetime.date.fromtimestamp(ticks)


def TimeFromTicks(ticks: float) -> datetime.time:
    """The local time of day at so many seconds since 1970."""
    return datetime.datetime.fromtimestamp(ticks).time()


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """The local date and time at so many seconds since 1970."""
    return datetime.datetime.fromtimestamp(ticks)


@dataclass(frozen=True, eq=False)
class TypeObject:
    """Equals every SQL type of its kinds, as `description[i][1] == STRING` wants it."""

    kinds: frozenset[Kind]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Type):
            return other.kind in self.kinds
        return self is other

    def __hash__(self) -> int:
        return hash(self.kinds)


STRING = TypeObject(frozenset({Kind.VARCHAR, Kind.UUID, Kind.ENUM}))
BINARY = TypeObject(frozenset({Kind.BLOB}))
NUMBER = TypeObject(frozenset({Kind.BOOLEAN, *INTEGERS, Kind.DECIMAL, Kind.REAL, Kind.DOUBLE}))
DATETIME = TypeObject(frozenset({Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.INTERVAL}))
# Row ids are BIGINT, so that none but a comparison with itself holds.
ROWID = TypeObject(frozenset())
