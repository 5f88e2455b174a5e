"""The registry of index kinds. To add one: a file in this folder and a line here."""

from __future__ import annotations

from tensorsql.errors import CatalogError, nearest
from tensorsql.operators.indexes.chi.index import ChiIndex
from tensorsql.operators.indexes.npi.index import NpiIndex
from tensorsql.operators.indexes.protocol import Index

INDEXES: dict[str, Index] = {
    "CHI": ChiIndex(),
    "NPI": NpiIndex(),
}


def find_index(method: str) -> Index:
    """The index kind of this name in any case; CatalogError with candidates if there is none."""
    index = INDEXES.get(method.upper())
    if index is None:
        raise CatalogError(f'index method "{method}" not found{nearest(method, INDEXES)}')
    return index
