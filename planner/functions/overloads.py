"""Overloads: which signature of a function takes the arguments at the least cost.

What was chosen is remembered by the shapes of the arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorsql.errors import BindError
from tensorsql.planner.functions.casts import implicit_cost, preference
from tensorsql.planner.functions.signatures import SIGNATURES
from tensorsql.planner.functions.unify import is_integer_literal, is_text_literal
from tensorsql.planner.plans.expressions import Expression, Literal, Position
from tensorsql.planner.plans.signature import Parameter, Signature
from tensorsql.storage.columns.types import BOOLEAN, INTEGER_RANGES, Kind, Type

FEW = 4  # arguments; calls of more have seldom the same types
KEPT = 10_000
_chosen: dict[tuple[Any, ...], Signature] = {}
_NO_TEXTS = (Kind.LIST, Kind.STRUCT, Kind.BOX, Kind.MASK, Kind.TENSOR, Kind.DECIMAL)


def choose(
    name: str,
    overloads: Sequence[Signature],
    args: Sequence[Expression],
    position: Position | None = None,
) -> Signature:
    """The overload that takes the arguments at the least cost; raises BindError otherwise."""
    if len(overloads) == 1 or len(args) > FEW or overloads is not SIGNATURES.get(name):
        return _cheapest(name, overloads, args, position)
    shape = (name, *map(_shape, args))
    overload = _chosen.get(shape)
    if overload is None:
        overload = _cheapest(name, overloads, args, position)
        if len(_chosen) > KEPT:
            _chosen.clear()
        _chosen[shape] = overload
    return overload


def _shape(arg: Expression) -> tuple[Any, ...]:
    """All of an argument that decides between overloads."""
    if not isinstance(arg, Literal):
        return (arg.type,)
    if not is_integer_literal(arg):
        return (arg.type, is_text_literal(arg))
    ranges = INTEGER_RANGES.values()
    return (arg.type, sum(low <= arg.value <= high for low, high in ranges), "integer")


def _cheapest(
    name: str,
    overloads: Sequence[Signature],
    args: Sequence[Expression],
    position: Position | None,
) -> Signature:
    costs = [(cost, each) for each in overloads if (cost := _cost(each, args)) is not None]
    types = ", ".join(str(arg.type) for arg in args)
    if not costs:
        raise BindError(
            f"{name}({types}) does not exist; there is {_candidates(name, overloads)}", position
        )
    least = min(cost for cost, _ in costs)
    best = [each for cost, each in costs if cost == least]
    if len(best) > 1:
        raise BindError(
            f"{name}({types}) is ambiguous between {_candidates(name, best)}; cast an argument",
            position,
        )
    return best[0]


def _candidates(name: str, overloads: Sequence[Signature]) -> str:
    texts = [
        f"{name}({', '.join(_parameter_text(each) for each in signature.parameters)}"
        + (", …)" if signature.variadic else ")")
        for signature in overloads[:6]
    ]
    return ", ".join(texts) + (", …" if len(overloads) > 6 else "")


def _parameter_text(parameter: Parameter) -> str:
    if isinstance(parameter, tuple):
        if {Kind.INTEGER, Kind.DOUBLE} <= set(parameter):
            return "number"
        return " or ".join(kind.value for kind in parameter)
    return str(parameter)


def _cost(signature: Signature, args: Sequence[Expression]) -> int | None:
    parameters = parameters_of(signature, len(args))
    if parameters is None:
        return None
    total = 0
    for parameter, arg in zip(parameters, args, strict=True):
        cost = _argument_cost(arg, parameter)
        if cost is None or (signature.kind == "aggregate" and _is_truth_of_number(arg, parameter)):
            return None
        total += cost
    return total


def _is_truth_of_number(arg: Expression, parameter: Parameter) -> bool:
    """Whether a number would be read as true or false, as NOT and AND do, but no aggregate."""
    return parameter == BOOLEAN and arg.type.is_numeric


def parameters_of(signature: Signature, count: int) -> tuple[Parameter, ...] | None:
    """The parameters for this many arguments, the last repeated if variadic; None if impossible."""
    parameters = signature.parameters
    if not signature.variadic:
        return parameters if len(parameters) == count else None
    if count < len(parameters) - 1:
        return None
    return parameters[:count] + parameters[-1:] * (count - len(parameters))


def _argument_cost(arg: Expression, parameter: Parameter) -> int | None:
    if parameter == "any":
        return 0
    kinds = parameter if isinstance(parameter, tuple) else (parameter.kind,)
    if isinstance(arg, Literal):
        cost = _literal_cost(arg, kinds)
        if cost is not None:
            return cost
    if isinstance(parameter, Type):
        if parameter.kind is arg.type.kind is Kind.LIST:
            return 0 if parameter.child in (None, arg.type.child) else None
        if parameter == BOOLEAN and arg.type.is_numeric:
            return preference(Kind.BOOLEAN)
        return implicit_cost(arg.type, parameter)
    if arg.type.kind in parameter:
        return 0
    costs = (implicit_cost(arg.type, Type(kind)) for kind in parameter)
    return min((cost for cost in costs if cost is not None), default=None)


def _literal_cost(arg: Literal, kinds: Sequence[Kind]) -> int | None:
    """Text literals take every type, integer literals every number type that holds the value."""
    if is_text_literal(arg):
        return 1 if Kind.VARCHAR in kinds else 20 if kinds[0] not in _NO_TEXTS else None
    if not is_integer_literal(arg):
        return None
    if arg.type.kind in kinds:
        return 0
    for kind in kinds:
        low, high = INTEGER_RANGES.get(kind, (0, 0))
        number = kind in (Kind.DECIMAL, Kind.REAL, Kind.DOUBLE)
        if number or low <= arg.value <= high != 0:
            return preference(kind) - 90
    return None
