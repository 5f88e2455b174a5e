"""What stays the same while a query is bound: catalog, parameters, settings, CTEs in sight."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from tensorsql.parser.door import nodes_of
from tensorsql.planner.binder.catalog import BindCatalog
from tensorsql.planner.binder.scope import ROW_ID

if TYPE_CHECKING:
    from tensorsql.planner.binder.common_tables import CommonTable
    from tensorsql.planner.binder.parameters import Parameters


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
        given = self.values.values() if isinstance(self.values, Mapping) else self.values or ()
        texts = (value for value in given if isinstance(value, str))
        return any(name.lower() == ROW_ID for name in chain(names, texts))


@dataclass(frozen=True)
class Environment:
    """Names a query may use that no FROM clause gives it. `views` are being expanded right now."""

    catalog: BindCatalog
    parameters: Parameters
    settings: Mapping[str, Any]
    words: Words
    common_tables: Mapping[str, CommonTable] = field(default_factory=dict)
    views: tuple[str, ...] = ()

    def with_common_table(self, name: str, table: CommonTable) -> Environment:
        """The environment of what follows a CTE's definition."""
        return dataclasses.replace(self, common_tables={**self.common_tables, name.lower(): table})

    def for_view(self, name: str, tree: exp.Expr) -> Environment:
        """The environment of a view's text, which sees the catalog alone."""
        views = (*self.views, name.lower())
        return dataclasses.replace(self, words=Words(tree, None), common_tables={}, views=views)
