"""CTEs: bound where they are used; those used more than once run once, as shared subplans."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.scope import Scope, named_columns
from tensorsql.planner.plans.logical import Reference, With
from tensorsql.planner.plans.plan import Field, Plan, fresh_id, new_field
from tensorsql.planner.plans.traversal import free_columns


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
        from tensorsql.planner.binder.queries import bind_query, renamed

        bound = bind_query(self.query, self.environment, self.outer)
        return renamed(bound, named_columns(bound.fields, self.name, self.names))


def bind_with(
    node: exp.Expr, environment: Environment, outer: Scope | None
) -> tuple[Environment, list[CommonTable]]:
    """The environment with the CTEs of a query's WITH clause."""
    clause = node.args.get("with_")
    if clause is None:
        return environment, []
    found: dict[str, CommonTable] = {}
    uses = _uses(node)
    for definition in clause.expressions:
        name = definition.alias.lower()
        table = _common_table(uses[name], definition, environment, outer)
        if name in found:
            raise BindError(f'WITH defines "{table.name}" twice', position(definition))
        if clause.args.get("recursive") and _uses(definition.this)[name]:
            raise UnsupportedError(f'recursive WITH ("{table.name}" uses itself) is not supported')
        environment = environment.with_common_table(name, table)
        found[name] = table
    return environment, list(found.values())


def _common_table(
    references: int, definition: exp.CTE, environment: Environment, outer: Scope | None
) -> CommonTable:
    hint = definition.args.get("materialized")
    if hint is not None and references:
        references = 2 if hint else 1
    names = tuple(definition.alias_column_names)
    return CommonTable(definition.alias, definition.this, names, environment, outer, references)


def _uses(node: exp.Expr) -> Counter[str]:
    """How often each table name stands in it."""
    tables = node.find_all(exp.Table)
    return Counter(table.name.lower() for table in tables if not table.args.get("db"))


def with_shared(plan: Plan, tables: list[CommonTable]) -> Plan:
    """The plan under the definitions of those CTEs that are shared."""
    shared = tuple(
        (table.shared_id, table.name, table.shared) for table in tables if table.shared is not None
    )
    return With(shared, plan) if shared else plan
