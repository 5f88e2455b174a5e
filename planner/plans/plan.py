"""What every plan node is: a frozen dataclass with output fields, inputs and expressions.

A node that computes a column gives it a fresh id (`fresh_id`); ids are never reused, so no rule can
capture a name.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tensorsql.planner.plans.expressions import ColumnRef, Expression, SortKey
from tensorsql.planner.plans.memo import Remembering
from tensorsql.storage.columns.types import Type

_ids = itertools.count(1)


def fresh_id() -> int:
    """A column id no other column has."""
    return next(_ids)


@dataclass(frozen=True)
class Field:
    """An output column: unique id, display name, type."""

    id: int
    name: str
    type: Type

    def ref(self) -> ColumnRef:
        """An expression that reads this column."""
        return ColumnRef(self.type, self.id, self.name)


def new_field(name: str, type: Type) -> Field:
    """A field with a fresh id."""
    return Field(fresh_id(), name, type)


Fields = tuple[Field, ...]
Assignments = tuple[tuple[Field, Expression], ...]


@dataclass(frozen=True)
class Plan(Remembering):
    """Base of all nodes."""

    @cached_property
    def fields(self) -> Fields:
        """Output columns in order."""
        raise NotImplementedError

    @cached_property
    def ids(self) -> frozenset[int]:
        """The ids of the output columns."""
        return frozenset(field.id for field in self.fields)

    @property
    def inputs(self) -> tuple[Plan, ...]:
        """Input plans in order."""
        return ()

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        """The same node over other inputs (which offer the same columns)."""
        return self

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Every expression the node evaluates, in order."""
        return ()

    def with_expressions(self, expressions: tuple[Expression, ...]) -> Plan:
        """The same node with its expressions replaced one for one."""
        return self


class Unary(Plan):
    """Helper: a node with one `input`, whose columns it passes on unless it says otherwise."""

    input: Plan

    @cached_property
    def fields(self) -> Fields:
        return self.input.fields

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.input,)

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        return dataclasses.replace(self, input=inputs[0])  # type: ignore[call-arg]


class Binary(Plan):
    """Helper: a node with the fields `left` and `right`."""

    left: Plan
    right: Plan

    @property
    def inputs(self) -> tuple[Plan, ...]:
        return (self.left, self.right)

    def with_inputs(self, inputs: tuple[Plan, ...]) -> Plan:
        left, right = inputs
        return dataclasses.replace(self, left=left, right=right)  # type: ignore[call-arg]


def reassign(assignments: Any, expressions: tuple[Expression, ...]) -> Any:
    """The assignments with their expressions replaced one for one."""
    return tuple((field, new) for (field, _), new in zip(assignments, expressions, strict=True))


def rekey(keys: tuple[SortKey, ...], expressions: tuple[Expression, ...]) -> tuple[SortKey, ...]:
    """The sort keys with their expressions replaced one for one."""
    return tuple(
        SortKey(new, key.descending, key.nulls_first)
        for key, new in zip(keys, expressions, strict=True)
    )
