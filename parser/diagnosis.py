"""Syntax errors: where the text stops being SQL, what may have been meant; nesting too deep."""

from __future__ import annotations

import difflib
import re

from sqlglot.errors import ParseError as SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from tensorsql.errors import Error, ParseError, UnsupportedError

# Words worth suggesting; a misspelt one is usually read as an alias or a name.
KEYWORDS = (
    *("SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "DISTINCT"),
    *("JOIN", "INNER", "LEFT", "RIGHT", "OUTER", "CROSS", "USING", "UNION", "INTERSECT"),
    *("EXCEPT", "WITH", "VALUES", "INSERT", "INTO", "UPDATE", "DELETE", "CREATE", "REPLACE"),
    *("TABLE", "VIEW", "INDEX", "MODEL", "DROP", "ALTER", "COPY", "SHOW", "DESCRIBE"),
    *("SUMMARIZE", "EXPLAIN", "ANALYZE", "ATTACH", "DETACH", "BEGIN", "COMMIT", "ROLLBACK"),
    *("CHECKPOINT", "RESET", "BETWEEN", "EXISTS", "QUALIFY", "WINDOW", "PARTITION", "CASE"),
    *("WHEN", "THEN", "ELSE", "LIKE", "ILIKE", "MODELS", "TABLES", "INDEXES"),
)
OPENING = {TokenType.L_PAREN: ")", TokenType.L_BRACKET: "]", TokenType.L_BRACE: "}"}
CLOSING = {TokenType.R_PAREN: "(", TokenType.R_BRACKET: "[", TokenType.R_BRACE: "{"}
STRINGS = frozenset({TokenType.STRING, TokenType.HEREDOC_STRING})
OPERAND_ENDS = frozenset(
    {
        *(TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING, TokenType.STAR),
        *(TokenType.NULL, TokenType.TRUE, TokenType.FALSE, TokenType.END),
        *(TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE),
    }
)
NO_COMMA = frozenset(
    {
        *(TokenType.COMMA, TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE),
        *(TokenType.SELECT, TokenType.FROM, TokenType.WHERE, TokenType.HAVING, TokenType.ON),
        *(TokenType.GROUP_BY, TokenType.ORDER_BY, TokenType.ALIAS, TokenType.SET),
    }
)
WORD = re.compile(r"[A-Za-z_]\w*")
BLANK = re.compile(r"\s+|--[^\r\n]*")


class SyntaxProblem(SqlglotError):
    """A syntax error on its way out of sqlglot, which may catch it to try another reading.

    `token` is where reading stopped, false at the end of the statement; `before` holds up to two
    tokens ahead of it. `description` is sqlglot's or `expected …`.
    """

    def __init__(self, description: str, token: Token, before: list[Token]) -> None:
        super().__init__(description, [{"description": description}])
        self.description = description
        self.token = token
        self.before = before


def line_column(sql: str, offset: int) -> tuple[int, int]:
    """The 1-based line and column of a character offset."""
    line_start = sql.rfind("\n", 0, offset) + 1
    return sql.count("\n", 0, offset) + 1, offset - line_start + 1


def error_at(sql: str, offset: int, message: str) -> ParseError:
    """A ParseError that points at `offset` of `sql`."""
    error = ParseError(message, line_column(sql, offset))
    error.sql = sql
    return error


def syntax_error(problem: SyntaxProblem, sql: str) -> ParseError:
    """The user's error: `syntax error at or near "FORM"; did you mean FROM?`."""
    for token in (problem.token, *misread(problem.before)):
        if keyword := near_keyword(token):
            return error_near(sql, token, f"; did you mean {keyword}?")
    hint = expectation(problem.description)
    if problem.token:
        return error_near(sql, problem.token, hint)
    end = problem.before[-1].end + 1 if problem.before else len(sql)
    return error_at(sql, end, "syntax error at end of input" + hint)


def error_near(sql: str, token: Token, hint: str) -> ParseError:
    text = sql[token.start : token.end + 1]
    return error_at(sql, token.start, f'syntax error at or near "{text}"{hint}')


def misread(before: list[Token]) -> list[Token]:
    """The last word read, if it follows an operand: a misspelt keyword is taken for an alias."""
    operand = len(before) == 2 and before[0].token_type in OPERAND_ENDS
    return before[1:] if operand and before[1].token_type == TokenType.VAR else []


def near_keyword(token: Token) -> str | None:
    """The keyword that a word may have been meant to be; a keyword itself is not misspelt."""
    word = token.text.upper()
    quoted = token.token_type in (TokenType.STRING, TokenType.IDENTIFIER)
    if not token or quoted or word in KEYWORDS or not WORD.fullmatch(word):
        return None
    close = difflib.get_close_matches(word, KEYWORDS, 1, 0.74)
    return close[0] if close else None


def expectation(description: str) -> str:
    """sqlglot's own descriptions carry class names and tokens; keep those that help."""
    if match := re.fullmatch(r"[Ee]xpect(?:ed|ing) ([^<>]+)", description):
        return f"; expected {match[1]}"
    if match := re.match(r"Required keyword: '\w+' missing for <class '.*\.(\w+)'>", description):
        name = {"If": "CASE"}.get(match[1], match[1])
        return f"; {name.upper()} is incomplete"
    if match := re.match(r"The number of provided arguments \((\d+)\) is greater", description):
        return f"; {match[1]} arguments are too many for this function"
    return ""


def check_structure(tokens: list[Token], sql: str) -> None:
    """Raise for brackets that do not match and for commas with nothing before them.

    sqlglot forgives both (`CAST(a AS INT`, `f(a,,b)`), and joins two texts without a line between.
    """
    stack: list[Token] = []
    previous: Token | None = None
    for token in tokens:
        kind = token.token_type
        if kind in OPENING:
            stack.append(token)
        elif kind in CLOSING:
            if not stack or OPENING[stack.pop().token_type] != token.text:
                raise error_at(sql, token.start, f'syntax error at or near "{token.text}"')
        elif kind == TokenType.COMMA and (previous is None or previous.token_type in NO_COMMA):
            raise error_at(sql, token.start, 'syntax error at or near ","')
        elif _joined(previous, token, sql):
            raise error_near(sql, token, "; write || between two texts")
        previous = token
    if stack:
        raise error_at(sql, stack[-1].start, f'"{stack[-1].text}" is never closed')


def _joined(previous: Token | None, token: Token, sql: str) -> bool:
    """Whether two texts stand beside each other; the standard joins them across lines."""
    texts = previous is not None and {previous.token_type, token.token_type} <= STRINGS
    return texts and previous is not None and "\n" not in sql[previous.end : token.start]


def skip_blank(sql: str, offset: int) -> int:
    """The offset of the first character that is neither space nor comment.

    That of the comment itself if it never ends.
    """
    while offset < len(sql):
        if match := BLANK.match(sql, offset):
            offset = match.end()
        elif sql.startswith("/*", offset):
            end = comment_end(sql, offset)
            if end is None:
                return offset
            offset = end
        else:
            return offset
    return offset


def comment_end(sql: str, offset: int) -> int | None:
    """The offset behind the block comment that starts at `offset`; comments nest."""
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(sql, offset):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return None


FEW = 100  # brackets one in the other, which are not what is too deep
CURE = "compute parts of it first, with CREATE TABLE … AS SELECT …"


def too_deep(sql: str, tokens: list[Token]) -> Error:
    """The error of a statement for whose depth there is no room: how deep, where, what to do."""
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
