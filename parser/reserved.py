"""Words that are never an alias without AS: `DELETE FROM t LIMIT` is no table called limit."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

RESERVED = frozenset(
    (
        *("all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric"),
        *("both", "case", "cast", "check", "collate", "column", "constraint", "create"),
        *("default", "deferrable", "desc", "describe", "distinct", "do", "else", "end"),
        *("except", "false", "fetch", "for", "foreign", "from", "group", "having", "in"),
        *("initially", "intersect", "into", "lambda", "lateral", "leading", "limit", "not"),
        *("null", "offset", "on", "only", "or", "order", "pivot", "placing", "primary"),
        *("qualify", "references", "returning", "select", "show", "some", "summarize"),
        *("symmetric", "table", "then", "to", "trailing", "true", "union", "unique"),
        *("unpivot", "using", "variadic", "when", "where", "window", "with"),
    )
)
# These name columns, but behind a table they go on with its join.
JOINING = frozenset(
    (
        *("anti", "asof", "at", "by", "collation", "cross", "full", "glob", "ilike"),
        *("inner", "is", "isnull", "join", "left", "like", "natural", "notnull", "outer"),
        *("overlaps", "positional", "right", "semi", "similar", "tablesample"),
    )
)
QUOTED = (TokenType.IDENTIFIER, TokenType.STRING)


def is_reserved(token: Token) -> bool:
    """Whether a word cannot name a column without AS before it."""
    return token.token_type not in QUOTED and token.text.lower() in RESERVED


def ends_table(token: Token) -> bool:
    """Whether a word, or a text, cannot name a table without AS before it."""
    text = token.token_type == TokenType.STRING
    return text or is_reserved(token) or _joins(token)


def _joins(token: Token) -> bool:
    return token.token_type not in QUOTED and token.text.lower() in JOINING
