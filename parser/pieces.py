"""Where a text is cut for sqlglot's tokenizer, which reads beyond the end of some tokens.

To it `1e3-1` is one number, and `$1,$2` begins a text between dollar signs. Long runs of literals
are cut out: they are tokens of ours.
"""

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
    found = [Piece(0, 0)]
    if len(sql) > LONG or NEEDED.search(sql):
        for start, end, is_run in _cuts(sql):
            found += (Piece(found[-1].end, start), Piece(start, end, is_run))
    found.append(Piece(found[-1].end, len(sql)))
    return [piece for piece in found if piece.start < piece.end]


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
