"""Functions of numbers."""

from __future__ import annotations

from tensorsql.planner.functions.signatures.arithmetic import DECIMALS, FLOAT_TYPES, INTEGER_TYPES
from tensorsql.planner.functions.signatures.result_types import decimal_whole, first
from tensorsql.planner.plans.signature import Parameter, Signature
from tensorsql.storage.columns.types import BOOLEAN, DOUBLE, INTEGER, TINYINT

NUMBERS: tuple[Parameter, ...] = (*INTEGER_TYPES, DECIMALS, *FLOAT_TYPES)


def _real(name: str, arguments: int = 1, cost: float = 8.0) -> Signature:
    return Signature(
        name, (DOUBLE,) * arguments, DOUBLE, f"numbers.{name}", cost=cost, interval=name
    )


def _whole(name: str) -> tuple[Signature, ...]:
    """CEIL and FLOOR: floats stay, decimals lose their scale."""
    floats = tuple(
        Signature(name, (each,), each, f"rounding.{name}", interval=name) for each in FLOAT_TYPES
    )
    decimals = Signature(name, (DECIMALS,), decimal_whole, f"rounding.{name}", interval=name)
    return (decimals, *floats)


def _rounding(name: str) -> tuple[Signature, ...]:
    """ROUND and TRUNC; with a number of digits a decimal's scale shrinks to it (see `resolve`)."""
    plain = tuple(
        Signature(
            name,
            (each,),
            decimal_whole if each is DECIMALS else first,
            f"rounding.{name}",
            interval=name,
        )
        for each in NUMBERS
    )
    digits = tuple(
        Signature(
            name,
            (each, INTEGER),
            first,
            f"rounding.{name}_to",
            interval=name,
            fallible=each not in FLOAT_TYPES,
        )
        for each in NUMBERS
    )
    return (*plain, *digits)


SIGNATURES = (
    *(
        Signature(
            "abs",
            (each,),
            first,
            "numbers.abs",
            interval="abs",
            fallible=each in INTEGER_TYPES,
        )
        for each in NUMBERS
    ),
    *_whole("ceil"),
    *_whole("floor"),
    *_rounding("round"),
    *_rounding("trunc"),
    *(Signature("sign", (each,), TINYINT, "numbers.sign", interval="sign") for each in NUMBERS),
    _real("sqrt", cost=3.0),
    _real("cbrt"),
    _real("exp"),
    _real("ln"),
    _real("log2"),
    _real("log10"),
    Signature("log", (DOUBLE,), DOUBLE, "numbers.log10", cost=8.0, interval="log10"),
    Signature("log", (DOUBLE, DOUBLE), DOUBLE, "numbers.log", cost=16.0),
    _real("pow", 2),
    Signature("pi", (), DOUBLE, "numbers.pi"),
    _real("sin"),
    _real("cos"),
    _real("tan"),
    _real("asin"),
    _real("acos"),
    _real("atan"),
    _real("atan2", 2),
    _real("degrees", cost=1.0),
    _real("radians", cost=1.0),
    *(
        Signature(name, (each,), BOOLEAN, f"numbers.{name}")
        for name in ("isnan", "isinf", "isfinite")
        for each in FLOAT_TYPES
    ),
)
ALIASES = {"ceiling": "ceil", "power": "pow"}
