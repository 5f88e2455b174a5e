"""Result types that depend on the arguments' types."""

from __future__ import annotations

from tensorsql.errors import OutOfRangeError
from tensorsql.planner.functions.casts import MAX_DIGITS, common_decimal
from tensorsql.storage.columns.types import NULL, VARCHAR, Kind, Type, decimal, list_of


def first(arguments: tuple[Type, ...]) -> Type:
    """The type of the first argument."""
    return arguments[0]


def second(arguments: tuple[Type, ...]) -> Type:
    """The type of the second argument (the first value of a CASE)."""
    return arguments[1]


def concatenated(arguments: tuple[Type, ...]) -> Type:
    """VARCHAR, or NULL if an argument is nothing but NULL."""
    return NULL if any(each.kind is Kind.NULL for each in arguments) else VARCHAR


def decimal_sum(arguments: tuple[Type, ...]) -> Type:
    """One digit more than both operands need, at most 38."""
    both = common_decimal(arguments[0], arguments[1])
    return decimal(min(MAX_DIGITS, both.precision + 1), both.scale)


def decimal_remainder(arguments: tuple[Type, ...]) -> Type:
    """The digits both operands need."""
    return common_decimal(arguments[0], arguments[1])


def decimal_product(arguments: tuple[Type, ...]) -> Type:
    """Digits and scales add up; two 64-bit operands stay in 64 bits where the scale allows it."""
    a, b = arguments
    scale, precision = a.scale + b.scale, a.precision + b.precision
    if scale > MAX_DIGITS:
        raise OutOfRangeError(
            f"{a} * {b} needs {scale} digits after the point, DECIMAL has at most {MAX_DIGITS};"
            " cast an operand to DOUBLE or to fewer digits"
        )
    if precision > 18 and max(a.precision, b.precision) <= 18 and scale < 18:
        precision = 18
    return decimal(min(MAX_DIGITS, precision), scale)


def decimal_whole(arguments: tuple[Type, ...]) -> Type:
    """The same digits without a scale."""
    return decimal(arguments[0].precision, 0)


def list_of_arguments(arguments: tuple[Type, ...]) -> Type:
    """A list of the (common) argument type."""
    return list_of(arguments[0] if arguments else NULL)


def element(arguments: tuple[Type, ...]) -> Type:
    """The element type of a list."""
    return arguments[0].child or NULL
