"""CHI, the Cumulative Histogram Index over a MASK column: `CREATE INDEX … USING CHI (mask)`.

Options: `cell`, pixels per side of a grid cell (0 = by the masks' size), and `bins`, value bins
between 0 and 1. Deleted rows need nothing: their row ids are never asked for again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tensorsql.errors import BindError, nearest
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.types import Kind
from tensorsql.storage.formats.options import option_fields, whole
from tensorsql.storage.tables.catalog import ColumnSchema, IndexEntry, Relation

if TYPE_CHECKING:
    from tensorsql.operators.indexes.protocol import Probe
    from tensorsql.operators.runtime.program import Context

DEFAULTS = {"cell": 0, "bins": 20}
LIMITS = {"cell": (0, 4096), "bins": (1, 256)}


class ChiIndex:
    """Bounds `CP(mask, …)` and, from the members, CP over INTERSECT, UNION and AVG of a group."""

    method = "CHI"

    def build(self, entry: IndexEntry, relation: Relation, context: Context) -> IndexEntry:
        """Count every mask of the relation."""
        from tensorsql.operators.indexes.chi.build import build_entry

        column = mask_column(entry, relation)
        options = {**DEFAULTS, **checked_options(entry.options)}
        entry = dataclasses.replace(entry, arguments=(column.name,), options=options, state=None)
        return build_entry(entry, relation, column, context)

    def last_row(self, entry: IndexEntry) -> int:
        """The last row id counted."""
        from tensorsql.operators.indexes.chi.build import last_row

        return last_row(entry)

    def extend(self, entry: IndexEntry, relation: Relation, context: Context) -> IndexEntry:
        """Count the masks whose row ids come after the last one counted."""
        from tensorsql.operators.indexes.chi.build import build_entry

        return build_entry(entry, relation, mask_column(entry, relation), context)

    def prepare(self, entry: IndexEntry, call: Call, context: Context) -> Probe:
        """A probe over the counts, memory-mapped where they are stored."""
        from tensorsql.operators.indexes.chi.build import histogram_of, open_blocks
        from tensorsql.operators.indexes.chi.probe import ChiProbe

        return ChiProbe(histogram_of(entry, call.args[0].type), open_blocks(entry))


def mask_column(entry: IndexEntry, relation: Relation) -> ColumnSchema:
    """The one MASK column that is indexed, with an error that says what would do."""
    masks = [item.name for item in relation.schema.columns if item.type.kind is Kind.MASK]
    if len(entry.arguments) != 1:
        raise BindError(f"a CHI index is over one MASK column{nearest('', masks)}")
    name = entry.arguments[0]
    column = relation.schema.column(name)
    if column is None:
        raise BindError(f'column "{name}" not found in {relation.name}{nearest(name, masks)}')
    if column.type.kind is not Kind.MASK:
        raise BindError(
            f'a CHI index is over a MASK column, "{name}" is {column.type}{nearest(name, masks)}'
        )
    return column


def checked_options(options: Mapping[str, Any]) -> dict[str, int]:
    """The WITH list as whole numbers within their limits."""
    checks = {name: whole(name, *limits) for name, limits in LIMITS.items()}
    return option_fields("a CHI index", options, checks)
