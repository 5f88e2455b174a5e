"""What the index rules share: which calls are worth an index, and the provenance of their columns.

An index applies where its column comes unchanged from a scan: through filters, joins, sorts and
plain projections. The scan then also gives the row id, which travels beside the column.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from tensorsql.planner.expressions import Call, ColumnRef, Expression, walk
from tensorsql.planner.index_plans import IndexFilter, IndexUse
from tensorsql.planner.logical import Aggregate, Filter, Join, Limit, Project, Scan, Sort, TopN
from tensorsql.planner.plan import Field, Plan, new_field
from tensorsql.planner.traversal import transform_up
from tensorsql.storage.catalog import Relation
from tensorsql.storage.indexes import INDEXES
from tensorsql.storage.types import BIGINT

COSTLY = 1000.0  # per row, relative to adding two integers: more than reading a row's bounds


def costly_calls(expression: Expression) -> tuple[Call, ...]:
    """The calls within an expression that are worth an index."""
    return tuple(
        node for node in walk(expression) if isinstance(node, Call) and node.function.cost >= COSTLY
    )


def find_uses(plan: Plan, calls: Iterable[Call]) -> tuple[Plan, tuple[IndexUse, ...]]:
    """The plan with row ids beside the columns whose calls an index covers, and these indexes."""
    uses: list[IndexUse] = []
    for call in calls:
        column = call.args[0] if call.args else None
        if not isinstance(column, ColumnRef):
            continue
        origin = expose_row_id(plan, column.id)
        if origin is None:
            continue
        for entry in origin.relation.indexes:
            index = INDEXES.get(entry.method)
            if index is not None and index.covers(entry, call, origin.name):
                plan = origin.plan
                use = (column, origin.name, origin.row_id.ref(), entry)
                if use not in uses:
                    uses.append(use)
                break
    return plan, tuple(uses)


@dataclass(frozen=True)
class Origin:
    """Where a column comes from, and the plan that gives its row id as well."""

    plan: Plan
    row_id: Field
    relation: Relation
    name: str


def expose_row_id(plan: Plan, column: int) -> Origin | None:
    """The stored column an output column is, or None if it is computed or of no table."""
    match plan:
        case Scan():
            return _scan(plan, column)
        case Project():
            return _project(plan, column)
        case Filter() | IndexFilter() | Sort() | Limit() | TopN():
            origin = expose_row_id(plan.input, column)
            return origin and dataclasses.replace(origin, plan=plan.with_inputs((origin.plan,)))
        case Join():
            return _join(plan, column)
    return None


def _scan(plan: Scan, column: int) -> Origin | None:
    name = next((name for field, name in plan.columns if field.id == column), None)
    if name is None:
        return None
    row_id = plan.row_id or new_field("row_id", BIGINT)
    scan = plan if plan.row_id is not None else dataclasses.replace(plan, row_id=row_id)
    return Origin(scan, row_id, plan.relation, name)


def _project(plan: Project, column: int) -> Origin | None:
    source = next((e for field, e in plan.assignments if field.id == column), None)
    origin = expose_row_id(plan.input, source.id) if isinstance(source, ColumnRef) else None
    if origin is None:
        return None
    passed = (origin.row_id, origin.row_id.ref())
    assignments = plan.assignments
    if passed not in assignments:
        assignments = (*assignments, passed)
    return dataclasses.replace(origin, plan=Project(origin.plan, assignments))


def _join(plan: Join, column: int) -> Origin | None:
    for place, side in enumerate(plan.inputs):
        if any(field.id == column for field in side.fields):
            origin = expose_row_id(side, column)
            if origin is None or (place == 1 and plan.kind in ("semi", "anti", "mark")):
                return None
            inputs = (origin.plan, plan.right) if place == 0 else (plan.left, origin.plan)
            return dataclasses.replace(origin, plan=plan.with_inputs(inputs))
    return None


def keep_fields(plan: Plan, fields: tuple[Field, ...]) -> Plan:
    """The plan with exactly these output columns, which it has among others."""
    if plan.fields == fields:
        return plan
    return Project(plan, tuple((field, field.ref()) for field in fields))


def drop_trims(plan: Plan) -> Plan:
    """Take out projections that only leave columns away below a node that chooses its own."""

    def rewrite(node: Plan) -> Plan:
        if isinstance(node, Project | Aggregate) and _is_trim(node.input):
            return node.with_inputs(node.input.inputs)
        return node

    return transform_up(plan, rewrite)


def _is_trim(plan: Plan) -> bool:
    return isinstance(plan, Project) and all(
        isinstance(source, ColumnRef) and source.id == field.id
        for field, source in plan.assignments
    )
