"""What stays the same while a query is bound: catalog, parameters, settings, CTEs in sight."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tensorsql.planner.binder.catalog import BindCatalog

if TYPE_CHECKING:
    from tensorsql.planner.binder.common_tables import CommonTable
    from tensorsql.planner.binder.parameters import Parameters


@dataclass(frozen=True)
class Environment:
    """Names a query may use that no FROM clause gives it. `views` are being expanded right now."""

    catalog: BindCatalog
    parameters: Parameters
    settings: Mapping[str, Any]
    common_tables: Mapping[str, CommonTable] = field(default_factory=dict)
    views: tuple[str, ...] = ()

    def with_common_table(self, name: str, table: CommonTable) -> Environment:
        """The environment of what follows a CTE's definition."""
        return dataclasses.replace(self, common_tables={**self.common_tables, name.lower(): table})

    def for_view(self, name: str) -> Environment:
        """The environment of a view's text, which sees the catalog alone."""
        return dataclasses.replace(self, common_tables={}, views=(*self.views, name.lower()))
