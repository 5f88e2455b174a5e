"""Python variables as tables: `SELECT * FROM frame` finds `frame` where execute was called."""

from __future__ import annotations

import sys
from types import FrameType

from tensorsql.storage.formats.objects import is_table, relation
from tensorsql.storage.tables.catalog import Relation


def find_object(name: str) -> Relation | None:
    """The nearest variable of this name outside tensorsql that can be scanned, as a relation."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not str(frame.f_globals.get("__name__", "")).startswith("tensorsql"):
            for variables in (frame.f_locals, frame.f_globals):
                if name in variables:
                    return _relation(name, variables[name])
        frame = frame.f_back
    return None


def _relation(name: str, value: object) -> Relation | None:
    return relation(name, value) if is_table(value) else None
