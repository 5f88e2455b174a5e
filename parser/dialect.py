"""The dialect: `parse` turns text into sqlglot trees.

What one would not guess about the trees (`statements.py` has the nodes of our own):

    a / b                     Div; `//` IntDiv; `%` Mod; `**` Pow; `||` DPipe
    -1                        Neg(Literal 1)
    (a)                       Paren(a), also around a predicate; (1, 2) Tuple
    DATE '1994-01-01'         Cast(Literal string, to=DataType DATE); TIMESTAMP is TIMESTAMPNTZ
    INTERVAL 3 MONTH          Interval(this=Literal *string* '3', unit=Var MONTH), also '3' MONTH
                              and '3 month'; a non-literal amount is an expression
    f(a, b)                   Anonymous(this='f', expressions=[a, b]) for every function, the name
                              as written: also sum, year(d), coalesce, CP, PREDICT, RANGE. Not so:
    EXTRACT(year FROM d)      Extract(this=Var YEAR, expression=d)
    SUBSTRING(a FROM 1 FOR 2) Substring(this, start, length), as SUBSTRING(a, 1, 2); not SUBSTR
    TRIM(BOTH 'x' FROM a)     Trim(this=a, expression='x', position='BOTH'), as TRIM(a)
    POSITION(a IN b)          StrPosition(this=b, substr=a), but POSITION(y, x) is Anonymous
    CAST, TRY_CAST, a::T      Cast, TryCast; CASE is Case, IF(a, b, c) If, current_date CurrentDate
    STRING_AGG(a, ',')        GroupConcat(this=a, separator=','), ORDER BY as Order around a
    COUNT(*)                  Anonymous(count, [Star]); COUNT(DISTINCT a) has [Distinct([a])]
    SUM(a ORDER BY b)         the last argument is Order(this=a, expressions=[Ordered])
    SUM(a) FILTER (WHERE p)   Filter(this=call, expression=Where(p)); OVER Window(call | Filter)
    x IN (1, 2)               In(expressions=[…]); x IN (SELECT …) In(query=Subquery)
    x NOT IN …, IS NOT NULL   Not(In), Not(Is(x, Null)), NOT LIKE too: Not(Like)
    x LIKE p ESCAPE '!'       Escape(this=Like, expression='!')
    x = ANY (SELECT …)        EQ(x, Any(Subquery)); > ALL (SELECT …) GT(x, All(Select)), no Subquery
    EXISTS (SELECT …)         Exists(Select); a scalar subquery is Subquery(Select)
    IS DISTINCT FROM          NullSafeNEQ; IS NOT DISTINCT FROM NullSafeEQ
    CASE x WHEN … END         Case(this=x, ifs=[If(this, true)], default)
    [1, 2], {'a': 1}          Array; Struct(expressions=[PropertyEQ(Identifier a, 1)])
    a[1]                      Bracket(this=a, expressions=[1]): the subscript as written, 1-based
    a.b.c                     Column(this=c, table=b, db=a): also a struct's field
    ?, $1, :name, $name       Placeholder(), Placeholder(this='1'), Placeholder(this='name')
    * EXCLUDE (a) REPLACE (…) Star(except_=[Column], replace=[Alias]); t.* Column(Star, table=t)
    GROUP BY ALL              Group(all=True); ORDER BY ALL Ordered(this=Var ALL)
    GROUPING SETS ((a), ())   Group(expressions=[GroupingSets(expressions=[Paren(a), Tuple()])]);
                              ROLLUP (a, b) and CUBE are Rollup and Cube among the expressions
    ORDER BY a                Ordered(desc, nulls_first): nulls_first is always filled in, last
                              unless stated
    FROM a, b                 the first in args['from_'].this, the others Join without `on` in
                              args['joins']; CROSS JOIN has kind CROSS, NATURAL method NATURAL
    FROM t                    Select(expressions=[Star]); VALUES (1) as a statement is Values
    FROM 'f.parquet'          Table(this=Identifier(quoted=True)), as FROM "f.parquet"
    FROM f(1, n => 2) t       Table(this=Anonymous(f, [1, Kwarg(Var n, 2)]), alias=TableAlias t),
                              whatever f is, but for UNNEST (Unnest) and LATERAL f() (Lateral)
    data => t, DATA = t AS c  Kwarg(Var data, Table | Subquery, with its alias); model => cnn and
                              every other bare word is a Column
    CP(m, -, (0.5, 1))        Anonymous(CP, [Column, FullRoi, Tuple])
    DECIMAL                   DECIMAL(18, 3); VARCHAR(n) loses its n; CHAR is TEXT
    VALUES, IN and [] of many Values(expressions=[LiteralRun]), In and Array alike: parser/runs.py
    BOX, MASK(255), TENSOR(…) DataType(USERDEFINED, kind='MASK', expressions=[DataTypeParam]);
                              a named type likewise, `kind` in upper case
    INTEGER[], STRUCT(a INT)  DataType ARRAY with expressions=[DataType]; STRUCT of ColumnDef

Names keep their case; only names of options, settings, methods and arguments are in lower case.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar, cast

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel, TokenError
from sqlglot.generators.duckdb import DuckDBGenerator
from sqlglot.tokenizer_core import Token, TokenType

from tensorsql.cancellation import in_helper
from tensorsql.errors import Error, UnsupportedError
from tensorsql.nesting import nesting
from tensorsql.parser.diagnosis import (
    SyntaxProblem,
    check_structure,
    error_at,
    skip_blank,
    syntax_error,
)
from tensorsql.parser.door import first_problem, nodes_of, watch
from tensorsql.parser.grammar import TensorParser
from tensorsql.parser.pieces import pieces, unescaped
from tensorsql.parser.runs import RUN, LiteralRun, without_runs
from tensorsql.parser.syntax import FullRoi, MaskAggregate


class TensorDialect(DuckDB):
    """DuckDB's dialect plus masks, neurons and models."""

    # sqlglot would count subscripts from 0; they stay as written.
    INDEX_OFFSET = 0

    class Tokenizer(DuckDB.Tokenizer):
        # A command's text would reach us as one string, so that none of it could be parsed.
        COMMANDS: ClassVar[set[TokenType]] = set()
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            word: kind
            for word, kind in DuckDB.Tokenizer.KEYWORDS.items()
            # Not so `?::`, which would hide a parameter that is cast.
            if kind not in (TokenType.COMMAND, TokenType.BLOCK_START, TokenType.BLOCK_END)
            and word != "?::"
        }

    Parser = TensorParser

    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        """The path as written; sqlglot would log what is wrong with it."""
        return path

    class Generator(DuckDBGenerator):
        TRANSFORMS: ClassVar[dict[type[exp.Expr], Callable[..., str]]] = {
            **DuckDBGenerator.TRANSFORMS,
            FullRoi: lambda self, node: "-",
            LiteralRun: lambda self, node: node.this,
            MaskAggregate: lambda self, node: self.func(node.args["kind"], node.this),
        }


DIALECT = TensorDialect()
TYPES_OF_TYPES = TensorParser.NESTED_TYPE_TOKENS
LONG_TEXT = 100_000  # characters; sqlglot reads some hundred thousand a second
QUERIES = (exp.Query, exp.Values)


@nesting
def parse(sql: str) -> list[exp.Expression]:
    """One tree per statement of `sql`, empty statements dropped.

    ParseError, with position and text, for anything that is not a statement of the language.
    """
    check_text(sql)
    tokens = tokenize(sql)
    trees = []
    for statement in statements_of(tokens):
        check_structure(statement, sql)
        trees.append(_parse_one(statement, sql))
    return trees


def text_of(node: exp.Expr, **options: Any) -> str:
    """A tree as SQL, for names and messages; its kind alone if it is one of ours without text.

    Nothing of it counts as read by this.
    """
    try:
        return str(DIALECT.generate(node, unsupported_level=ErrorLevel.IGNORE, **options))
    except ValueError:
        return node.key.upper()


def stored_text(node: exp.Expr) -> str:
    """A tree as SQL that means the same when it is parsed again; UnsupportedError if none does."""
    text = text_of(node)
    query = text if isinstance(node, QUERIES) else f"SELECT {text}"
    try:
        (again,) = parse(query)
    except Error:
        again = None
    same = again if isinstance(node, QUERIES) or again is None else again.expressions[0]
    if same is None or (same != node and without_runs(same) != without_runs(node)):
        raise UnsupportedError(f"{text} cannot be stored", position(node))
    return text


def _parse_one(tokens: list[Token], sql: str) -> exp.Expression:
    parser = DIALECT.parser()
    try:
        trees = parser.parse(tokens, sql)
    except SyntaxProblem as problem:
        raise syntax_error(problem, sql) from None
    except (AttributeError, IndexError, TypeError, ValueError):
        # sqlglot trips over some malformed text, `{: 1}` for one.
        raise syntax_error(SyntaxProblem("", parser._curr or tokens[-1], []), sql) from None
    if len(trees) != 1 or trees[0] is None:
        raise syntax_error(SyntaxProblem("", tokens[0], []), sql)
    nodes = nodes_of(trees[0])
    if fault := first_problem(nodes):
        node, message = fault
        error = error_at(sql, tokens[0].start, f"syntax error: {message}")
        error.position = position(node) or error.position
        raise error
    watch(nodes)
    return cast("exp.Expression", trees[0])


def tokenize(sql: str) -> list[Token]:
    """sqlglot's tokens with `line` and `col` set to where each starts, 1-based.

    ParseError for a string, quoted name or comment that never ends.
    """
    tokens, rest = scan(sql)
    if rest < len(sql):
        kind = {"'": "string", '"': "quoted name", "/": "comment"}.get(sql[rest], "text")
        raise error_at(sql, rest, f"unterminated {kind}")
    place_tokens(tokens, sql)
    for token, following in pairwise(tokens):
        if following.token_type == TokenType.LT and token.token_type in TYPES_OF_TYPES:
            token.token_type = TokenType.VAR  # `range < 5` compares; no type of ours has a <
    return tokens


def check_text(sql: str) -> None:
    """ParseError at half a surrogate pair, which is no character."""
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        sql = sql.encode(errors="replace").decode()
        raise error_at(
            sql, error.start, "this is half a character; is the encoding right?"
        ) from None


def scan(sql: str) -> tuple[list[Token], int]:
    """The tokens of `sql`, and the offset of what could not be read (its length if all was)."""
    return in_helper(lambda: _scan(sql)) if len(sql) > LONG_TEXT else _scan(sql)


def _scan(sql: str) -> tuple[list[Token], int]:
    tokenizer = DIALECT.tokenizer()
    tokens: list[Token] = []
    rest = skip_blank(sql, 0)
    for start, end, is_run in pieces(sql):
        try:
            some = [] if is_run else tokenizer.tokenize(sql[start:end])
        except TokenError:
            some = tokenizer.tokens
        tokens += [_moved(token, start, sql) for token in some]
        if is_run:
            tokens.append(Token(RUN, sql[start:end], start=start, end=end - 1))
        rest = skip_blank(sql, tokens[-1].end + 1 if some or is_run else max(rest, start))
        if rest < end:
            break
    return tokens, rest


def _moved(token: Token, offset: int, sql: str) -> Token:
    """A token of a piece at its place in the whole text."""
    token.start, token.end = token.start + offset, token.end + offset
    token.comments = []  # sqlglot takes instructions from them
    if token.token_type == TokenType.BYTE_STRING:
        try:
            text = unescaped(sql[token.start + 2 : token.end])
        except ValueError as error:
            problem = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise error_at(sql, token.start, problem) from None
        return Token(TokenType.STRING, text, start=token.start, end=token.end)
    return token


def place_tokens(tokens: list[Token], sql: str) -> None:
    """sqlglot counts a token's line and column at its end; an error points at its start."""
    line, line_start = 1, 0
    next_line = sql.find("\n")
    for token in tokens:
        while 0 <= next_line < token.start:
            line, line_start = line + 1, next_line + 1
            next_line = sql.find("\n", line_start)
        token.line, token.col = line, token.start - line_start + 1


def statements_of(tokens: list[Token]) -> list[list[Token]]:
    """The tokens between semicolons, empty statements dropped."""
    chunks: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            chunks.append([])
        else:
            chunks[-1].append(token)
    return [chunk for chunk in chunks if chunk]


def split(text: str) -> list[str]:
    """The statements of a script, each with its `;` and the blank lines and comments before it.

    Joined they are the script without its blank tail, so lines can be counted across them. Text
    behind an unterminated string or comment is the last statement: parsing it reports the place.
    """
    tokens, rest = scan(text)
    pieces, start, filled = [], 0, False
    for token in tokens:
        if token.token_type != TokenType.SEMICOLON:
            filled = True
        elif filled:
            pieces.append(text[start : token.end + 1])
            start, filled = token.end + 1, False
    if filled or rest < len(text):
        pieces.append(text[start:])
    return pieces


def is_complete(text: str) -> bool:
    """Whether the text ends with `;` outside strings and comments (comments may follow it)."""
    tokens, rest = scan(text)
    return rest == len(text) and bool(tokens) and tokens[-1].token_type == TokenType.SEMICOLON


START = "first place"  # of a node with everything below it, among what a node remembers


def position(expression: exp.Expr) -> tuple[int, int] | None:
    """The 1-based line and column where an expression starts, None if it has no token."""
    if START not in expression.meta:
        # Children first, each once: a statement asks for the place of every one of its nodes.
        waiting = [expression]
        for node in waiting:  # which grows meanwhile
            waiting += [child for child in node.iter_expressions() if START not in child.meta]
        for node in reversed(waiting):
            node.meta[START] = _start(node)
    place: tuple[int, int] | None = expression.meta[START]
    return place


def _start(node: exp.Expr) -> tuple[int, int] | None:
    line = node.meta.get("line")
    first = None if line is None else (line, node.meta["col"])
    for child in node.iter_expressions():
        place = child.meta[START]
        if place is not None and (first is None or place < first):
            first = place
    return first
