"""How deeply a statement nests, for those that nest too deeply."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

from tensorsql.errors import Error, UnsupportedError
from tensorsql.parser.diagnosis import CLOSING, OPENING
from tensorsql.parser.dialect import tokenize

FEW = 100  # brackets one in the other, which are not what is too deep
CURE = "compute parts of it first, with CREATE TABLE … AS SELECT …"


def too_deep(sql: str) -> Error:
    """The error of a statement for whose depth there is no room: how deep, where, what to do."""
    tokens = tokenize(sql)
    depth, deepest = _deepest(tokens)
    if depth > FEW:
        what = f"{depth} brackets are open here"
    else:
        deepest, what = tokens[0], f"{len(tokens)} words in chains such as a + b + … are too many"
    error = UnsupportedError(
        f"the statement nests too deeply: {what}; {CURE}", (deepest.line, deepest.col)
    )
    error.sql = sql
    return error


def _deepest(tokens: list[Token]) -> tuple[int, Token]:
    """The most brackets that are open at once, CASE … END counted, and where."""
    depth, most, place = 0, 0, tokens[0]
    for token in tokens:
        kind = token.token_type
        if kind in OPENING or kind == TokenType.CASE:
            depth += 1
        elif kind in CLOSING or kind == TokenType.END:
            depth -= 1
        if depth > most:
            most, place = depth, token
    return most, place
