"""CTEs: bound where they are used; those used more than once run once, as shared subplans."""

from __future__ import annotations

from collections import Counter

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.environment import CommonTable, Environment
from tensorsql.planner.binder.scope import Scope
from tensorsql.planner.plans.logical import With
from tensorsql.planner.plans.plan import Plan


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
