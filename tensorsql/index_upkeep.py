"""Keeping indexes up with their tables: CHECKPOINT indexes the rows added since."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tensorsql.errors import CatalogError, UnsupportedError
from tensorsql.operators.indexes import find_index
from tensorsql.storage.tables.catalog import IndexEntry, Relation

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Context
    from tensorsql.storage.tables.database import Transaction


def extend_index(entry: IndexEntry, transaction: Transaction, context: Context) -> None:
    """Put the index with blocks for the rows behind its last one, if the table has any.

    Until then such rows have no bounds and are verified one by one. The blocks go to a fresh folder
    together with copies of the old ones, since a folder that was committed never changes. An index
    whose model is gone, or waits to be registered again, stays as it is.
    """
    relation, index = transaction.relation(entry.table), find_index(entry.method)
    if relation is None:
        return
    last = index.last_row(entry)
    if last >= _last_row(relation):
        return
    moved = entry
    if entry.directory is not None:
        directory = transaction.copied_directory(entry.directory if last >= 0 else None)
        moved = dataclasses.replace(entry, directory=directory)
    try:
        extended = index.extend(moved, relation, context)
    except (CatalogError, UnsupportedError):
        return
    if extended is not moved:
        transaction.put_index(extended)


def _last_row(relation: Relation) -> int:
    if relation.rows == 0:
        return -1
    return int(relation.open().row_ids(relation.rows - 1, relation.rows)[0])
