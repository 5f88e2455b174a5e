"""What a plan rests on: while it holds, the plan answers rightly at any snapshot.

Rules prove things of the rows that a table has; where these have changed, what was proven is looked
at again, and the statement has to be planned again if it is true no longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from tensorsql.planner.analysis.facts import unique_columns
from tensorsql.planner.functions.unify import cast
from tensorsql.planner.plans.expressions import (
    Expression,
    Literal,
    Parameter,
    ParameterKey,
    ParameterValues,
    are_same,
    transform,
)
from tensorsql.planner.plans.logical import Aggregate, Join, Scan
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import rebuild, walk_plan
from tensorsql.storage.tables.catalog import Relation, TableName, TableSchema


@dataclass(frozen=True)
class TableBasis:
    """What was seen of a table at a version: its columns, which of them are unique, and how
    many rows it has if that is one or none and may matter."""

    table: TableName
    version: int
    schema: TableSchema
    unique: frozenset[str]
    row_bound: int | None

    def holds(self, relation: Relation) -> bool:
        """Whether it is true of the table as it is at another snapshot."""
        if relation.version == self.version:
            return True
        few = self.row_bound is None or relation.live_rows <= self.row_bound
        same = few and relation.schema == self.schema
        return same and unique_columns(relation, self.unique) == self.unique


@dataclass(frozen=True)
class Basis:
    """Tables as they were seen, and the parameters a plan was made with: others have to be of the
    same types, and those that were `decisive` the same."""

    tables: tuple[TableBasis, ...] = ()
    parameters: Mapping[ParameterKey, Literal] = field(default_factory=dict)
    decisive: frozenset[ParameterKey] = frozenset()

    def takes(self, values: Mapping[ParameterKey, Literal]) -> bool:
        """Whether the plan answers for these values, too."""
        return all(
            key in values
            and values[key].type == planned.type
            and (key not in self.decisive or values[key] == planned)
            for key, planned in self.parameters.items()
        )


def with_values(item: Any, values: Mapping[ParameterKey, Literal]) -> Any:
    """Whatever holds expressions, with these values in place of parameters."""
    if isinstance(item, Expression):
        return transform(item, lambda part: _valued(part, values))
    if isinstance(item, tuple):
        parts = tuple(with_values(part, values) for part in item)
        return item if are_same(parts, item) else parts
    if isinstance(item, Mapping):
        return {key: with_values(part, values) for key, part in item.items()}
    if isinstance(item, type) or not is_dataclass(item):
        return item
    return rebuild(item, lambda part: with_values(part, values))


def _valued(part: Expression, values: Mapping[ParameterKey, Literal]) -> Expression:
    if not isinstance(part, Parameter):
        return part
    valued: Expression = values[part.key]
    for kind in part.types[1:]:
        valued = cast(valued, kind)
    return valued


def basis_of(plan: Plan, parameters: ParameterValues) -> Basis:
    """What an optimized plan rests on."""
    nodes = tuple(walk_plan(plan))
    joined = any(isinstance(node, Join) for node in nodes)
    keyed = joined or any(isinstance(node, Aggregate) and node.keys for node in nodes)
    scans = (node for node in nodes if isinstance(node, Scan))
    tables = tuple(basis for scan in scans if (basis := _basis_of_scan(scan, joined, keyed)))
    return Basis(tables, parameters.values, frozenset(parameters.decisive))


def _basis_of_scan(scan: Scan, joined: bool, keyed: bool) -> TableBasis | None:
    relation, bound = scan.relation, scan.relation.live_rows
    table = relation.reference
    if isinstance(table, Relation):  # it is what it was when it was bound
        return None
    # Whichever of its columns are: a rule may have dropped the one that proved something.
    names = [column.name for column in relation.schema.columns] if keyed else []
    unique = unique_columns(relation, names)
    few = bound if joined and bound <= 1 else None
    return TableBasis(table, relation.version, relation.schema, unique, few)
