"""Plans kept for the next time the same text is asked.

A kept plan is found by text and kinds of parameters. It is used again where all that it was bound
with is as it was: what the catalog said of each name that binding asked it for, settings,
functions, the day; and where what the plan rests on (planner/analysis/basis.py) is still true and
its tables have about as many rows. Rows are those of the snapshot it runs at.
"""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from tensorsql.errors import Error, InternalError
from tensorsql.planner.binder.parameters import Parameters
from tensorsql.planner.plans.bound_statements import BoundStatement, Query
from tensorsql.planner.plans.logical import Scan
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import transform_up
from tensorsql.session_catalog import Lookups, SessionCatalog
from tensorsql.storage.tables.catalog import Relation

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Program

Arguments = Sequence[Any] | Mapping[str, Any]
today = datetime.date.today


@dataclass(frozen=True)
class Asked:
    """A text with its parameters, and what of the session it is bound and planned with."""

    sql: str
    arguments: Arguments
    settings: Mapping[str, Any]
    functions: Any
    day: datetime.date = field(default_factory=lambda: today())

    @property
    def key(self) -> Any:
        """The text and the kinds of its parameters."""
        if isinstance(self.arguments, Mapping):
            return self.sql, tuple((name, type(each)) for name, each in self.arguments.items())
        return self.sql, tuple(map(type, self.arguments))

    def is_like(self, other: Asked) -> bool:
        """Whether the rest is the same."""
        same = self.settings == other.settings and self.day == other.day
        return same and self.functions is other.functions


@dataclass(frozen=True)
class Prepared:
    """A statement ready to run: bound, its plan optimized, its program compiled.

    `plan` and `program` are None for a statement that has none, or only shows it.
    """

    statement: BoundStatement
    plan: Plan | None = None
    program: Program | None = None


@dataclass(frozen=True)
class Kept:
    """A prepared query, its tree, and what has to be as it was."""

    asked: Asked
    tree: exp.Expr
    prepared: Prepared
    lookups: Lookups

    def ready(self, asked: Asked, catalog: SessionCatalog) -> Prepared | None:
        """The query with other parameters at another snapshot; None if it has to be planned."""
        if not asked.is_like(self.asked) or not catalog.answers_alike(self.lookups):
            return None
        program = self.prepared.program
        assert program is not None
        parameters = Parameters(self.tree, asked.arguments)
        try:
            for key in program.basis.parameters:
                parameters.parameter(key)
        except Error:  # planning says what is wrong with them
            return None
        taken = parameters.taken
        holds = program.basis.takes(taken.values) and all(
            each.holds(catalog.table(each.table.name)) for each in program.basis.tables
        )
        statement = replace(self.prepared.statement, parameters=taken)
        return replace(self.prepared, statement=statement) if holds else None


class PlanCache:
    """A connection's kept plans; the least recently used one goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, Kept] = OrderedDict()
        self._lock = Lock()

    def find(self, asked: Asked) -> Kept | None:
        """What is kept for the text with parameters of these kinds."""
        with self._lock:
            kept = self._kept.get(asked.key)
            if kept is not None:
                self._kept.move_to_end(asked.key)
            return kept

    def keep(
        self, asked: Asked, trees: Sequence[exp.Expr], prepared: Prepared, lookups: Lookups
    ) -> None:
        """Keep a query that is alone in its text and reads only tables and registered objects."""
        size = asked.settings["plan_cache"]
        with self._lock:
            if size and len(trees) == 1 and _is_lasting(trees[0], prepared, lookups):
                bare = Asked(asked.sql, (), asked.settings, asked.functions, asked.day)
                self._kept[asked.key] = Kept(bare, trees[0], _without_rows(prepared), lookups)
                self._kept.move_to_end(asked.key)
            while len(self._kept) > size:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def _is_lasting(tree: exp.Expr, prepared: Prepared, lookups: Lookups) -> bool:
    runs = isinstance(prepared.statement, Query) and prepared.program is not None
    return runs and isinstance(tree, exp.Query) and lookups.lasting


def _without_rows(prepared: Prepared) -> Prepared:
    """Without what tables' relations hold of their snapshot, which need not live on for it."""
    assert isinstance(prepared.statement, Query)
    assert prepared.plan is not None
    bare = transform_up(prepared.plan, _bare)
    return replace(prepared, statement=replace(prepared.statement, plan=bare), plan=bare)


def _bare(node: Plan) -> Plan:
    if not isinstance(node, Scan) or isinstance(node.relation.reference, Relation):
        return node
    return replace(node, relation=replace(node.relation, open=_closed, statistics={}, indexes=()))


def _closed() -> Any:
    raise InternalError("a kept plan reads its tables through the catalog")
