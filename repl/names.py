"""The names a connection knows, for completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tensorsql.errors import Error
from tensorsql.parser.dialect import parse
from tensorsql.planner.binder import bind
from tensorsql.planner.binder.table_functions import TABLE_FUNCTIONS
from tensorsql.planner.functions.resolve import EXPANSIONS
from tensorsql.repl.words import words
from tensorsql.session_catalog import SessionCatalog
from tensorsql.settings import SETTINGS

if TYPE_CHECKING:
    from tensorsql.session import Session
    from tensorsql.session_catalog import SessionCatalog

# Functions that SQL writes as operators or keywords, or that only plans call.
NOT_CALLED = words(
    """
    and or not in like ilike case cast try_cast negate is_null is_not_null is_distinct_from
    is_not_distinct_from current_date box_corners mask_avg mask_intersect mask_union
    neuron_activations neuron_distance neuron_score
    """
)


@dataclass(frozen=True)
class Names:
    """What can be completed: tables and views with their columns, and names of other things."""

    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    table_functions: tuple[str, ...] = ()


def names_of(session: Session) -> Names:
    """The names in the session's latest snapshot; never imports torch."""
    with session.open_transaction() as transaction:
        catalog = SessionCatalog(transaction, session.registered)
        tables = {name: _columns(catalog, name) for name in catalog.table_names()}
        tables |= {name: _view_columns(catalog, name, session) for name in catalog.view_names()}
        models = tuple(catalog.model_names())
    settings = tuple(setting.name for setting in SETTINGS)
    return Names(tables, models, settings, functions(session), table_functions())


def functions(session: Session) -> tuple[str, ...]:
    """The functions that are called by name."""
    called = {name for name in (*session.functions, *EXPANSIONS) if name[0].isalpha()}
    return tuple(sorted(called.difference(NOT_CALLED)))


def table_functions() -> tuple[str, ...]:
    """The functions that stand where a table may."""
    return tuple(sorted(TABLE_FUNCTIONS))


def _columns(catalog: SessionCatalog, name: str) -> tuple[str, ...]:
    relation = catalog.relation(name)
    return () if relation is None else tuple(column.name for column in relation.schema.columns)


def _view_columns(catalog: SessionCatalog, name: str, session: Session) -> tuple[str, ...]:
    quoted = name.replace('"', '""')
    try:
        (tree,) = parse(f'SELECT * FROM "{quoted}"')
        return tuple(
            getattr(bind(tree, catalog, (), session.settings, session.functions), "names", ())
        )
    except Error:
        return ()  # a view whose table is gone has no columns to offer
