"""Top-n by costly calls, per row or per group, becomes an index top-n."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tensorsql.planner.analysis.index_use import (
    BOUNDED_FUNCTIONS,
    costly_calls,
    find_uses,
    keep_fields,
    rewritten_with_indexes,
)
from tensorsql.planner.plans.expressions import (
    TRUE,
    AggregateCall,
    Call,
    ColumnRef,
    Expression,
    SortKey,
    columns_of,
    conjunction,
    conjuncts,
    is_volatile,
    substitute,
)
from tensorsql.planner.plans.index_plans import IndexFilter, IndexTopN
from tensorsql.planner.plans.logical import Aggregate, Filter, Project, TopN
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import works_on

BOUNDED_AGGREGATES = ("sum", "avg", "min", "max")


@works_on(TopN, BOUNDED_FUNCTIONS)
def use_index_topn(plan: Plan) -> Plan:
    """Find the first rows or groups by a costly key best bound first.

    `TopN(CP(mask, …) DESC, 25)` over `IndexFilter(p, t)` → `IndexTopN(CP(mask, …) DESC, 25, p)`
    over t; `TopN(s DESC, 10)` over `Filter(s > 10)` over `Aggregate(SUM(CP(mask, …)) AS s)` → one
    `IndexTopN` with the groups, the condition and the order. An index must cover one of the calls.
    """
    return rewritten_with_indexes(plan, _rewrite)


@dataclass(frozen=True)
class Shape:
    """What lies below a TopN: projections above, a predicate, and what they read."""

    keys: tuple[SortKey, ...]
    predicate: Expression
    projects: tuple[Project, ...]
    input: Plan


def _rewrite(node: Plan) -> Plan:
    if not isinstance(node, TopN):
        return node
    shape = _peel(node)
    if any(is_volatile(e) for e in (shape.predicate, *(key.expression for key in shape.keys))):
        return node
    rewritten = _groups(node, shape) if isinstance(shape.input, Aggregate) else _rows(node, shape)
    if rewritten is None:
        return node
    for project in reversed(shape.projects):
        rewritten = project.with_inputs((rewritten,))
    return keep_fields(rewritten, node.fields)


def _peel(node: TopN) -> Shape:
    """Take projections and filters off, with keys and predicate rewritten to what lies below."""
    shape = Shape(node.keys, TRUE, (), node.input)
    while True:
        match shape.input:
            case Project(input=below, assignments=assignments):
                mapping = {field.id: expression for field, expression in assignments}
                keys = tuple(
                    dataclasses.replace(key, expression=substitute(key.expression, mapping))
                    for key in shape.keys
                )
                predicate = substitute(shape.predicate, mapping)
                shape = Shape(keys, predicate, (*shape.projects, shape.input), below)
            case (Filter() | IndexFilter()) as filter if _is_worth(filter):
                parts = (*conjuncts(filter.predicate), *conjuncts(shape.predicate))
                shape = dataclasses.replace(shape, predicate=conjunction(parts), input=filter.input)
            case _:
                return shape


def _is_worth(filter: Filter | IndexFilter) -> bool:
    """Filters over groups, and costly ones, are decided with the order; cheap ones run before."""
    below: Plan = filter.input
    while isinstance(below, Project | Filter):
        below = below.input
    return isinstance(filter, IndexFilter) or isinstance(below, Aggregate)


def _rows(node: TopN, shape: Shape) -> Plan | None:
    # Bounds of a later key help only among ties of the first.
    calls = costly_calls(shape.keys[0].expression)
    if not calls or not _is_numeric(shape.keys):
        return None
    source, uses = find_uses(shape.input, calls)
    if not uses:
        return None
    source, more = find_uses(source, costly_calls(shape.predicate))
    uses += tuple(use for use in more if use not in uses)
    return IndexTopN(source, shape.keys, node.count, node.offset, shape.predicate, uses)


def _groups(node: TopN, shape: Shape) -> Plan | None:
    aggregate = shape.input
    assert isinstance(aggregate, Aggregate)
    if not aggregate.keys or aggregate.grouping_sets is not None or not _is_numeric(shape.keys):
        return None
    first = shape.keys[0].expression
    read = columns_of(first)
    ordered = [call for field, call in aggregate.aggregates if field.id in read]
    calls = [call for part in ordered for call in _member_calls(part)]
    masks = {field.id: call.args[0] for field, call in aggregate.aggregates if call.args}
    for call in costly_calls(first):
        calls += _member_call(call, masks)
    source, uses = find_uses(aggregate.input, calls)
    if not uses:
        return None
    return IndexTopN(
        source,
        shape.keys,
        node.count,
        node.offset,
        shape.predicate,
        uses,
        aggregate.keys,
        aggregate.aggregates,
    )


def _member_calls(aggregate: AggregateCall) -> tuple[Call, ...]:
    """Costly calls of each member under an aggregate that bounds compose through."""
    if aggregate.function.name not in BOUNDED_AGGREGATES or len(aggregate.args) != 1:
        return ()
    return costly_calls(aggregate.args[0])


def _member_call(call: Call, masks: dict[int, Expression]) -> tuple[Call, ...]:
    """A call over an aggregate's result as the same call over the members' column."""
    column = call.args[0] if call.args else None
    if not isinstance(column, ColumnRef) or column.id not in masks:
        return ()
    return (call.with_children((masks[column.id], *call.args[1:])),)


def _is_numeric(keys: tuple[SortKey, ...]) -> bool:
    """Whether every costly key orders as a number, the order that bounds have."""
    costly = (key.expression for key in keys if costly_calls(key.expression))
    return all(expression.type.is_numeric for expression in costly)
