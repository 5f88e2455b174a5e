"""Where a column comes from: the scan and stored column it is an unchanged copy of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tensorsql.planner.plans.expressions import ColumnRef
from tensorsql.planner.plans.index_plans import IndexFilter, IndexTopN
from tensorsql.planner.plans.logical import (
    Aggregate,
    DependentJoin,
    Distinct,
    Filter,
    Join,
    Limit,
    Project,
    Scan,
    Sort,
    TopN,
    Unnest,
    Window,
)
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.storage.columns.types import BIGINT
from tensorsql.storage.tables.catalog import Relation, TableName

# Nodes that pass their inputs' columns on as they are.
PASSING = (
    *(Filter, IndexFilter, Sort, Limit, TopN),
    *(Window, Unnest, Distinct, Join, DependentJoin),
)


StoredColumn = tuple[TableName | Relation, str]


@dataclass(frozen=True)
class Origin:
    """`column` of the relation that `scan` reads."""

    scan: Scan
    column: str

    @property
    def stored(self) -> StoredColumn:
        """The column as programs name it."""
        return self.scan.relation.reference, self.column


def origin(plan: Plan, id: int) -> Origin | None:
    """The stored column a column of the plan copies row by row, or None if it is computed."""
    scanned = _scanned(plan, id)
    if scanned is None:
        return None
    names = {field.id: name for field, name in scanned[0].columns}
    return Origin(scanned[0], names[scanned[1]]) if scanned[1] in names else None


def is_row_id(plan: Plan, id: int, scan: Scan) -> bool:
    """Whether a column of the plan is a copy of the scan's row id."""
    return scan.row_id is not None and _scanned(plan, id) == (scan, scan.row_id.id)


def _scanned(plan: Plan, id: int) -> tuple[Scan, int] | None:
    """The scan a column comes from unchanged, and the id it has there."""
    match plan:
        case Scan():
            return plan, id
        case Project():
            source = next((e for field, e in plan.assignments if field.id == id), None)
            return _scanned(plan.input, source.id) if isinstance(source, ColumnRef) else None
        case Aggregate():
            source = next((e for field, e in plan.keys if field.id == id), None)
            return _scanned(plan.input, source.id) if isinstance(source, ColumnRef) else None
    if isinstance(plan, (*PASSING, IndexTopN)):
        owner = next((p for p in plan.inputs if id in p.ids), None)
        return None if owner is None else _scanned(owner, id)
    return None


@dataclass(frozen=True)
class Exposed:
    """`plan` with the field `row_id` beside column `name` of `relation`."""

    plan: Plan
    row_id: Field
    relation: Relation
    name: str


def expose_row_id(plan: Plan, id: int) -> Exposed | None:
    """The plan with the row id of a stored column it passes on; None if it has none or loses it."""
    source = origin(plan, id)
    if source is None:
        return None
    row_id = source.scan.row_id or new_field("row_id", BIGINT)
    carried = carry(plan, source.scan, row_id)
    if carried is None:
        return None
    return Exposed(carried, row_id, source.scan.relation, source.column)


def carry(plan: Plan, scan: Scan, field: Field) -> Plan | None:
    """The plan with `field`, which `scan` has or is to have as its row id, among its columns.

    None where the way from the scan up loses rows' identity (aggregates, set operations, DISTINCT).
    """
    if plan is scan:
        return scan if field.id in scan.ids else dataclasses.replace(scan, row_id=field)
    if isinstance(plan, Distinct) and plan.on is None:
        return None
    if not isinstance(plan, (Project, *PASSING)):
        return None
    for place, child in enumerate(plan.inputs):
        carried = carry(child, scan, field)
        if carried is not None:
            inputs = (*plan.inputs[:place], carried, *plan.inputs[place + 1 :])
            return _with_field(plan.with_inputs(inputs), field)
    return None


def _with_field(plan: Plan, field: Field) -> Plan | None:
    if field.id in plan.ids:
        return plan
    if isinstance(plan, Project):
        return dataclasses.replace(plan, assignments=(*plan.assignments, (field, field.ref())))
    return None
