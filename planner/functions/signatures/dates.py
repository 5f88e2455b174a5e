"""Functions of dates, times and intervals.

The part in `date_part('month', x)` and its like is a literal: `resolve` turns date_part into the
part's own function and hands the part of the others over as the option "part".
"""

from __future__ import annotations

from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INTERVAL,
    TIME,
    TIMESTAMP,
    VARCHAR,
    Type,
)

CALENDAR_PARTS = (
    "year",
    "month",
    "day",
    "quarter",
    "week",
    "dayofweek",
    "isodow",
    "dayofyear",
    "decade",
    "century",
    "isoyear",
    "yearweek",
)
CLOCK_PARTS = ("hour", "minute", "second", "millisecond", "microsecond")
INTERVAL_PARTS = ("year", "month", "day", "quarter", "decade", "century", *CLOCK_PARTS)


def _part(name: str, argument: Type) -> Signature:
    return Signature(name, (argument,), BIGINT, f"dates.{name}", cost=4.0, interval=name)


def _with_part(name: str, parameters: tuple[Type, ...], result: Type) -> Signature:
    return Signature(name, parameters, result, f"dates.{name}", cost=4.0, interval=name)


SIGNATURES = (
    *(_part(name, argument) for name in CALENDAR_PARTS for argument in (DATE, TIMESTAMP)),
    *(_part(name, argument) for name in CLOCK_PARTS for argument in (DATE, TIMESTAMP, TIME)),
    *(_part(name, INTERVAL) for name in INTERVAL_PARTS),
    *(
        Signature("epoch", (each,), DOUBLE, "dates.epoch", cost=2.0)
        for each in (DATE, TIMESTAMP, TIME, INTERVAL)
    ),
    *(Signature("epoch_ms", (each,), BIGINT, "dates.epoch_ms") for each in (DATE, TIMESTAMP)),
    *(
        Signature(
            "date_trunc",
            (each,),
            TIMESTAMP,
            "dates.date_trunc",
            fallible=True,  # the decade of the year 1 begins before it
            cost=4.0,
            interval="date_trunc",
        )
        for each in (DATE, TIMESTAMP)
    ),
    *(
        _with_part(name, (each, each), BIGINT)
        for name in ("date_diff", "date_sub")
        for each in (DATE, TIMESTAMP)
    ),
    Signature("make_date", (BIGINT, BIGINT, BIGINT), DATE, "dates.make_date", fallible=True),
    *(Signature("last_day", (each,), DATE, "dates.last_day") for each in (DATE, TIMESTAMP)),
    *(
        Signature(name, (each,), VARCHAR, f"dates.{name}", cost=10.0)
        for name in ("monthname", "dayname")
        for each in (DATE, TIMESTAMP)
    ),
    *(
        Signature("strftime", types, VARCHAR, "dates.strftime", cost=20.0, fallible=True)
        for each in (DATE, TIMESTAMP)
        for types in ((each, VARCHAR), (VARCHAR, each))
    ),
    *(
        Signature(f"to_{unit}", (BIGINT,), INTERVAL, f"dates.to_{unit}", fallible=True)
        for unit in ("years", "quarters", "months", "weeks", "days")
    ),
    *(
        Signature(f"to_{unit}", (BIGINT,), INTERVAL, f"dates.to_{unit}", fallible=True)
        for unit in ("hours", "minutes", "microseconds")
    ),
    *(
        Signature(f"to_{unit}", (DOUBLE,), INTERVAL, f"dates.to_{unit}", fallible=True)
        for unit in ("seconds", "milliseconds")
    ),
)
ALIASES = {
    "datetrunc": "date_trunc",
    "datediff": "date_diff",
    "datesub": "date_sub",
    "date_add": "+",
    "dayofmonth": "day",
    "weekofyear": "week",
    "weekday": "dayofweek",
}
# How a part may be spelled in date_part, extract, date_trunc and date_diff.
PART_NAMES = {
    spelling: name
    for name, spellings in {
        "year": ("y", "yr", "yrs", "years"),
        "month": ("mon", "mons", "months"),
        "day": ("d", "days", "dayofmonth"),
        "quarter": ("quarters",),
        "week": ("w", "weeks", "weekofyear"),
        "dayofweek": ("dow", "weekday"),
        "isodow": (),
        "dayofyear": ("doy",),
        "decade": ("dec", "decs", "decades"),
        "century": ("cent", "centuries", "c"),
        "isoyear": (),
        "yearweek": (),
        "hour": ("h", "hr", "hrs", "hours"),
        "minute": ("m", "min", "mins", "minutes"),
        "second": ("s", "sec", "secs", "seconds"),
        "millisecond": ("ms", "msec", "msecs", "milliseconds"),
        "microsecond": ("us", "usec", "usecs", "microseconds"),
        "epoch": (),
    }.items()
    for spelling in (name, *spellings)
}
