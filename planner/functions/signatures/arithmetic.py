"""Operators on numbers, dates and intervals.

Integers and decimals raise on overflow; `/` gives a float; `//` and `%` by zero raise.
"""

from __future__ import annotations

from tensorsql.planner.functions.signatures.result_types import (
    decimal_product,
    decimal_remainder,
    decimal_sum,
    first,
)
from tensorsql.planner.plans.signature import Parameter, Signature
from tensorsql.storage.columns.types import (
    BIGINT,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    INTERVAL,
    REAL,
    SMALLINT,
    TIME,
    TIMESTAMP,
    TINYINT,
    Kind,
    Type,
)

INTEGER_TYPES = (TINYINT, SMALLINT, INTEGER, BIGINT, HUGEINT)
FLOAT_TYPES = (REAL, DOUBLE)
DECIMALS: Parameter = (Kind.DECIMAL,)


def _same(name: str, kernel: str, *types: Type) -> tuple[Signature, ...]:
    return tuple(
        Signature(name, (each, each), each, f"arithmetic.{kernel}", interval=name, fallible=True)
        for each in types
    )


def _floats(name: str, kernel: str) -> tuple[Signature, ...]:
    return tuple(
        Signature(name, (each, each), each, f"arithmetic.{kernel}", interval=name)
        for each in FLOAT_TYPES
    )


def _temporal(name: str, left: Type, right: Type, result: Type, kernel: str) -> Signature:
    return Signature(name, (left, right), result, f"temporal.{kernel}", fallible=True, cost=2.0)


def _shift(kind: Type, result: Type) -> tuple[Signature, ...]:
    """A date or time plus and minus an interval."""
    return (
        _temporal("+", kind, INTERVAL, result, "plus_time_span"),
        _temporal("+", INTERVAL, kind, result, "time_span_plus"),
        _temporal("-", kind, INTERVAL, result, "minus_time_span"),
    )


SIGNATURES = (
    *_same("+", "add", *INTEGER_TYPES),
    Signature(
        "+",
        (DECIMALS, DECIMALS),
        decimal_sum,
        "arithmetic.add",
        interval="+",
        unify="scales",
        fallible=True,
    ),
    *_floats("+", "add"),
    *_same("-", "subtract", *INTEGER_TYPES),
    Signature(
        "-",
        (DECIMALS, DECIMALS),
        decimal_sum,
        "arithmetic.subtract",
        interval="-",
        unify="scales",
        fallible=True,
    ),
    *_floats("-", "subtract"),
    *_same("*", "multiply", *INTEGER_TYPES),
    Signature(
        "*",
        (DECIMALS, DECIMALS),
        decimal_product,
        "arithmetic.multiply",
        interval="*",
        fallible=True,
    ),
    *_floats("*", "multiply"),
    *_floats("/", "divide"),
    *_same("//", "integer_divide", *INTEGER_TYPES),
    *_same("//", "float_quotient", *FLOAT_TYPES),
    *_same("%", "remainder", *INTEGER_TYPES),
    Signature(
        "%",
        (DECIMALS, DECIMALS),
        decimal_remainder,
        "arithmetic.remainder",
        unify="scales",
        fallible=True,
    ),
    *_floats("%", "float_remainder"),
    # What `resolve` makes of % where 38 digits do not hold both operands with one scale.
    Signature(
        "remainder_of_decimals",
        (DOUBLE, DOUBLE),
        DOUBLE,
        "arithmetic.checked_remainder",
        fallible=True,
    ),
    *(
        Signature("negate", (each,), each, "arithmetic.negate", fallible=True, interval="negate")
        for each in INTEGER_TYPES
    ),
    Signature("negate", (DECIMALS,), first, "arithmetic.negate", interval="negate"),
    *(
        Signature("negate", (each,), each, "arithmetic.negate", interval="negate")
        for each in FLOAT_TYPES
    ),
    Signature("negate", (INTERVAL,), INTERVAL, "temporal.negate"),
    *_shift(DATE, TIMESTAMP),
    *_shift(TIMESTAMP, TIMESTAMP),
    *_shift(TIME, TIME),
    _temporal("+", DATE, INTEGER, DATE, "add_days"),
    _temporal("+", INTEGER, DATE, DATE, "days_add"),
    _temporal("-", DATE, INTEGER, DATE, "subtract_days"),
    _temporal("-", DATE, DATE, BIGINT, "days_between"),
    _temporal("-", TIMESTAMP, TIMESTAMP, INTERVAL, "time_between"),
    _temporal("+", DATE, TIME, TIMESTAMP, "date_and_time"),
    _temporal("+", TIME, DATE, TIMESTAMP, "time_and_date"),
    _temporal("+", INTERVAL, INTERVAL, INTERVAL, "plus_time_spans"),
    _temporal("-", INTERVAL, INTERVAL, INTERVAL, "between_time_spans"),
    _temporal("*", INTERVAL, BIGINT, INTERVAL, "repeat"),
    _temporal("*", BIGINT, INTERVAL, INTERVAL, "repeated"),
    _temporal("*", INTERVAL, DOUBLE, INTERVAL, "scale"),
    _temporal("*", DOUBLE, INTERVAL, INTERVAL, "scaled"),
    _temporal("/", INTERVAL, DOUBLE, INTERVAL, "shrink"),
)
ALIASES = {"mod": "%", "add": "+", "subtract": "-", "multiply": "*", "divide": "//"}
