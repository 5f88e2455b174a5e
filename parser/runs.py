"""Long runs of literals, read at once: rows after VALUES, items of IN (…) and […].

A run is one token and one node. It is made of what needs no grammar (numbers, texts, dates, TRUE,
FALSE, NULL) and of rows of one width; whatever else stands there takes the ordinary way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from tensorsql.cancellation import check_cancelled

LEAST = 64  # literals; fewer take the ordinary way
RUN = TokenType.SPACE  # a type of sqlglot's that no token of a text has
BLANK = r"[ \t\r\n]*+"
TEXT = r"'[^']*+(?:''[^']*+)*+'"
LITERAL = (
    rf"(?:-?[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?+|{TEXT}|NULL|TRUE|FALSE"
    rf"|(?:DATE|TIMESTAMP){BLANK}{TEXT})(?={BLANK}(?:[,)\]]|\Z))"
)
LISTED = rf"{LITERAL}(?:{BLANK},{BLANK}{LITERAL})*+"
ROW = rf"\({BLANK}{LISTED}{BLANK}\)"
ROWS = re.compile(rf"{BLANK}(?P<run>{ROW}(?:{BLANK},{BLANK}{ROW})*+)", re.IGNORECASE)
ITEMS = re.compile(rf"{BLANK}(?P<run>{LISTED}){BLANK}[)\]]", re.IGNORECASE)
PARENTHESIS = re.compile(rf"{BLANK}\(")
PART = re.compile(rf"{LITERAL}|\)", re.IGNORECASE)
TYPED = re.compile(rf"(DATE|TIMESTAMP){BLANK}({TEXT})", re.IGNORECASE)


class LiteralRun(exp.Expression):
    """The rows of `VALUES (1, 'a'), (2, 'b')`, or the items of `IN (1, 2)`; `this` is its text."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True}


def find_run(sql: str, opening: re.Match[str]) -> tuple[int, int] | None:
    """Where the run behind an opening (VALUES, IN or a bracket) starts and ends, if there is one.

    The word after which rows stand is VALUES; `opening` is the word or the bracket.
    """
    word, at = opening[0].upper(), opening.end()
    if word == "IN":
        bracket = PARENTHESIS.match(sql, at)
        if bracket is None:
            return None
        at = bracket.end()
    match = (ROWS if word == "VALUES" else ITEMS).match(sql, at)
    if match is None or match["run"].count(",") < LEAST - 1:
        return None
    if word == "VALUES" and _width(PART.findall(match["run"])) is None:
        return None
    return match.span("run")


def _width(parts: list[str]) -> int | None:
    """How many literals each row has; None where rows differ."""
    width = parts.index(")")
    ends = parts[width :: width + 1]
    same = len(ends) * (width + 1) == len(parts)
    return width if same and ends.count(")") == len(ends) == parts.count(")") else None


def run_node(token: Token) -> LiteralRun:
    """The node of a token; it remembers the text as written, to find the places of its parts."""
    node = LiteralRun(this=normal_text(token.text))
    node.meta["written"] = token
    line, col, _ = next(_places(token))
    node.update_positions(line=line, col=col)
    return node


def _written(node: LiteralRun) -> Token:
    """The run as it was written, which is read by this."""
    assert node.this
    written: Token = node.meta["written"]
    return written


def normal_text(text: str) -> str:
    """The run as sqlglot would write it, so that equal ones have equal texts."""
    parts = PART.findall(text)
    written = (part if part[0] in "'-0123456789" else part.upper() for part in parts)
    if text[0] != "(":
        return ", ".join(written)
    width = parts.index(")") + 1
    rows = list(written)
    starts = range(0, len(rows), width)
    return ", ".join(f"({', '.join(rows[at : at + width - 1])})" for at in starts)


def columns_of(node: LiteralRun) -> list[list[str]]:
    """The literals as written, by columns; items are one column."""
    text = _written(node).text
    parts = PART.findall(text)
    if text[0] != "(":
        return [parts]
    width = parts.index(")")
    return [parts[place :: width + 1] for place in range(width)]


def written_out(node: LiteralRun) -> list[exp.Expr]:
    """The trees of the rows or items, each with its place, as if it had been parsed one by one."""
    written = _written(node)
    literals = [_placed(_tree(text), line, col) for line, col, text in _places(written)]
    if written.text[0] != "(":
        return literals
    width = len(columns_of(node))
    starts = range(0, len(literals), width)
    return [exp.Tuple(expressions=literals[at : at + width]) for at in starts]


def without_runs(tree: exp.Expr) -> exp.Expr:
    """A copy with every run written out, since one text may hold a run where its like has none."""
    copy = tree.copy()
    for node in list(copy.find_all(LiteralRun)):
        node.replace(written_out(node))
    return copy


def _places(written: Token) -> Iterator[tuple[int, int, str]]:
    """Line, column and text of each literal."""
    text, line, before = written.text, written.line, 1 - written.col
    start = 0
    for match in PART.finditer(text):
        check_cancelled()
        lines = text.count("\n", start, match.start())
        if lines:
            line, before = line + lines, text.rfind("\n", start, match.start()) + 1
        start = match.start()
        if match[0] != ")":
            yield line, start - before + 1, match[0]


def _placed(tree: exp.Expr, line: int, col: int) -> exp.Expr:
    for node in tree.walk():
        node.update_positions(line=line, col=col)
    return tree


def _tree(text: str) -> exp.Expr:
    if text[0] == "'":
        return exp.Literal.string(text_value(text))
    if text[0] == "-":
        return exp.Neg(this=exp.Literal.number(text[1:]))
    if text[0].isdigit():
        return exp.Literal.number(text)
    if typed := TYPED.fullmatch(text):
        kind = "DATE" if typed[1].upper() == "DATE" else "TIMESTAMPNTZ"
        to = exp.DataType(this=getattr(exp.DType, kind))
        return exp.Cast(this=exp.Literal.string(text_value(typed[2])), to=to)
    words: dict[str, Any] = {"NULL": exp.Null(), "TRUE": exp.true(), "FALSE": exp.false()}
    word: exp.Expr = words[text.upper()]
    return word


def text_value(quoted: str) -> str:
    """The text between quotes."""
    return quoted[1:-1].replace("''", "'")
