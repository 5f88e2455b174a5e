"""Errors of values that come from files, told with the file, the row and the column they stand in.

Nothing is kept for this while a query runs: a cast that failed is found by doing it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import ConversionError, IntegrityError
from tensorsql.operators.columns.layouts import with_validity
from tensorsql.operators.functions.casts import conversion_error, convert
from tensorsql.planner.analysis.provenance import origin
from tensorsql.planner.plans.expressions import Call, ColumnRef, Expression, walk
from tensorsql.planner.plans.logical import Project, Scan
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import walk_plan
from tensorsql.storage.columns.types import Type
from tensorsql.storage.tables.catalog import Relation


@dataclass(frozen=True)
class _Casts:
    """A column of files and the types it is cast to, one after the other."""

    relation: Relation
    column: str
    targets: tuple[Type, ...]


def located(error: ConversionError, plan: Plan) -> ConversionError:
    """The error with the place of its value, if that comes from a file."""
    for casts in dict.fromkeys(_casts_of_files(plan)):
        row = _failing_row(casts, error.message)
        places = casts.relation.places
        if row is not None and places is not None:
            where = f'{places.of([row])}, column "{casts.column}"'
            return ConversionError(f"{where}: {error.message}; {places.cure}", error.position)
    return error


def _casts_of_files(plan: Plan) -> Iterator[_Casts]:
    for node in walk_plan(plan):
        for top in node.expressions:
            for expression in walk(top):
                casts = _casts(node, expression)
                if casts is not None:
                    yield casts


def _casts(node: Plan, expression: Expression) -> _Casts | None:
    targets: list[Type] = []
    while isinstance(expression, Call) and expression.function.name == "cast":
        targets.insert(0, expression.type)
        (expression,) = expression.args
    if not targets or not isinstance(expression, ColumnRef):
        return None
    owner = next((child for child in node.inputs if expression.id in child.ids), None)
    source = None if owner is None else origin(owner, expression.id)
    if source is None or source.scan.relation.places is None:
        return None
    return _Casts(source.scan.relation, source.column, tuple(targets))


def _failing_row(casts: _Casts, message: str) -> int | None:
    """The first row at which one of the casts fails with this message."""
    column = casts.relation.open().read(casts.column, 0, casts.relation.rows)
    for target in casts.targets:
        result, bad = convert(column, target)
        for row in [] if bad is None else torch.nonzero(bad).flatten().tolist():
            check_cancelled()
            if conversion_error(column, row, target).message == message:
                return int(row)
        column = result if bad is None else with_validity(result, bad.logical_not())
    return None


def located_rows(error: IntegrityError, plan: Plan) -> IntegrityError:
    """The error with the places of the rows that break a constraint, if a file's rows go in."""
    while isinstance(plan, Project):
        plan = plan.input
    places = plan.relation.places if isinstance(plan, Scan) else None
    if places is None or not error.rows:
        return error
    return IntegrityError(f"{places.of(error.rows)}: {error.message}; {error.cure}")
