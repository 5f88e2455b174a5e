"""CAST of bound expressions, and casting several of them to one common type."""

from __future__ import annotations

from collections.abc import Sequence

from tensorsql.errors import TypeMismatchError, UnsupportedError
from tensorsql.planner.functions.casts import (
    can_cast,
    common_decimal,
    common_type,
    integer_type,
    is_any_mask,
    is_safe,
)
from tensorsql.planner.functions.folding import fold_cast
from tensorsql.planner.functions.signatures.casts import CAST, SAFE_CAST, TRY_CAST
from tensorsql.planner.plans.expressions import Call, Expression, Literal, Position
from tensorsql.planner.plans.memo import remembered
from tensorsql.storage.columns.types import BOOLEAN, INTEGER_RANGES, VARCHAR, Kind, Type, decimal


def cast(
    expression: Expression, type: Type, try_: bool = False, position: Position | None = None
) -> Expression:
    """CAST or TRY_CAST; the same type gives the same object, a literal is converted right away.

    A MASK column that has no scale yet takes every mask as it is.
    """
    if expression.type == type or is_any_mask(expression.type, type):
        return expression
    if not can_cast(expression.type, type):
        raise TypeMismatchError(f"cannot cast {_apart(expression.type, type)}", position)
    if isinstance(expression, Literal):
        literal = fold_cast(expression, type)
        if literal is not None:
            return literal
    if try_:
        return Call(type, TRY_CAST, (expression,), position=position)
    chosen = SAFE_CAST if is_safe(expression.type, type) else CAST
    return Call(type, chosen, (expression,), position=position)


def _apart(source: Type, target: Type) -> str:
    """Both types in words that tell them apart: masks and tensors may differ in their dtype."""
    if str(source) == str(target):
        return f"{source} of {source.element} to {target} of {target.element}"
    return f"{source} to {target}"


def unify(
    args: Sequence[Expression],
    name: str,
    position: Position | None = None,
    compare: bool = False,
    in_order: bool = False,
) -> tuple[Expression, ...]:
    """The arguments cast to their common type; raises TypeMismatchError if there is none.

    Literals give way to all other arguments, or `in_order` to those before them only.
    """
    met: Type | None = None
    for arg in args if in_order else sorted(args, key=_literalness):
        before = met
        met = arg.type if before is None else _meet(before, arg, compare)
        if met is None:
            comparing = compare or name in ("<", "<=", ">", ">=")
            verb = "compare" if comparing else "mix"
            place = "" if comparing else f" in {name.upper()}"
            raise TypeMismatchError(
                f"cannot {verb} values of type {before} and {arg.type}{place}; cast one of them",
                position,
            )
    return tuple(args if met is None else (cast(arg, met, position=position) for arg in args))


def _literalness(arg: Expression) -> int:
    """Columns first, then integer literals, then text literals, so that literals give way."""
    return 2 if is_text_literal(arg) else 1 if is_integer_literal(arg) else 0


def is_text_literal(arg: Expression) -> bool:
    """A text as written, which is read as what stands beside it; '1'::VARCHAR is none."""
    written = isinstance(arg, Literal) and not arg.typed and not arg.is_null
    return written and arg.type == VARCHAR


@remembered
def is_integer_literal(arg: Expression) -> bool:
    """A number as written, of the type its size gives it; 1::INTEGER is none, it has a type.

    A minus does not change it: -2147483648 is a BIGINT.
    """
    if not isinstance(arg, Literal) or arg.typed or not arg.type.is_integer or arg.is_null:
        return False
    return arg.type in (integer_type(arg.value), integer_type(-arg.value))


def _meet(met: Type, arg: Expression, compare: bool) -> Type | None:
    if is_text_literal(arg) and can_cast(VARCHAR, met) and met.kind is not Kind.NULL:
        return VARCHAR if met.kind is Kind.ENUM else met
    if isinstance(arg, Literal) and is_integer_literal(arg) and met.is_integer:
        low, high = INTEGER_RANGES[met.kind]
        if low <= arg.value <= high:
            return met
    return common_type(met, arg.type, compare)


def unify_branches(args: Sequence[Expression], position: Position | None) -> tuple[Expression, ...]:
    """CASE: conditions become BOOLEAN, values and ELSE one type."""
    conditions = [cast(arg, BOOLEAN) for arg in args[:-1:2]]
    values = unify((*args[1:-1:2], args[-1]), "case", position)
    pairs = zip(conditions, values[:-1], strict=True)
    return (*(each for pair in pairs for each in pair), values[-1])


def unify_scales(args: Sequence[Expression]) -> tuple[Expression, ...]:
    """Decimals with one scale, so that their scaled integers add and compare."""
    common = common_decimal(args[0].type, args[1].type)
    whole = [arg.type.precision - arg.type.scale for arg in args]
    return tuple(
        cast(arg, decimal(min(common.precision, digits + common.scale), common.scale))
        for arg, digits in zip(args, whole, strict=True)
    )


def unify_append(args: Sequence[Expression], position: Position | None) -> tuple[Expression, ...]:
    """`||` takes two texts, two blobs or two lists; everything else becomes text."""
    kinds = {arg.type.kind for arg in args}
    if Kind.LIST in kinds:
        raise UnsupportedError("|| on lists is not supported", position)
    if Kind.NULL in kinds or kinds == {Kind.BLOB}:
        return tuple(args)
    return tuple(cast(arg, VARCHAR) for arg in args)
