"""What was written and not read while a statement was bound is refused, by name and place."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

from tensorsql.errors import UnsupportedError
from tensorsql.parser.dialect import position, text_of

# Clauses that sqlglot calls by another name.
WORDS = {
    "order": "ORDER BY",
    "group": "GROUP BY",
    "except_": "EXCLUDE",
    "partition_by": "PARTITION BY",
    "pivots": "PIVOT",
    "locks": "FOR UPDATE",
    "hints": "WITH (…)",
    "when": "AT",
    "columns": "a list of column names",
}
# Arguments of so many kinds of nodes that only their value says what they are.
PLACES = ("this", "expression", "expressions", "properties", "joins", "constraints", "options")
SHOWN = 60
NOTHING = r" (PROPERTY|COLUMN CONSTRAINT)$"
STATEMENTS = (exp.DML, exp.DDL, exp.Query, exp.Drop)


def unread_error(node: exp.Expr, key: str) -> UnsupportedError:
    """The refusal of an argument of a node that nobody has read."""
    value = node.args.get(key)
    first = value[0] if isinstance(value, list) else value
    place = position(first) if isinstance(first, exp.Expr) else None
    where = f"in {_name(node)}" if isinstance(node, STATEMENTS) else "here"
    message = f"{_words(key, first)} is not supported {where}"
    return UnsupportedError(message, place or position(node))


def _words(key: str, value: Any) -> str:
    if key not in PLACES:
        return WORDS.get(key, key.strip("_").replace("_", " ").upper())
    return words_of(value) if isinstance(value, exp.Expr) else str(value)


def words_of(node: exp.Expr) -> str:
    """A part of a statement in words: its text, or what sqlglot calls it where it has none."""
    inner = node.expressions[0] if isinstance(node, exp.Properties) else node
    text = text_of(inner).strip(" ,") or re.sub(NOTHING, "", _name(inner))
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _name(node: exp.Expr) -> str:
    """The kind of a node in words: WithDataProperty is WITH DATA PROPERTY."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).upper()
