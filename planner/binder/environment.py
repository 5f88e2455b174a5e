"""What stays the same while a query is bound: the catalog asked, parameters, settings, CTEs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

from sqlglot import exp

from tensorsql.parser.door import nodes_of
from tensorsql.planner.binder.parameters import Parameters
from tensorsql.planner.binder.scope import ROW_ID, Scope, named_columns, renamed
from tensorsql.planner.functions.signatures import Functions
from tensorsql.planner.plans.logical import Reference
from tensorsql.planner.plans.plan import Field, Plan, fresh_id, new_field
from tensorsql.planner.plans.traversal import free_columns
from tensorsql.storage.tables.catalog import Catalog, Relation


class SessionNames(Catalog, Protocol):
    """The catalog as a session has it, and what else a FROM clause may name."""

    def replacement(self, name: str) -> Relation | None:
        """A Python object of this name in the caller's frames, as a relation."""

    def file_relation(
        self, function: str, path: str | tuple[str, ...], options: Mapping[str, Any]
    ) -> Relation:
        """The files of `read_csv`, `read_parquet`, … as one relation; options are Python values.

        `path` may be a glob. IOError where nothing matches; BindError for an unknown option.
        """


class Words:
    """What a statement's text and parameters mention, looked up when first asked."""

    def __init__(self, tree: exp.Expr, values: Sequence[Any] | Mapping[str, Any] | None) -> None:
        self.tree = tree
        self.values = values

    @cached_property
    def row_id(self) -> bool:
        """Whether `rowid` is named anywhere: scans offer it only then."""
        nodes = nodes_of(self.tree)
        names = (node.name for node in nodes if isinstance(node, (exp.Identifier, exp.Literal)))
        values = self.values.values() if isinstance(self.values, Mapping) else self.values or ()
        texts = (value for value in values if isinstance(value, str))
        return any(name.lower() == ROW_ID for name in chain(names, texts))


@dataclass(frozen=True)
class Environment:
    """Names a query may use that no FROM clause gives it. `views` are being expanded right now.

    `functions` are those of the session. `bind_query` binds the queries inside: clauses hold
    expressions, which hold queries.
    """

    catalog: SessionNames
    parameters: Parameters
    settings: Mapping[str, Any]
    words: Words
    bind_query: BindQuery
    functions: Functions
    common_tables: Mapping[str, CommonTable] = field(default_factory=dict)
    views: tuple[str, ...] = ()

    def query(self, node: exp.Expr, outer: Scope | None = None) -> Plan:
        """A query that is part of what is bound; its fields are its columns, in order."""
        return self.bind_query(node, self, outer)

    def with_common_table(self, name: str, table: CommonTable) -> Environment:
        """The environment of what follows a CTE's definition."""
        return dataclasses.replace(self, common_tables={**self.common_tables, name.lower(): table})

    def for_view(self, name: str, tree: exp.Expr) -> Environment:
        """The environment of a view's text, which sees the catalog alone."""
        views = (*self.views, name.lower())
        return dataclasses.replace(self, words=Words(tree, None), common_tables={}, views=views)


BindQuery = Callable[[exp.Expr, Environment, Scope | None], Plan]


@dataclass
class CommonTable:
    """A CTE's definition; `shared` is its plan once a reference needed it."""

    name: str
    query: exp.Expr
    names: tuple[str, ...]
    environment: Environment
    outer: Scope | None
    references: int
    shared_id: int = field(default_factory=fresh_id)
    shared: Plan | None = None
    columns: tuple[Field, ...] = ()

    def plan(self) -> Plan:
        """The CTE's rows where it is used: its own plan, or a reference to the shared one."""
        if self.references <= 1:
            return self._bind()
        if self.shared is None:
            bound = self._bind()
            # What reads columns outside differs from row to row: it cannot run once for all.
            if free_columns(bound):
                self.references = 1
                return bound
            self.shared = bound
        columns = tuple((new_field(item.name, item.type), item.id) for item in self.shared.fields)
        return Reference(self.shared_id, self.name, columns)

    def check(self) -> None:
        """Bind a CTE nothing refers to, for its errors' sake."""
        if self.references == 0:
            self._bind()

    def _bind(self) -> Plan:
        bound = self.environment.query(self.query, self.outer)
        return renamed(bound, named_columns(bound.fields, self.name, self.names))
