"""Checks of a plan: every column read exists, ids are defined once, types agree."""

from __future__ import annotations

from tensorsql.errors import InternalError
from tensorsql.planner.plans.expressions import (
    AggregateCall,
    ColumnRef,
    Expression,
    WindowCall,
    walk,
)
from tensorsql.planner.plans.index_plans import IndexFilter, IndexTopN
from tensorsql.planner.plans.logical import (
    Aggregate,
    DependentJoin,
    Filter,
    Join,
    Reference,
    Scan,
    SetOperation,
    Window,
    With,
)
from tensorsql.planner.plans.plan import Plan
from tensorsql.storage.columns.types import Kind, Type

Offered = dict[int, Type]
COMPUTING: dict[type[Expression], tuple[type[Plan], ...]] = {
    AggregateCall: (Aggregate, Window, IndexTopN),
    WindowCall: (Window,),
}


def verify(plan: Plan) -> None:
    """InternalError if the plan could not run; nothing otherwise."""
    _verify(plan, {}, {})


def _verify(plan: Plan, outside: Offered, shared: dict[int, Plan]) -> None:
    if isinstance(plan, With):
        for number, _, definition in plan.definitions:
            _verify(definition, outside, shared)
            shared = {**shared, number: definition}
        _verify(plan.body, outside, shared)
    else:
        _verify_inputs(plan, outside, shared)
    _verify_fields(plan)
    visible = outside | _inputs_offer(plan)
    for expression in plan.expressions:
        _verify_expression(expression, visible, plan)
    _verify_node(plan, shared)


def _verify_inputs(plan: Plan, outside: Offered, shared: dict[int, Plan]) -> None:
    dependent = isinstance(plan, DependentJoin)
    for position, child in enumerate(plan.inputs):
        more = _offer(plan.inputs[0]) if dependent and position == 1 else {}
        _verify(child, outside | more, shared)


def _offer(plan: Plan) -> Offered:
    return {field.id: field.type for field in plan.fields}


def _inputs_offer(plan: Plan) -> Offered:
    if isinstance(plan, Scan):
        return _offer(plan)
    # An IndexTopN over groups orders by columns of its own.
    offered = _offer(plan) if isinstance(plan, IndexTopN) else {}
    for child in plan.inputs:
        offered |= _offer(child)
    return offered


def _verify_fields(plan: Plan) -> None:
    ids = [field.id for field in plan.fields]
    twice = {field.name for field in plan.fields if ids.count(field.id) > 1}
    if twice:
        raise InternalError(f"{type(plan).__name__} gives one id to two columns: {sorted(twice)}")


def _verify_expression(expression: Expression, visible: Offered, plan: Plan) -> None:
    for node in walk(expression):
        if type(node).__module__.endswith("binder.placeholders"):
            raise InternalError(f"{type(plan).__name__} still holds {type(node).__name__}")
        if isinstance(node, WindowCall | AggregateCall) and not isinstance(
            plan, COMPUTING[type(node)]
        ):
            raise InternalError(f"{type(plan).__name__} holds {node}, which it cannot compute")
        if not isinstance(node, ColumnRef):
            continue
        if node.id not in visible:
            raise InternalError(
                f'{type(plan).__name__} reads column "{node.name}" ({node.id}) which no input has'
            )
        if visible[node.id] != node.type:
            raise InternalError(
                f'{type(plan).__name__} reads "{node.name}" as {node.type}, '
                f"its input has {visible[node.id]}"
            )


def _verify_node(plan: Plan, shared: dict[int, Plan]) -> None:
    match plan:
        case Filter() | IndexFilter():
            _expect_boolean(plan.predicate, plan)
        case Join() | DependentJoin():
            _expect_boolean(plan.condition, plan)
            left = plan.left.ids
            if left & plan.right.ids:
                raise InternalError("both sides of a join define the same column")
        case SetOperation():
            for side in plan.inputs:
                if [f.type for f in side.fields] != [f.type for f in plan.columns]:
                    raise InternalError(f"the sides of {plan.kind} differ in their column types")
        case Reference():
            _verify_reference(plan, shared)
        case Aggregate(grouping_sets=sets) if sets is not None:
            if any(index >= len(plan.keys) for chosen in sets for index in chosen):
                raise InternalError("a grouping set names a key there is not")
    for field, expression in getattr(plan, "assignments", ()):
        if field.type != expression.type:
            raise InternalError(f'"{field.name}" is {field.type}, its value {expression.type}')


def _verify_reference(plan: Reference, shared: dict[int, Plan]) -> None:
    if plan.shared not in shared:
        raise InternalError(f'"{plan.name}" is referred to but not defined')
    offered = _offer(shared[plan.shared])
    for field, source in plan.columns:
        if offered.get(source) != field.type:
            raise InternalError(f'"{plan.name}" has no column "{field.name}" of {field.type}')


def _expect_boolean(predicate: Expression, plan: Plan) -> None:
    if predicate.type.kind is not Kind.BOOLEAN:
        raise InternalError(f"the predicate of {type(plan).__name__} is {predicate.type}")
