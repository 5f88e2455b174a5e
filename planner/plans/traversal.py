"""Walking and rewriting plans, derived from the nodes' fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from typing import Any

from tensorsql.cancellation import check_cancelled
from tensorsql.planner.plans.expressions import (
    ColumnRef,
    Expression,
    SortKey,
    are_same,
    columns_of,
    kinds_of,
)
from tensorsql.planner.plans.index_plans import IndexTopN
from tensorsql.planner.plans.logical import DependentJoin, Joining, Reference, Scan, With
from tensorsql.planner.plans.memo import remembered
from tensorsql.planner.plans.plan import Field, Plan, fresh_id
from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import Type
from tensorsql.storage.tables.catalog import Relation

Rule = Callable[[Plan], Plan]


def transform_up(plan: Plan, rewrite: Callable[[Plan], Plan]) -> Plan:
    """Rewrite inputs first, then the node; returns the same object where nothing changed."""
    check_cancelled()
    inputs = plan.inputs
    new = tuple([transform_up(child, rewrite) for child in inputs])
    if not are_same(new, inputs):
        plan = plan.with_inputs(new)
    return rewrite(plan)


def transform_expressions(plan: Plan, rewrite: Callable[[Expression], Expression]) -> Plan:
    """Apply `rewrite` to each top expression of every node; same object where nothing changed."""

    def node(current: Plan) -> Plan:
        old = current.expressions
        new = tuple([rewrite(expression) for expression in old])
        return current if are_same(new, old) else current.with_expressions(new)

    return transform_up(plan, node)


def walk_plan(plan: Plan) -> Iterator[Plan]:
    """The node and everything below it, parents first."""
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.inputs))


@remembered
def kinds_in(plan: Plan) -> frozenset[type | str]:
    """What a plan is made of: classes of its nodes and expressions, `left join` and the like,

    and the names of the functions that are called.
    """
    own: list[type | str] = [type(plan)]
    if isinstance(plan, Joining):
        own.append(f"{plan.kind} join")
    below = (*map(kinds_of, plan.expressions), *map(kinds_in, plan.inputs))
    return frozenset(own).union(*below)


def works_on(*kinds: type | str | Collection[type | str]) -> Callable[[Rule], Rule]:
    """A rule for plans that have each of these kinds, or one of those that stand together.

    It must leave others as they are, and need not be asked.
    """
    needed = [{kind} if isinstance(kind, type | str) else {*kind} for kind in kinds]

    def declared(rule: Rule) -> Rule:
        rule.needed = needed  # type: ignore[attr-defined]
        return rule

    return declared


def has_work(rule: Rule, plan: Plan) -> bool:
    """Whether the plan has what the rule works on."""
    present = kinds_in(plan)
    return not any(kinds.isdisjoint(present) for kinds in getattr(rule, "needed", ()))


@remembered
def node_count(plan: Plan) -> int:
    """How many nodes the plan has."""
    return 1 + sum(map(node_count, plan.inputs))


@remembered
def free_columns(plan: Plan) -> frozenset[int]:
    """Ids of columns the plan reads from outside itself."""
    read = frozenset().union(*map(columns_of, plan.expressions))
    inputs = plan.inputs
    # A scan and an index over groups read columns of their own.
    own = plan.ids if isinstance(plan, Scan | IndexTopN) else frozenset()
    free = read.difference(own, *(child.ids for child in inputs))
    for position, child in enumerate(inputs):
        inner = free_columns(child)
        dependent = isinstance(plan, DependentJoin) and position == 1
        free |= inner - plan.inputs[0].ids if dependent else inner
    return free


def clone(plan: Plan) -> tuple[Plan, dict[int, int]]:
    """The same plan with fresh ids for every column it defines, and the map old id → new id.

    Its shared plans get fresh ids as well: both copies of a `With` may run in one program.
    """
    mapping: dict[int, int] = {}

    def renew(field: Field) -> Field:
        if field.id not in mapping:
            mapping[field.id] = fresh_id()
        return Field(mapping[field.id], field.name, field.type)

    for node in walk_plan(plan):
        for field in node.fields:
            renew(field)
        if isinstance(node, With):
            mapping.update({shared: fresh_id() for shared, _, _ in node.definitions})
    return _renumber(plan, mapping), mapping


def renumber(plan: Plan, mapping: dict[int, int]) -> Plan:
    """Rename column ids throughout, in definitions and uses alike."""
    return _renumber(plan, mapping)


def _renumber(plan: Plan, mapping: dict[int, int]) -> Plan:
    def new_id(old: int) -> int:
        return mapping.get(old, old)

    def value(item: Any) -> Any:
        if isinstance(item, Field | ColumnRef):
            return dataclasses.replace(item, id=new_id(item.id))
        if isinstance(item, Plan):
            return _renumber(item, mapping)
        if isinstance(item, Expression | SortKey):
            return rebuild(item, value)
        if isinstance(item, tuple):
            return tuple(value(part) for part in item)
        if isinstance(item, frozenset):
            return frozenset(map(new_id, item))
        return item

    if isinstance(plan, With):
        definitions = tuple((new_id(n), name, value(each)) for n, name, each in plan.definitions)
        return With(definitions, value(plan.body))
    if isinstance(plan, Reference):
        columns = tuple((value(field), new_id(source)) for field, source in plan.columns)
        return dataclasses.replace(plan, shared=new_id(plan.shared), columns=columns)
    return rebuild(plan, value)  # type: ignore[no-any-return]


def rebuild(node: Any, value: Callable[[Any], Any]) -> Any:
    """A dataclass with other fields; the same object where they are."""
    changes = {}
    for item in dataclasses.fields(node):
        old = getattr(node, item.name)
        if isinstance(old, Signature | Relation | Type):
            continue
        new = value(old)
        if new is not old:
            changes[item.name] = new
    return dataclasses.replace(node, **changes) if changes else node
