"""Predicates go down to where their columns first are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tensorsql.planner.analysis.predicates import equality
from tensorsql.planner.plans.expressions import (
    ColumnRef,
    Expression,
    Literal,
    are_same,
    columns_of,
    conjunction,
    conjuncts,
    is_fallible,
    is_volatile,
    substitute,
)
from tensorsql.planner.plans.logical import (
    Aggregate,
    Distinct,
    Filter,
    Join,
    Project,
    SetOperation,
    Sort,
    Window,
    With,
)
from tensorsql.planner.plans.plan import Field, Plan
from tensorsql.planner.plans.traversal import works_on

Parts = list[Expression]


@works_on({Filter, Join})
def push_down_filters(plan: Plan) -> Plan:
    """Move each conjunct as far down as it may go; what reaches a join becomes its condition.

    `Filter(a.x = b.y AND a.z < 3, a × b)` → `Filter(a.z < 3, a) ⋈ b on a.x = b.y`. A fallible
    conjunct never passes a join or another conjunct that might have guarded it.
    """
    return _push(plan, [])


def _push(plan: Plan, parts: Parts) -> Plan:
    """The plan with `parts` applied, somewhere at or below this node."""
    match plan:
        case Filter():
            own = conjuncts(plan.predicate)
            return _keep(plan, _push(plan.input, [*own, *parts]), [*own, *parts])
        case Project():
            return _project(plan, parts)
        case Join():
            return _join(plan, parts)
        case Aggregate():
            return _aggregate(plan, parts)
        case SetOperation():
            return _set_operation(plan, parts)
        case Sort() | Distinct(on=None):
            return _through(plan, parts, parts)
        case Window():
            shared = _partition_columns(plan)
            return _through(plan, parts, [p for p in parts if columns_of(p) <= shared])
        case With():
            definitions = tuple(_push(child, []) for child in plan.inputs[:-1])
            return _inputs(plan, (*definitions, _push(plan.body, parts)))
    new = tuple(_push(child, []) for child in plan.inputs)
    return _apply(_inputs(plan, new), parts)


def _keep(old: Filter, new: Plan, parts: Parts) -> Plan:
    """The old node where nothing moved, so that the rule says "does not apply"."""
    if isinstance(new, Filter) and new.input is old.input and new.predicate == old.predicate:
        return old
    return new


def _inputs(plan: Plan, new: tuple[Plan, ...]) -> Plan:
    same = are_same(new, plan.inputs)
    return plan if same else plan.with_inputs(new)


def _apply(plan: Plan, parts: Parts) -> Plan:
    return Filter(plan, conjunction(parts)) if parts else plan


def _split(parts: Parts, movable: Sequence[Expression]) -> tuple[Parts, Parts]:
    """(moving, staying): a fallible conjunct stays behind any conjunct that stays before it."""
    moving: Parts = []
    staying: Parts = []
    places = {id(item) for item in movable}
    for part in parts:
        guarded = bool(staying) and is_fallible(part)
        goes = id(part) in places and not guarded and not is_volatile(part)
        (moving if goes else staying).append(part)
    return moving, staying


def _through(plan: Plan, parts: Parts, movable: Parts) -> Plan:
    moving, staying = _split(parts, movable)
    return _apply(_inputs(plan, (_push(plan.inputs[0], moving),)), staying)


def _project(plan: Project, parts: Parts) -> Plan:
    mapping = {field.id: value for field, value in plan.assignments}
    cheap = {
        id
        for id, value in mapping.items()
        if isinstance(value, ColumnRef | Literal) or not (is_fallible(value) or is_volatile(value))
    }
    movable = [part for part in parts if columns_of(part) <= cheap]
    moving, staying = _split(parts, movable)
    moved = [substitute(part, mapping) for part in moving]
    return _apply(_inputs(plan, (_push(plan.input, moved),)), staying)


def _aggregate(plan: Aggregate, parts: Parts) -> Plan:
    if plan.grouping_sets is not None or not plan.keys:
        return _apply(_inputs(plan, (_push(plan.input, []),)), parts)
    mapping = {field.id: value for field, value in plan.keys}
    movable = [part for part in parts if columns_of(part) and columns_of(part) <= mapping.keys()]
    moving, staying = _split(parts, movable)
    moved = [substitute(part, mapping) for part in moving]
    return _apply(_inputs(plan, (_push(plan.input, moved),)), staying)


def _set_operation(plan: SetOperation, parts: Parts) -> Plan:
    moving, staying = _split(parts, [part for part in parts if not is_fallible(part)])
    new = []
    for child in plan.inputs:
        pairs: zip[tuple[Field, Field]] = zip(plan.columns, child.fields, strict=True)
        mapping: dict[int, Expression] = {column.id: source.ref() for column, source in pairs}
        new.append(_push(child, [substitute(part, mapping) for part in moving]))
    return _apply(_inputs(plan, tuple(new)), staying)


def _partition_columns(plan: Window) -> frozenset[int]:
    sets = [
        frozenset(item.id for item in call.partition if isinstance(item, ColumnRef))
        for _, call in plan.calls
    ]
    return frozenset.intersection(*sets) if sets else frozenset()


# Which sides of a join a filter above it, and a conjunct of its own condition, may go down to.
ABOVE = {
    "inner": "both", "left": "left", "right": "right", "full": "",
    "semi": "left", "anti": "left", "mark": "left", "single": "left",
}  # fmt: skip
INSIDE = {
    "inner": "both", "left": "right", "right": "left", "full": "",
    "semi": "both", "anti": "right", "mark": "", "single": "right",
}  # fmt: skip


def _join(plan: Join, parts: Parts) -> Plan:
    own = list(conjuncts(plan.condition))
    parts, own = _adopt(plan, parts, own)
    above = _sides(parts, plan.left.ids, plan.right.ids, ABOVE[plan.kind])
    inside = _sides(own, plan.left.ids, plan.right.ids, INSIDE[plan.kind])
    left = _push(plan.left, above[0] + inside[0])
    right = _push(plan.right, above[1] + inside[1])
    condition = conjunction(inside[2])
    same = left is plan.left and right is plan.right
    if not (same and list(conjuncts(plan.condition)) == inside[2]):
        plan = dataclasses.replace(plan, left=left, right=right, condition=condition)
    return _apply(plan, above[2])


def _adopt(plan: Join, parts: Parts, own: Parts) -> tuple[Parts, Parts]:
    """An inner join takes the filters above it into its condition.

    A fallible one only where it is the first to compare the two sides: joining on it then
    evaluates it for no row that another comparison might have dropped.
    """
    if plan.kind != "inner":
        return parts, own
    left, right = plan.left.ids, plan.right.ids
    compared = any(_reads_both(part, left, right) for part in own)
    taken: Parts = []
    for part in parts:
        both = _reads_both(part, left, right)
        joins = equality(part) is not None and both and not compared
        if not is_volatile(part) and (joins or not is_fallible(part)):
            taken.append(part)
        compared = compared or both
    moving, staying = _split(parts, taken)
    present = set(own)
    return staying, own + [part for part in moving if part not in present]


def _reads_both(part: Expression, left: frozenset[int], right: frozenset[int]) -> bool:
    ids = columns_of(part)
    return bool(ids & left) and bool(ids & right)


def _sides(parts: Parts, left: frozenset[int], right: frozenset[int], allowed: str) -> list[Parts]:
    """[to the left, to the right, staying]; a fallible conjunct stays: joins drop rows."""
    result: list[Parts] = [[], [], []]
    for part in parts:
        ids = columns_of(part)
        free = not is_volatile(part) and not is_fallible(part) and bool(ids)
        if free and ids <= left and allowed in ("left", "both"):
            result[0].append(part)
        elif free and ids <= right and allowed in ("right", "both"):
            result[1].append(part)
        else:
            result[2].append(part)
    return result
