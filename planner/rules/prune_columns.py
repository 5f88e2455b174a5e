"""Columns nobody reads."""

from __future__ import annotations

import dataclasses

from tensorsql.planner.plans.expressions import are_same, columns_of
from tensorsql.planner.plans.logical import (
    Aggregate,
    Distinct,
    Join,
    LiteralRows,
    Project,
    Reference,
    Scan,
    SetOperation,
    Unnest,
    Values,
    Window,
    With,
)
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import walk_plan

Needed = frozenset[int]


def prune_columns(plan: Plan) -> Plan:
    """Drop every column that neither the result nor an expression above reads.

    `SELECT a FROM (SELECT a, f(b) AS c FROM t)` reads `a` alone from storage.
    """
    return _prune(plan, plan.ids)


def _prune(plan: Plan, needed: Needed) -> Plan:
    match plan:
        case Scan():
            return _scan(plan, needed)
        case Project():
            return _project(plan, needed)
        case Aggregate():
            return _aggregate(plan, needed)
        case Window():
            return _window(plan, needed)
        case SetOperation():
            return _set_operation(plan, needed)
        case With():
            return _with(plan, needed)
        case Reference():
            columns = tuple(pair for pair in plan.columns if pair[0].id in needed)
            return plan if columns == plan.columns else dataclasses.replace(plan, columns=columns)
        case Values():
            return _values(plan, needed)
        case LiteralRows():
            return _literal_rows(plan, needed)
        case Distinct(on=None):
            return _inputs(plan, plan.input.ids)
        case Unnest():
            return _unnest(plan, needed)
        case Join():
            return _join(plan, needed | _read(plan))
    return _inputs(plan, needed | _read(plan))


def _read(plan: Plan) -> Needed:
    return frozenset(id for expression in plan.expressions for id in columns_of(expression))


def _inputs(plan: Plan, needed: Needed) -> Plan:
    old = plan.inputs
    new = tuple(_prune(child, needed) for child in old)
    same = are_same(new, old)
    return plan if same else plan.with_inputs(new)


def _join(plan: Join, needed: Needed) -> Plan:
    """A join copies its inputs' columns, so what only the inputs needed is left out before it."""
    new = tuple(_trimmed(_prune(child, needed), needed) for child in plan.inputs)
    same = are_same(new, plan.inputs)
    return plan if same else plan.with_inputs(new)


def _trimmed(plan: Plan, needed: Needed) -> Plan:
    wanted = tuple((field, field.ref()) for field in plan.fields if field.id in needed)
    return plan if len(wanted) == len(plan.fields) else Project(plan, wanted)


def _scan(plan: Scan, needed: Needed) -> Plan:
    wanted = needed | _read(plan)
    columns = tuple(pair for pair in plan.columns if pair[0].id in wanted)
    row_id = plan.row_id if plan.row_id is not None and plan.row_id.id in wanted else None
    if columns == plan.columns and row_id == plan.row_id:
        return plan
    return dataclasses.replace(plan, columns=columns, row_id=row_id)


def _project(plan: Project, needed: Needed) -> Plan:
    wanted = tuple(pair for pair in plan.assignments if pair[0].id in needed)
    if wanted != plan.assignments:
        plan = Project(plan.input, wanted)
    return _inputs(plan, _read(plan))


def _aggregate(plan: Aggregate, needed: Needed) -> Plan:
    wanted = tuple(pair for pair in plan.aggregates if pair[0].id in needed)
    if wanted != plan.aggregates and (wanted or plan.keys):
        plan = dataclasses.replace(plan, aggregates=wanted)
    return _inputs(plan, _read(plan))


def _window(plan: Window, needed: Needed) -> Plan:
    wanted = tuple(pair for pair in plan.calls if pair[0].id in needed)
    if not wanted:
        return _prune(plan.input, needed)
    if wanted != plan.calls:
        plan = dataclasses.replace(plan, calls=wanted)
    return _inputs(plan, needed | _read(plan))


def _unnest(plan: Unnest, needed: Needed) -> Plan:
    dropped = plan.input.ids - needed
    if dropped != plan.dropped:
        plan = dataclasses.replace(plan, dropped=dropped)
    return _inputs(plan, needed | _read(plan))


def _set_operation(plan: SetOperation, needed: Needed) -> Plan:
    if plan.kind != "union" or not plan.all:
        return _inputs(plan, frozenset(f.id for child in plan.inputs for f in child.fields))
    wanted = [i for i, field in enumerate(plan.columns) if field.id in needed]
    if len(wanted) == len(plan.columns):
        return _inputs(plan, frozenset(f.id for child in plan.inputs for f in child.fields))
    sides = []
    for child in plan.inputs:
        pairs = tuple((child.fields[i], child.fields[i].ref()) for i in wanted)
        sides.append(_prune(Project(child, pairs), frozenset(field.id for field, _ in pairs)))
    columns = tuple(plan.columns[i] for i in wanted)
    return dataclasses.replace(plan, left=sides[0], right=sides[1], columns=columns)


def _with(plan: With, needed: Needed) -> Plan:
    """Body first, then definitions from last to first: each sees all its readers pruned."""
    body = _prune(plan.body, needed)
    referenced: list[tuple[int, str, Plan]] = []
    for shared, name, definition in reversed(plan.definitions):
        read = _references(shared, (body, *(later for _, _, later in referenced)))
        if read is not None:
            referenced.append((shared, name, _prune(definition, read)))
    definitions = tuple(reversed(referenced))
    if not definitions:
        return body
    same = body is plan.body and len(referenced) == len(plan.definitions)
    if same and all(a[2] is b[2] for a, b in zip(definitions, plan.definitions, strict=True)):
        return plan
    return With(definitions, body)


def _references(shared: int, readers: tuple[Plan, ...]) -> Needed | None:
    """Columns the readers take from a shared plan; None if nobody reads it."""
    references = [
        node
        for reader in readers
        for node in walk_plan(reader)
        if isinstance(node, Reference) and node.shared == shared
    ]
    if not references:
        return None
    return frozenset(source for node in references for _, source in node.columns)


def _values(plan: Values, needed: Needed) -> Plan:
    wanted = [i for i, field in enumerate(plan.columns) if field.id in needed]
    if len(wanted) == len(plan.columns):
        return plan
    rows = tuple(tuple(row[i] for i in wanted) for row in plan.rows)
    return Values(tuple(plan.columns[i] for i in wanted), rows)


def _literal_rows(plan: LiteralRows, needed: Needed) -> Plan:
    wanted = [i for i, field in enumerate(plan.columns) if field.id in needed]
    if len(wanted) == len(plan.columns):
        return plan
    values = tuple(plan.values[i] for i in wanted)
    return LiteralRows(tuple(plan.columns[i] for i in wanted), values, plan.count)
