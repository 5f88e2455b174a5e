"""Domains: the distinct outer values a subplan depends on, and subplans freed of outer columns.

A correlated subplan has to be known only for the distinct values of the outer columns it reads, not
for every outer row (Neumann & Kemper, BTW 2015). Where an inner column may stand in for them, as in
`i.k = o.k`, they are not even computed (Neumann, BTW 2025): so a domain is made when first read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tensorsql.planner.analysis.predicates import is_not_null, null_in_null_out, rejects_null
from tensorsql.planner.plans.expressions import ColumnRef, conjunction
from tensorsql.planner.plans.logical import (
    DependentJoin,
    Distinct,
    Filter,
    Project,
    Reference,
    With,
)
from tensorsql.planner.plans.plan import Field, Plan, fresh_id, new_field
from tensorsql.planner.plans.traversal import clone, free_columns

Mapping = dict[int, ColumnRef]


@dataclass(frozen=True)
class Pushed:
    """A plan freed of outer references: `mapping` outer id → inner column.

    For ids in `exact` NULL in the inner column stands for NULL in the domain; for the others its
    NULLs mean nothing. The inner column may hold more values than the domain.
    """

    plan: Plan
    mapping: Mapping
    exact: frozenset[int]


@dataclass
class Domain:
    """The outer columns a subplan reads, and (only if asked for) a shared plan of their values."""

    left: Plan
    columns: tuple[Field, ...]
    may_substitute: bool
    kind: str
    root: Plan
    definitions: list[tuple[int, str, Plan]] = field(default_factory=list)
    shared_left: Reference | None = None

    @classmethod
    def over(cls, join: DependentJoin, right: Plan, may_substitute: bool) -> Domain:
        """The domain of the left columns that `right` reads."""
        outer = free_columns(right)
        columns = tuple(f for f in join.left.fields if f.id in outer)
        return cls(join.left, columns, may_substitute, join.kind, right)

    @property
    def ids(self) -> frozenset[int]:
        """Ids of the outer columns."""
        return frozenset(column.id for column in self.columns)

    def reference(self) -> Pushed:
        """A fresh reading of the distinct outer values."""
        if not self.definitions:
            self._define()
        shared, name, plan = self.definitions[-1]
        outer = [column.id for column in self.columns]
        fresh = [new_field(column.name, column.type) for column in plan.fields]
        columns = tuple((new, old.id) for new, old in zip(fresh, plan.fields, strict=True))
        mapping = {id: new.ref() for id, new in zip(outer, fresh, strict=True)}
        return Pushed(Reference(shared, name, columns), mapping, frozenset(outer))

    def _define(self) -> None:
        copy, renamed = clone(self.left)
        left_id, domain_id = fresh_id(), fresh_id()
        pairs = tuple((f, renamed[f.id]) for f in self.left.fields)
        self.shared_left = Reference(left_id, "outer", pairs)
        fresh = [new_field(f.name, f.type) for f in self.columns]
        source = tuple((new, renamed[old.id]) for new, old in zip(fresh, self.columns, strict=True))
        distinct = Distinct(Reference(left_id, "outer", source))
        self.definitions = [(left_id, "outer", copy), (domain_id, "domain", distinct)]

    def strict_above(self, plan: Plan) -> bool:
        """Whether every operator above `plan` keeps a row of NULLs a row of NULLs, or drops it."""
        path: list[Project | Filter] = []
        node = self.root
        while node is not plan:
            if not isinstance(node, Project | Filter):
                return False
            path.append(node)
            node = node.input
        return _keeps_null(path, plan.ids)

    def left_side(self) -> Plan:
        """The left input of the final join: itself, or a reading of it if it is shared now."""
        return self.left if self.shared_left is None else self.shared_left

    def wrap(self, plan: Plan) -> Plan:
        """The plan with the shared definitions it needs."""
        return With(tuple(self.definitions), plan) if self.definitions else plan


def _keeps_null(path: list[Project | Filter], ids: frozenset[int]) -> bool:
    for node in reversed(path):
        if isinstance(node, Filter):
            if not rejects_null(node.predicate, ids):
                return False
        elif all(null_in_null_out(value, ids) for _, value in node.assignments):
            ids = node.ids
        else:
            return False
    return True


def made_exact(pushed: Pushed, ids: frozenset[int]) -> Pushed:
    """The same with these ids exact: the others' NULLs, which mean nothing, are dropped.

    An inner column that a filter equates with an outer one has no rows for NULL.
    """
    parts = [is_not_null(pushed.mapping[id]) for id in ids - pushed.exact]
    plan = Filter(pushed.plan, conjunction(parts)) if parts else pushed.plan
    return Pushed(plan, pushed.mapping, pushed.exact | ids)


def inline_shared(plan: With) -> Plan:
    """The body with every reference replaced by a copy of its definition."""
    definitions = {shared: definition for shared, _, definition in plan.definitions}

    def replace_references(node: Plan) -> Plan:
        inputs = tuple(map(replace_references, node.inputs))
        if isinstance(node, Reference) and node.shared in definitions:
            copy, renamed = clone(replace_references(definitions[node.shared]))
            by_id = {f.id: f for f in copy.fields}
            return Project(copy, tuple((f, by_id[renamed[old]].ref()) for f, old in node.columns))
        return node.with_inputs(inputs) if inputs else node

    return replace_references(plan.body)
