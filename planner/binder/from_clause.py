"""FROM: tables, views, files, subqueries, table functions and the joins between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError, nearest
from tensorsql.parser.dialect import position, text_of
from tensorsql.planner.binder import table_functions
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.placeholders import SubqueryExpression, contains
from tensorsql.planner.binder.scope import (
    EMPTY,
    Columns,
    FromItem,
    Scope,
    Tables,
    named_columns,
    tables_of,
)
from tensorsql.planner.binder.subqueries import dependent, filtered
from tensorsql.planner.binder.tables import alias_of, bind_table
from tensorsql.planner.functions.resolve import resolve
from tensorsql.planner.plans.expressions import TRUE, Expression, conjunction
from tensorsql.planner.plans.logical import Join, JoinKind, Project
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.planner.plans.traversal import free_columns


def bind_from(node: exp.Select, environment: Environment, outer: Scope | None) -> Tables:
    """The FROM clause and its joins; one row without columns if there is none."""
    clause = node.args.get("from_")
    if clause is None:
        return EMPTY
    return bind_joined(clause.this, node.args.get("joins") or [], environment, outer)


def bind_joined(
    first: exp.Expr, rest: Sequence[exp.Join], environment: Environment, outer: Scope | None
) -> Tables:
    """A table and the tables joined to it, left to right; JOIN binds closer than a comma."""
    tables = bind_item(first, environment, outer)
    return bind_joins(tables, [*(first.args.get("joins") or []), *rest], environment, outer)


def bind_joins(
    tables: Tables, nodes: Sequence[exp.Join], environment: Environment, outer: Scope | None
) -> Tables:
    """`tables` joined with one item after the other."""
    for node, closer in by_comma(nodes):
        join_kind(node)  # tells of joins that there are not before their tables are bound
        # As in DuckDB an item may read the ones before it, with or without the word LATERAL.
        right = bind_joined(node.this, closer, environment, Scope(tables, outer))
        tables = bind_join(tables, right, node, environment, outer)
    return tables


def bind_item(node: exp.Expr, environment: Environment, outer: Scope | None) -> Tables:
    """One item of a FROM clause under its alias. `outer` sees the items before it."""
    match node:
        case exp.Table() if isinstance(node.this, (exp.Unnest, exp.Values)):
            return bind_item(node.this, environment, outer)
        case exp.Table() if isinstance(node.this, (exp.Anonymous, exp.Func)):
            return table_functions.bind_call(node, bind_item, environment, outer)
        case exp.Table():
            return bind_table(node, environment)
        case exp.Unnest():
            return table_functions.bind_unnest(node, environment, outer)
        case exp.Subquery() if _is_join(node):
            return _parenthesized(node, environment, outer)
        case exp.Subquery() | exp.Values():
            return _derived(node, environment, outer)
    raise UnsupportedError(f"{text_of(node)} is not supported in FROM", position(node))


def _is_join(node: exp.Expr) -> bool:
    """Whether it is tables in parentheses, not a query."""
    inner = node.this
    if isinstance(inner, exp.Subquery):
        return not node.args.get("alias") or bool(inner.args.get("joins")) or _is_join(inner)
    return isinstance(inner, exp.Table)


def _parenthesized(node: exp.Subquery, environment: Environment, outer: Scope | None) -> Tables:
    """`(a JOIN b ON …)`: the tables inside keep their names, unless an alias hides them."""
    tables = bind_joined(node.this, [], environment, outer)
    alias, names = alias_of(node)
    if not alias:
        return tables
    columns = named_columns(tuple(field for _, field in tables.columns), alias, names)
    return Tables(tables.plan, (FromItem(alias, columns),), columns)


def _derived(node: exp.Expr, environment: Environment, outer: Scope | None) -> Tables:
    alias, names = alias_of(node)
    plan = environment.query(node, outer)
    return tables_of(plan, alias or "unnamed_subquery", names)


JOIN_KINDS: dict[str, JoinKind] = {
    "": "inner",
    "INNER": "inner",
    "CROSS": "inner",
    "LEFT": "left",
    "RIGHT": "right",
    "FULL": "full",
    "SEMI": "semi",
    "ANTI": "anti",
}
LATERAL_KINDS = ("inner", "left", "semi", "anti")


def by_comma(nodes: Sequence[exp.Join]) -> Iterator[tuple[exp.Join, Sequence[exp.Join]]]:
    """The joins in order, each with those behind it that belong to its item of a FROM list.

    Where it makes no difference they stay by themselves: an inner, left, semi or anti join with ON
    gives the same rows after the comma's product as before it.
    """
    commas = [place for place, node in enumerate(nodes) if _is_comma(node)]
    for start, stop in pairwise([0, *commas, len(nodes)]):
        item = nodes[start:stop]
        if item and _is_comma(item[0]) and any(map(_reads_its_item, item[1:])):
            yield item[0], item[1:]
        else:
            yield from ((node, ()) for node in item)


def _is_comma(node: exp.Join) -> bool:
    return not any(node.args.get(key) for key in ("method", "side", "kind", "on", "using"))


def _reads_its_item(node: exp.Join) -> bool:
    """Whether a join depends on which tables are its left side."""
    named = node.args.get("using") or (node.method or "").upper() == "NATURAL"
    return bool(named) or join_kind(node) in ("right", "full")


def bind_join(
    left: Tables, right: Tables, node: exp.Join, environment: Environment, outer: Scope | None
) -> Tables:
    """`left` joined with one more item."""
    kind = join_kind(node)
    _check_aliases(left, right, node)
    using = _using_names(node, left, right)
    if using is not None:
        return _using_join(kind, left, right, using, node)
    condition = node.args.get("on")
    if condition is None:
        if node.side:
            raise BindError(f"{node.side} JOIN needs ON or USING", position(node))
        return _combined(kind, left, right, TRUE)
    both = Tables(left.plan, left.items + right.items, left.columns + right.columns)
    predicate = ExpressionBinder(environment, Scope(both, outer)).condition(condition, "ON")
    if not contains(predicate, SubqueryExpression):
        return _combined(kind, left, right, predicate)
    if kind != "inner":
        raise UnsupportedError("a subquery in ON of an outer join", position(condition))
    joined = _combined(kind, left, right, TRUE)
    return Tables(filtered(joined.plan, predicate), joined.items, joined.columns)


def join_kind(node: exp.Join) -> JoinKind:
    """The kind of join that is written."""
    method = (node.method or "").upper()
    if method not in ("", "NATURAL"):
        raise UnsupportedError(f"{method} JOIN is not supported", position(node))
    words = f"{node.side or ''} {(node.kind or '').removesuffix('OUTER')}".strip().upper()
    kind = JOIN_KINDS.get(words)
    if kind is None or (node.kind == "OUTER" and not node.side):
        raise UnsupportedError(f"{words or 'OUTER'} JOIN is not supported", position(node))
    return kind


def _check_aliases(left: Tables, right: Tables, node: exp.Join) -> None:
    for item in right.items:
        if item.alias and item.alias != "unnamed_subquery" and left.item(item.alias):
            raise BindError(
                f'two tables are called "{item.alias}"; give one another alias', position(node)
            )


def _joined(kind: JoinKind, left: Plan, right: Plan, condition: Expression) -> Plan:
    offered = left.ids
    if not free_columns(right) & offered:
        return Join(kind, left, right, condition)
    if kind not in LATERAL_KINDS:
        raise BindError(f"a {kind} join cannot read the tables before it (LATERAL)")
    return dependent(kind, left, right, condition)  # type: ignore[arg-type]


def _combined(kind: JoinKind, left: Tables, right: Tables, condition: Expression) -> Tables:
    plan = _joined(kind, left.plan, right.plan, condition)
    if kind in ("semi", "anti"):
        return Tables(plan, left.items, left.columns)
    return Tables(plan, left.items + right.items, left.columns + right.columns)


def _using_names(node: exp.Join, left: Tables, right: Tables) -> list[str] | None:
    if using := node.args.get("using"):
        return [item.name for item in using]
    if (node.method or "").upper() != "NATURAL":
        return None
    there = {name.lower() for name, _ in right.columns}
    shared = list(dict.fromkeys(name for name, _ in left.columns if name.lower() in there))
    if not shared:
        raise BindError("a natural join needs a column both tables have", position(node))
    return shared


def _using_join(
    kind: JoinKind, left: Tables, right: Tables, names: Sequence[str], node: exp.Join
) -> Tables:
    pairs = [(_one(left, name, node), _one(right, name, node)) for name in names]
    equal = [resolve("=", [a.ref(), b.ref()]) for a, b in pairs]
    joined = _combined(kind, left, right, conjunction(equal))
    if kind in ("semi", "anti"):
        return joined
    plan, merged = _merged(kind, joined.plan, pairs)
    folded = {name.lower(): field for name, field in zip(names, merged, strict=True)}
    columns = _with_merged(left.columns, folded) + _without(right.columns, folded)
    return Tables(plan, joined.items, columns)


def _merged(
    kind: JoinKind, plan: Plan, pairs: Sequence[tuple[Field, Field]]
) -> tuple[Plan, list[Field]]:
    """The columns USING shows once: those of the side that is never padded, or whichever is set."""
    if kind != "full":
        return plan, [b if kind == "right" else a for a, b in pairs]
    values = [resolve("coalesce", [a.ref(), b.ref()]) for a, b in pairs]
    fields = [new_field(a.name, value.type) for (a, _), value in zip(pairs, values, strict=True)]
    own = tuple((field, field.ref()) for field in plan.fields)
    return Project(plan, (*own, *zip(fields, values, strict=True))), fields


def _one(tables: Tables, name: str, node: exp.Join) -> Field:
    hits = tables.find(name)
    if len({hit.id for hit in hits}) == 1:
        return hits[0]
    if hits:
        raise BindError(f'column "{name}" of USING is ambiguous', position(node))
    hint = nearest(name, [own for own, _ in tables.columns])
    owners = ", ".join(item.alias for item in tables.items)
    raise BindError(f'column "{name}" of USING not found in {owners}{hint}', position(node))


def _with_merged(columns: Columns, merged: dict[str, Field]) -> Columns:
    return tuple((name, merged.get(name.lower(), field)) for name, field in columns)


def _without(columns: Columns, merged: dict[str, Field]) -> Columns:
    return tuple((name, field) for name, field in columns if name.lower() not in merged)
