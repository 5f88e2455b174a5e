"""Where a text is cut for sqlglot's tokenizer, which reads beyond the end of some tokens; escapes.

To it `1e3-1` is one number, and `$1,$2` begins a text between dollar signs. Long runs of literals
are cut out: they are tokens of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tensorsql.cancellation import check_cancelled
from tensorsql.parser.diagnosis import comment_end
from tensorsql.parser.runs import find_run

LEXEME = re.compile(
    r"""
      (?: [eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'? | '[^']*(?:''[^']*)*'? | "[^"]*(?:""[^"]*)*"? )
    | --[^\r\n]*
    | (?P<comment> /\* )
    | (?P<quote> \$(?:[^\W\d]\w*)?\$ )
    | (?P<parameter> \$\w+ )
    | (?P<opening> \[ | (?:VALUES|IN)(?![\w$]) )
    | [^\W\d][\w$]*
    | (?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*) (?P<exponent> [eE][+-]?\d[\d_]* )?
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
NEEDED = re.compile(r"\$|[\d._][eE][+-]?[\d_]+[+-]")
LONG = 500  # characters; a shorter text holds no run


class Piece(NamedTuple):
    """A part of a text; `is_run`: literals, which are no business of the tokenizer's."""

    start: int
    end: int
    is_run: bool = False


def pieces(sql: str) -> list[Piece]:
    """The pieces in order and without gaps; mostly it is one."""
    parts = [Piece(0, 0)]
    if len(sql) > LONG or NEEDED.search(sql):
        for start, end, is_run in _cuts(sql):
            parts += (Piece(parts[-1].end, start), Piece(start, end, is_run))
    parts.append(Piece(parts[-1].end, len(sql)))
    return [piece for piece in parts if piece.start < piece.end]


def _cuts(sql: str) -> Iterator[Piece]:
    at = 0
    while match := LEXEME.search(sql, at):
        check_cancelled()
        at = match.end()
        if match["comment"]:
            at = comment_end(sql, match.start()) or len(sql)
        elif match["quote"]:
            close = sql.find(match[0], at)
            at = len(sql) if close < 0 else close + len(match[0])
            yield Piece(match.start(), at)
        elif match["parameter"]:
            yield Piece(match.start(), at)
        elif match["exponent"]:
            yield Piece(at, at)
        elif match["opening"] and (run := find_run(sql, match)):
            at = run[1]
            yield Piece(*run, is_run=True)


# E'a\n': \b \f \n \r \t, bytes as \x41 and \101, else the character itself.
ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{1,2})|\\([0-7]{1,3})|\\(.)|''", re.DOTALL)
NAMED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def unescaped(body: str) -> str:
    """The text between the quotes; ValueError if its bytes make no text, or hold a zero."""
    text = ESCAPE.sub(_character, body.encode()).decode()
    if "\0" in text:
        raise ValueError("a text with escapes cannot hold the character zero")
    return text


def _character(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes([int(match[1], 16)])
    if match[2] is not None:
        return bytes([int(match[2], 8) & 255])
    return b"'" if match[3] is None else NAMED.get(match[3], match[3])
