"""Where a text is cut for sqlglot's tokenizer, which reads beyond the end of some tokens.

To it `1e3-1` is one number, and `$1,$2` begins a text between dollar signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from tensorsql.parser.diagnosis import comment_end

LEXEME = re.compile(
    r"""
      (?: [eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'? | '[^']*(?:''[^']*)*'? | "[^"]*(?:""[^"]*)*"? )
    | --[^\r\n]*
    | (?P<comment> /\* )
    | (?P<quote> \$(?:[^\W\d]\w*)?\$ )
    | (?P<parameter> \$\w+ )
    | [^\W\d][\w$]*
    | (?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*) (?P<exponent> [eE][+-]?\d[\d_]* )?
    """,
    re.VERBOSE | re.DOTALL,
)
NEEDED = re.compile(r"\$|[\d._][eE][+-]?[\d_]+[+-]")


def pieces(sql: str) -> list[tuple[int, int]]:
    """The start and end of each piece, in order and without gaps; mostly it is one."""
    places = [0, *_cuts(sql), len(sql)] if NEEDED.search(sql) else [0, len(sql)]
    return [(start, end) for start, end in pairwise(places) if start < end]


def _cuts(sql: str) -> Iterator[int]:
    at = 0
    while match := LEXEME.search(sql, at):
        at = match.end()
        if match["comment"]:
            at = comment_end(sql, match.start()) or len(sql)
        elif match["quote"]:
            close = sql.find(match[0], at)
            at = len(sql) if close < 0 else close + len(match[0])
            yield from (match.start(), at)
        elif match["parameter"]:
            yield from (match.start(), at)
        elif match["exponent"]:
            yield at
