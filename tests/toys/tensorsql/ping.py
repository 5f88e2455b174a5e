"""A toy statement carried out."""

from __future__ import annotations

from typing import Any

from tensorsql.result import Result
from tensorsql.storage.columns.types import VARCHAR


def ping(*_: Any) -> Result:
    """One row."""
    return Result.of_rows(("ping",), (VARCHAR,), [("pong",)])
