"""Overload resolution: a name and bound arguments become a typed `Call`.

The cheapest overload over the implicit-cast lattice wins, as in DuckDB; a text literal takes any
type, an integer literal any number type it fits, NULL every type. Two equally cheap overloads are
an error that asks for a cast.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from tensorsql.errors import BindError, Error, TypeMismatchError, UnsupportedError, nearest
from tensorsql.planner.functions.casts import MAX_DIGITS, as_decimal
from tensorsql.planner.functions.folding import fold
from tensorsql.planner.functions.overloads import choose, parameters_of
from tensorsql.planner.functions.signatures import ALIASES, SIGNATURES, Functions
from tensorsql.planner.functions.signatures.dates import PART_NAMES
from tensorsql.planner.functions.signatures.result_types import decimal_remainder
from tensorsql.planner.functions.unify import cast as cast
from tensorsql.planner.functions.unify import unify, unify_append, unify_branches, unify_scales
from tensorsql.planner.plans.expressions import (
    AggregateCall,
    Call,
    Expression,
    Literal,
    Position,
    checked_size,
    transform,
)
from tensorsql.planner.plans.signature import Parameter, Signature
from tensorsql.storage.columns.types import (
    DATE,
    INTEGER,
    NULL,
    VARCHAR,
    Kind,
    Type,
    decimal,
    list_of,
    struct,
)

# What a text literal is not read as: of a DECIMAL it does not say how many digits.
Expansion = Callable[[Sequence[Expression], Position | None], Expression]


def resolve(
    name: str,
    args: Sequence[Expression],
    position: Position | None = None,
    functions: Functions = SIGNATURES,
) -> Expression:
    """The call of a scalar function; NULLIF, IF, TYPEOF and their like become other expressions.

    `functions` are those that there are.
    """
    folded = name.lower()
    if folded in EXPANSIONS:
        count, expand = EXPANSIONS[folded]
        if len(args) != count:
            raise BindError(f"{folded} takes {count} arguments, not {len(args)}", position)
        return checked_size(expand(args, position))
    signature = _overload(folded, args, position, functions)
    if signature.result is decimal_remainder and not _remainder_fits(signature, args):
        return resolve("remainder_of_decimals", args, position)
    try:
        return _build(signature, args, position)
    except Error as error:
        error.position = error.position or position
        raise


def _overload(
    name: str,
    args: Sequence[Expression],
    position: Position | None,
    functions: Functions,
    scalar: bool = True,
) -> Signature:
    overloads = functions.get(name, ())
    if not overloads or (overloads[0].kind == "scalar") is not scalar:
        names = [each for each in (*functions, *EXPANSIONS) if each.isidentifier()]
        raise BindError(f'there is no function "{name}"{nearest(name, names)}', position)
    return choose(name, overloads, args, position)


def _remainder_fits(signature: Signature, args: Sequence[Expression]) -> bool:
    """Whether 38 digits hold both operands of `%` with one scale; floats take over where not."""
    pairs = zip(args, signature.parameters, strict=True)
    a, b = (_to_parameter(arg, parameter).type for arg, parameter in pairs)
    return max(a.precision - a.scale, b.precision - b.scale) + max(a.scale, b.scale) <= MAX_DIGITS


def resolve_aggregate(
    name: str, args: Sequence[Expression], functions: Functions = SIGNATURES
) -> AggregateCall:
    """The plain call of an aggregate or window function."""
    signature = _overload(name.lower(), args, None, functions, scalar=False)
    converted = _convert(signature, args, None)
    result = signature.result_type(tuple(arg.type for arg in converted))
    return AggregateCall(result, signature, converted)


def struct_call(names: Sequence[str], values: Sequence[Expression]) -> Expression:
    """STRUCT of named fields."""
    result = struct(*((name, value.type) for name, value in zip(names, values, strict=True)))
    return Call(result, SIGNATURES["struct_pack"][0], tuple(values))


def _build(signature: Signature, args: Sequence[Expression], position: Position | None) -> Call:
    converted = _convert(signature, args, position)
    result = signature.result_type(tuple(arg.type for arg in converted))
    if signature.name == "regexp_extract" and converted[2:] == (Literal(INTEGER, None),):
        return _no_group(converted[:2], position)
    if signature.name in ("round", "trunc") and len(converted) == 2:
        return _round_to(signature, converted, result, position)
    return Call(result, signature, converted, position=position)


def _no_group(args: Sequence[Expression], position: Position | None) -> Call:
    """REGEXP_EXTRACT(text, pattern, NULL) is an empty text, if the pattern is one."""
    missing = resolve("is_null", (resolve("regexp_extract", args, position),), position)
    branches = (missing, Literal(VARCHAR, None), Literal(VARCHAR, ""))
    chosen = choose("case", SIGNATURES["case"], branches, position)
    return _build(chosen, branches, position)


def _convert(
    signature: Signature, args: Sequence[Expression], position: Position | None
) -> tuple[Expression, ...]:
    """The arguments cast to what the overload takes."""
    parameters = parameters_of(signature, len(args))
    assert parameters is not None
    converted = tuple(
        _to_parameter(arg, parameter) for arg, parameter in zip(args, parameters, strict=True)
    )
    match signature.unify:
        case "all":
            return unify(converted, signature.name, position)
        case "compare":
            return unify(converted, signature.name, position, compare=True)
        case "branches":
            return unify_branches(converted, position)
        case "scales":
            return unify_scales(converted)
    if signature.name == "||":
        return unify_append(converted, position)
    if signature.name in ("list_contains", "contains") and converted[0].type.kind is Kind.LIST:
        element = Call(converted[0].type.child or NULL, signature, ())
        value = unify((element, converted[1]), "in", position)[1]
        return cast(converted[0], list_of(value.type)), value
    if signature.name in ("lag", "lead") and len(converted) == 3:
        return (*converted[:2], cast(converted[2], converted[0].type, position=position))
    if signature.name == "string_agg":
        return (cast(converted[0], VARCHAR, position=position), *converted[1:])
    if signature.name in ("concat", "concat_ws"):
        if any(arg.type.kind is Kind.LIST for arg in converted):
            raise UnsupportedError(f"{signature.name} of lists is not supported", position)
        return tuple(cast(arg, VARCHAR) for arg in converted)
    return converted


def _to_parameter(arg: Expression, parameter: Parameter) -> Expression:
    if parameter == "any":
        return arg
    if isinstance(parameter, Type):
        if parameter.kind is arg.type.kind is Kind.LIST:
            return arg
        return cast(arg, parameter)
    if arg.type.kind in parameter:
        return arg
    if parameter == (Kind.DECIMAL,):
        number = arg.type.is_integer or arg.type.kind is Kind.BOOLEAN
        return cast(arg, as_decimal(arg.type) if number else decimal(18, 3))
    # Text is read as the widest number, of which none is lost.
    return cast(arg, Type(Kind.DOUBLE if Kind.DOUBLE in parameter else parameter[0]))


def _round_to(
    signature: Signature, args: tuple[Expression, ...], result: Type, position: Position | None
) -> Call:
    """ROUND(x, digits) of a decimal keeps only that many digits of its scale (a literal's)."""
    if result.kind is Kind.DECIMAL:
        digits = transform(args[1], lambda part: fold(part) or part)
        if not isinstance(digits, Literal):
            raise UnsupportedError(
                f"{signature.name} of a DECIMAL takes a constant number of digits; cast to DOUBLE",
                position,
            )
        args = (args[0], digits)
        if digits.value is None:
            return Call(NULL, signature, args, position=position)
        result = _rounded_decimal(signature.name, result, digits.value)
    return Call(result, signature, args, position=position)


def _rounded_decimal(name: str, source: Type, digits: int) -> Type:
    """No more digits after the point than asked for; rounding up may need one more before it."""
    before = source.precision - source.scale
    grows = name == "round" and 0 < -digits <= before
    precision = max(source.precision, before + 1) if grows else source.precision
    return decimal(min(precision, MAX_DIGITS), min(max(digits, 0), source.scale))


def _nullif(args: Sequence[Expression], position: Position | None) -> Expression:
    equal = resolve("=", args, position)
    return resolve("case", (equal, Literal(NULL, None), args[0]), position)


def _typeof(args: Sequence[Expression], position: Position | None) -> Expression:
    name = '"NULL"' if args[0].type.kind is Kind.NULL else str(args[0].type)
    return Literal(VARCHAR, name)


def _current_date(args: Sequence[Expression], position: Position | None) -> Expression:
    return Literal(DATE, datetime.date.today())


def _part(arg: Expression, position: Position | None) -> str:
    if not isinstance(arg, Literal) or not isinstance(arg.value, str):
        raise UnsupportedError("the part of a date must be a constant text", position)
    part = PART_NAMES.get(arg.value.lower())
    if part is None:
        raise BindError(
            f'there is no date part "{arg.value}"{nearest(arg.value, PART_NAMES)}', position
        )
    return part


def _date_part(args: Sequence[Expression], position: Position | None) -> Expression:
    return resolve(_part(args[0], position), args[1:], position)


def _parted(name: str) -> Expansion:
    def expand(args: Sequence[Expression], position: Position | None) -> Expression:
        part = _part(args[0], position)
        rest = args[1:]
        if len(rest) == 2 and Kind.TIMESTAMP in (rest[0].type.kind, rest[1].type.kind):
            rest = unify(rest, name, position)
        call = _build(choose(name, SIGNATURES[name], rest, position), rest, position)
        return Call(call.type, call.function, call.args, (("part", part),), position)

    return expand


def _struct_extract(args: Sequence[Expression], position: Position | None) -> Expression:
    value, key = args
    if value.type.kind is not Kind.STRUCT or not isinstance(key, Literal):
        raise TypeMismatchError(
            f"struct_extract takes a STRUCT and a field name, not {value.type}", position
        )
    place = _field_place(value.type, key.value, position)
    signature = SIGNATURES["struct_extract"][0]
    return Call(value.type.fields[place][1], signature, (value,), (("field", place),), position)


def _field_place(type: Type, key: Any, position: Position | None) -> int:
    if isinstance(key, int) and 1 <= key <= len(type.fields):
        return key - 1
    names = [name for name, _ in type.fields]
    places = [place for place, name in enumerate(names) if name.lower() == str(key).lower()]
    if not places:
        raise BindError(f'there is no field "{key}"{nearest(str(key), names)}', position)
    return places[0]


EXPANSIONS: dict[str, tuple[int, Expansion]] = {
    "nullif": (2, _nullif),
    "ifnull": (2, lambda args, position: resolve("coalesce", args, position)),
    "if": (3, lambda args, position: resolve("case", args, position)),
    "typeof": (1, _typeof),
    "current_date": (0, _current_date),
    "today": (0, _current_date),
    "date_part": (2, _date_part),
    "datepart": (2, _date_part),
    "struct_extract": (2, _struct_extract),
    "is_not_null": (
        1,
        lambda args, position: resolve("not", (resolve("is_null", args, position),), position),
    ),
}
EXPANSIONS |= {
    alias: (2 if name == "date_trunc" else 3, _parted(name))
    for name in ("date_trunc", "date_diff", "date_sub")
    for alias in (name, *(each for each, target in ALIASES.items() if target == name))
}
