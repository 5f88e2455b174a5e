"""Constant folding."""

from __future__ import annotations

from tensorsql.planner.functions.folding import fold
from tensorsql.planner.plans.expressions import (
    FALSE,
    TRUE,
    Call,
    Expression,
    Literal,
    conjunction,
    conjuncts,
    is_fallible,
    transform,
)
from tensorsql.planner.plans.logical import Filter
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_expressions, transform_up, works_on
from tensorsql.storage.columns.types import BOOLEAN


@works_on({Call, Filter})
def fold_constants(plan: Plan) -> Plan:
    """Compute calls of literals, exactly and never raising; drop filters that are TRUE.

    `WHERE rate BETWEEN 0.06 - 0.01 AND 0.06 + 0.01` → `… >= 0.05 AND … <= 0.07`, in decimal.
    What would raise stays as it is: it must raise only if a row reaches it.
    """
    return transform_up(
        transform_expressions(plan, lambda top: transform(top, fold_one)), _drop_true
    )


def fold_one(expression: Expression) -> Expression:
    """One call folded, if its operands are literals or decide it alone."""
    if not isinstance(expression, Call):
        return expression
    name = expression.function.name
    if name == "and":
        return _fold_logic(expression, FALSE, TRUE)
    if name == "or":
        return _fold_logic(expression, TRUE, FALSE)
    if name == "case":
        return _fold_case(expression)
    if expression.args and all(isinstance(arg, Literal) for arg in expression.args):
        return fold(expression) or expression
    return expression


def _fold_logic(call: Call, decides: Literal, neutral: Literal) -> Expression:
    if decides in call.args:
        first = call.args.index(decides)
        # Operands before it may raise where they are reached; only a leading one decides safely.
        if first == 0 or not any(is_fallible(arg) for arg in call.args[:first]):
            return decides
    left = tuple(arg for arg in call.args if arg != neutral)
    if len(left) == len(call.args):
        return call
    if not left:
        return neutral
    return left[0] if len(left) == 1 else call.with_children(left)


def _fold_case(call: Call) -> Expression:
    arms = list(zip(call.args[:-1:2], call.args[1::2], strict=False))
    left = [
        (condition, value)
        for condition, value in arms
        if not (isinstance(condition, Literal) and condition.value is not True)
    ]
    if left and left[0][0] == TRUE:
        return left[0][1]
    if len(left) == len(arms):
        return call
    if not left:
        return call.args[-1]
    flat = tuple(part for pair in left for part in pair)
    return call.with_children((*flat, call.args[-1]))


def _drop_true(plan: Plan) -> Plan:
    if not isinstance(plan, Filter):
        return plan
    parts = conjuncts(plan.predicate)
    if not parts:
        return plan.input
    null = Literal(BOOLEAN, None)
    if null in parts and len(parts) > 1 and not any(map(is_fallible, parts)):
        return Filter(plan.input, conjunction([FALSE]))
    return plan
