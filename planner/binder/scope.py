"""Names in sight: what a FROM clause offers, the aliases of the select list, the scopes outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError, nearest
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.placeholders import is_plain
from tensorsql.planner.plans.expressions import Expression
from tensorsql.planner.plans.logical import Project, Scan, Values
from tensorsql.planner.plans.plan import Field, Fields, Plan
from tensorsql.storage.tables.catalog import told_apart

Columns = tuple[tuple[str, Field], ...]
ROW_ID = "rowid"
NOTHING = Values((), ((),))


@dataclass(frozen=True)
class FromItem:
    """A table as a query names it, with the columns it has under that name.

    `hidden` are names that mean something where no column is called so, `rowid` for one: no star
    has them.
    """

    alias: str
    columns: Columns
    hidden: Columns = ()

    def find(self, name: str) -> list[Field]:
        """The columns of this name in any case."""
        folded = name.lower()
        return self._by_name.get(folded) or [f for own, f in self.hidden if own == folded]

    @cached_property
    def _by_name(self) -> dict[str, list[Field]]:
        columns: dict[str, list[Field]] = {}
        for own, column in self.columns:
            columns.setdefault(own.lower(), []).append(column)
        return columns


@dataclass(frozen=True)
class Tables:
    """What a FROM clause gives: a plan, tables for `t.x`, columns for `x` and `*`.

    After USING a merged column is once in `columns` and in both items.
    """

    plan: Plan
    items: tuple[FromItem, ...] = ()
    columns: Columns = ()

    def find(self, name: str) -> list[Field]:
        """The columns an unqualified name may mean."""
        hits = self._unqualified.find(name)
        hiding = self._hiding.get(name.lower(), ())
        return hits + [f for item, f in hiding if item.find(name) == [f]]

    @cached_property
    def _hiding(self) -> dict[str, list[tuple[FromItem, Field]]]:
        hiding: dict[str, list[tuple[FromItem, Field]]] = {}
        for item in self.items:
            for name, column in item.hidden:
                hiding.setdefault(name, []).append((item, column))
        return hiding

    @cached_property
    def _unqualified(self) -> FromItem:
        return FromItem("", self.columns)

    @cached_property
    def ids(self) -> frozenset[int]:
        """The ids of all columns."""
        hidden = frozenset(column.id for item in self.items for _, column in item.hidden)
        shown = (field.id for item in self.items for _, field in item.columns)
        return hidden.union(shown)

    def item(self, alias: str) -> FromItem | None:
        """The table of this alias."""
        return self._by_alias.get(alias.lower())

    @cached_property
    def _by_alias(self) -> dict[str, FromItem]:
        return {item.alias.lower(): item for item in reversed(self.items)}


def tables_of(plan: Plan, alias: str, names: tuple[str, ...] = ()) -> Tables:
    """A plan as a table called `alias`; `names` rename its first columns."""
    row_id = plan.row_id if isinstance(plan, Scan) else None
    columns = named_columns(tuple(f for f in plan.fields if f is not row_id), alias, names)
    hidden = () if row_id is None else ((ROW_ID, row_id),)
    return Tables(plan, (FromItem(alias, columns, hidden),), columns)


def named_columns(fields: Fields, alias: str, names: tuple[str, ...]) -> Columns:
    """Columns by their own names, the first of them by the names of an alias list.

    Of several columns of one name the later ones are told apart by a number, as in `a_1`.
    """
    if len(names) > len(fields):
        raise BindError(
            f"table {alias} has {len(fields)} columns but {len(names)} column names were given"
        )
    all_names = told_apart((*names, *(item.name for item in fields[len(names) :])))
    return tuple(
        (name, Field(item.id, name, item.type))
        for name, item in zip(all_names, fields, strict=True)
    )


EMPTY = Tables(NOTHING)


def renamed(plan: Plan, columns: Columns) -> Plan:
    """The same columns under other names; the plan itself where the names are the same."""
    if all(name == field.name for (name, _), field in zip(columns, plan.fields, strict=True)):
        return plan
    return Project(plan, tuple((field, field.ref()) for _, field in columns))


class Aliases:
    """The aliases of a select list, each bound once, when it is first used."""

    def __init__(self, nodes: Mapping[str, exp.Expr], bind: Callable[[exp.Expr], Expression]):
        self.nodes = nodes
        self.bind = bind
        self.bound: dict[int, Expression] = {}
        self.active: set[str] = set()

    def find(self, name: str) -> Expression | None:
        """The expression of an alias; None if there is none, or inside its own definition."""
        folded = name.lower()
        node = self.nodes.get(folded)
        if node is None or folded in self.active:
            return None
        self.active.add(folded)
        try:
            return self.expression(node)
        finally:
            self.active.discard(folded)

    def expression(self, node: exp.Expr) -> Expression:
        """The expression of a select item; the same object each time."""
        if id(node) not in self.bound:
            self.bound[id(node)] = self.bind(node)
        return self.bound[id(node)]


@dataclass
class Scope:
    """Where names are looked up: own tables, then own aliases, then outside.

    `aliases_first` turns the first two around.
    """

    tables: Tables = EMPTY
    outer: Scope | None = None
    aliases: Aliases | None = None
    windows: dict[str, exp.Window] = field(default_factory=dict)
    aliases_first: bool = False

    def column(self, parts: tuple[str, ...], node: exp.Expr) -> tuple[Expression, tuple[str, ...]]:
        """What a dotted name means, and the struct fields left to take of it.

        BindError with the nearest names if there is nothing, or more than one thing.
        """
        scope: Scope | None = self
        while scope is not None:
            resolved = scope._own_column(parts, node)
            if resolved is not None:
                if scope is not self and not is_plain(resolved[0]):
                    raise UnsupportedError(
                        f'a subquery cannot use the alias "{parts[0]}" of an aggregate, window '
                        "function or subquery outside it",
                        position(node),
                    )
                return resolved
            scope = scope.outer
        raise self._missing(parts, node)

    def _own_column(
        self, parts: tuple[str, ...], node: exp.Expr
    ) -> tuple[Expression, tuple[str, ...]] | None:
        if len(parts) > 2 and parts[0].lower() == "main" and self.tables.item(parts[1]):
            parts = parts[1:]
        item = self.tables.item(parts[0]) if len(parts) > 1 else None
        if item is not None and (hits := item.find(parts[1])):
            return self._only(hits, ".".join(parts[:2]), node).ref(), parts[2:]
        alias = self._alias(parts) if self.aliases_first else None
        if alias is None and (hits := self.tables.find(parts[0])):
            return self._only(hits, parts[0], node).ref(), parts[1:]
        alias = alias or self._alias(parts)
        return None if alias is None else (alias, ())

    def _alias(self, parts: tuple[str, ...]) -> Expression | None:
        if len(parts) > 1 or self.aliases is None:
            return None
        return self.aliases.find(parts[0])

    @contextmanager
    def preferring_aliases(self, wanted: bool) -> Iterator[None]:
        """Look names up among the aliases first, or not, for a while."""
        before, self.aliases_first = self.aliases_first, wanted
        try:
            yield
        finally:
            self.aliases_first = before

    def _only(self, hits: list[Field], name: str, node: exp.Expr) -> Field:
        if len({hit.id for hit in hits}) == 1:
            return hits[0]
        ids = {hit.id for hit in hits}
        owners = [
            f"{item.alias}.{own}"
            for item in self.tables.items
            for own, column in (*item.columns, *((ROW_ID, hit) for hit in item.find(ROW_ID)))
            if column.id in ids
        ]
        owners = list(dict.fromkeys(owners))
        several = len(owners) > 1
        hint = f"; write {' or '.join(owners)}" if several else "; give each an alias of its own"
        raise BindError(f'column "{name}" is ambiguous{hint}', position(node))

    def _missing(self, parts: tuple[str, ...], node: exp.Expr) -> BindError:
        place = position(node)
        if len(parts) == 1:
            return self._missing_column(parts[0], place)
        items = [item for scope in self.chain() for item in scope.tables.items]
        folded = parts[0].lower()
        item = next((one for one in items if one.alias.lower() == folded), None)
        if item is None:
            hint = nearest(parts[0], [one.alias for one in items])
            return BindError(f'table "{parts[0]}" not found in FROM{hint}', place)
        names = [own for own, _ in item.columns]
        hint = nearest(parts[1], names)
        return BindError(f'column "{parts[1]}" not found in {item.alias}{hint}', place)

    def _missing_column(self, name: str, place: tuple[int, int] | None) -> BindError:
        names = [own for scope in self.chain() for own, _ in scope.tables.columns]
        if self.aliases is not None:
            names += self.aliases.nodes
        owners = ", ".join(item.alias for item in self.tables.items)
        where = f" in {owners}" if owners else ""
        return BindError(f'column "{name}" not found{where}{nearest(name, names)}', place)

    def chain(self) -> list[Scope]:
        """This scope and those outside it."""
        return [self, *(self.outer.chain() if self.outer is not None else [])]
