"""Bound statements: what the session carries out, every name resolved and every type checked.

Statements that only answer something (SELECT, DESCRIBE, SHOW, SUMMARIZE) are all `Query`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tensorsql.planner.plans.expressions import ParameterValues
from tensorsql.planner.plans.plan import Plan
from tensorsql.storage.tables.catalog import Relation, TableSchema

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class BoundStatement:
    """Base of all bound statements; `parameters` are the values that it takes from its caller."""

    parameters: ParameterValues = field(
        default_factory=ParameterValues, kw_only=True, compare=False, repr=False
    )


@dataclass(frozen=True)
class Query(BoundStatement):
    """Rows of `plan`, whose fields are the result's columns; `names` are their names."""

    plan: Plan
    names: tuple[str, ...]


@dataclass(frozen=True)
class Explain(BoundStatement):
    """The plan of `inner`; with `analyze` it runs and reports what each operator did."""

    inner: BoundStatement
    analyze: bool = False


@dataclass(frozen=True)
class CreateTable(BoundStatement):
    """A table, empty or filled with the rows of `plan`, whose fields match the schema's columns."""

    schema: TableSchema
    plan: Plan | None = None
    replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class Insert(BoundStatement):
    """Appends the rows of `plan`, which has every column of the table, in order and cast."""

    relation: Relation
    plan: Plan


@dataclass(frozen=True)
class Delete(BoundStatement):
    """Deletes the rows whose ids are the one column of `plan`."""

    relation: Relation
    plan: Plan


@dataclass(frozen=True)
class Update(BoundStatement):
    """Replaces rows: `plan` gives the row id, then every column of the table, in order and cast.

    No row id comes twice.
    """

    relation: Relation
    plan: Plan


@dataclass(frozen=True)
class CreateView(BoundStatement):
    """Keeps the text of a query, which was bound once to check it."""

    name: str
    sql: str
    columns: tuple[str, ...] = ()
    replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class Drop(BoundStatement):
    """Drops a table, view, model or index; `if_exists` forgives a missing one."""

    kind: Literal["table", "view", "model", "index"]
    name: str
    if_exists: bool = False


@dataclass(frozen=True)
class CreateModel(BoundStatement):
    """Reads a model's file and keeps it under a name; `options` is the WITH list."""

    name: str
    source: str
    options: Options = ()
    replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class CreateIndex(BoundStatement):
    """Builds an index by `method` over a table; `arguments` are names and values as given."""

    name: str
    relation: Relation
    method: str
    arguments: tuple[str, ...] = ()
    options: Options = ()
    replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class CopyTo(BoundStatement):
    """Writes the rows of a query to a file; the format is in `options` or follows the name."""

    query: Query
    path: str
    options: Options = ()


@dataclass(frozen=True)
class Set(BoundStatement):
    """Gives a setting a value, as Python has it."""

    name: str
    value: Any


@dataclass(frozen=True)
class Reset(BoundStatement):
    """Gives a setting its default again."""

    name: str


@dataclass(frozen=True)
class Begin(BoundStatement):
    """Begins a transaction."""


@dataclass(frozen=True)
class Commit(BoundStatement):
    """Makes the transaction's changes visible."""


@dataclass(frozen=True)
class Rollback(BoundStatement):
    """Gives the transaction's changes up."""


@dataclass(frozen=True)
class Checkpoint(BoundStatement):
    """Merges small segments and removes what no one reads."""


@dataclass(frozen=True)
class IntegrityCheck(BoundStatement):
    """Compares every file with its checksum."""


def plan_of(statement: BoundStatement) -> Plan | None:
    """The plan that a statement works with, if it has one."""
    match statement:
        case Explain():
            return plan_of(statement.inner)
        case CopyTo():
            return statement.query.plan
    plan: Plan | None = getattr(statement, "plan", None)
    return plan


def runs(statement: BoundStatement) -> bool:
    """Whether that plan is run, and not only shown."""
    return not isinstance(statement, Explain) or statement.analyze
