"""The syntax of a toy statement."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlglot import exp


class Ping(exp.Expression):
    """`PING`."""

    arg_types: ClassVar[dict[str, bool]] = {}


def parse_ping(parser: Any) -> Ping:
    """What comes after the word: nothing."""
    return Ping()
