"""Expressions and table functions: what the language adds to DuckDB's grammar; reserved words."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from tensorsql.cancellation import check_cancelled
from tensorsql.parser import syntax
from tensorsql.parser.runs import RUN, run_node
from tensorsql.parser.statement_parser import StatementParser

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


QUANTIFIERS = {TokenType.ANY, TokenType.ALL, TokenType.SOME}
SET_WORDS = (TokenType.INTERSECT, TokenType.UNION)
QUERY_STARTS = (TokenType.SELECT, TokenType.WITH, TokenType.VALUES, TokenType.FROM)
ARGUMENT_ENDS = (TokenType.COMMA, TokenType.R_PAREN)
# Calls with words between their arguments; sqlglot also has parsers for plain ones such as MIN.
SPECIAL_SYNTAX = (
    *("CAST", "TRY_CAST", "EXTRACT", "SUBSTRING", "TRIM", "OVERLAY"),
    *("STRING_AGG", "GROUP_CONCAT", "LISTAGG"),
)


class TensorParser(StatementParser):
    """The parser of the dialect."""

    # A function keeps the name and the arguments written: what they mean is the binder's to say.
    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNC_TOKENS = StatementParser.FUNC_TOKENS | {TokenType.INTERSECT, TokenType.UNION}
    FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., exp.Expr | None]]] = {
        **{name: StatementParser.FUNCTION_PARSERS[name] for name in SPECIAL_SYNTAX},
        "INTERSECT": lambda self: self._parse_mask_aggregate("intersect"),
        "UNION": lambda self: self._parse_mask_aggregate("union"),
        "POSITION": lambda self: self._parse_position_call(),
    }

    PRIMARY_PARSERS: ClassVar[dict[TokenType, Callable[..., exp.Expr | None]]] = {
        **StatementParser.PRIMARY_PARSERS,
        RUN: lambda self, token: run_node(token),
    }
    UNARY_PARSERS: ClassVar[dict[TokenType, Callable[..., exp.Expr | None]]] = {
        **StatementParser.UNARY_PARSERS,
        TokenType.DASH: lambda self: self._parse_negation(),
    }
    TYPE_LITERAL_PARSERS: ClassVar[dict[exp.DType, Callable[..., exp.Expr]]] = {
        kind: lambda self, this, kind: self._parse_type_literal(this, kind)
        for kind in (exp.DType.DATE, exp.DType.TIME, exp.DType.TIMESTAMPNTZ)
    }
    ALTER_DROP_REQUIRES_COLUMN = False
    # `list[1]` is an element of a column; DuckDB reserves ARRAY alone.
    ARRAY_CONSTRUCTORS: ClassVar[dict[str, type[exp.Func]]] = {"ARRAY": exp.Array}
    # `FROM t ANY JOIN u` is no alias.
    TABLE_ALIAS_TOKENS = StatementParser.TABLE_ALIAS_TOKENS - QUANTIFIERS

    def _parse_placeholder(self) -> exp.Expr | None:
        """Parameters are numbered by where they stand."""
        token = self._curr
        parameter = super()._parse_placeholder()
        if parameter is not None:
            parameter.update_positions(token)
        return parameter

    def _parse_expression(self) -> exp.Expr | None:
        # In `SELECT :name` sqlglot would see the alias of `alias: expression`.
        if self._curr.token_type == TokenType.SELECT:
            return None
        return super()._parse_expression()

    def _parse_unary(self) -> exp.Expr | None:
        check_cancelled()
        return super()._parse_unary()

    def _parse_value(self, values: bool = True) -> exp.Expr | None:  # type: ignore[override]
        """A row of VALUES, or a run of them."""
        if self._match(RUN):
            return run_node(self._prev)
        if values and self._curr.token_type != TokenType.L_PAREN:
            self.raise_error("VALUES takes rows in parentheses")
        return super()._parse_value(values)

    def _parse_column_reference(self) -> exp.Expr | None:
        if self._curr.token_type == TokenType.VALUES and self._next.token_type == RUN:
            return None  # no name
        return super()._parse_column_reference()

    def _parse_negation(self) -> exp.Neg:
        sign = self._prev
        return self.expression(exp.Neg(this=self._parse_unary()), sign)

    def _parse_type_literal(self, this: exp.Expr, kind: exp.DataType) -> exp.Expr:
        """`DATE '2020-01-01'::VARCHAR` casts the date; sqlglot would cast the text first."""
        literal = this
        while not isinstance(literal, exp.Literal):
            literal = literal.this
        typed = self.expression(exp.Cast(this=literal.copy(), to=kind))
        if literal is this:
            return typed
        literal.replace(typed)
        return this

    def _parse_interval_span(
        self, this: exp.Expr, parse_function_unit: bool = True
    ) -> exp.Interval:
        """The text of INTERVAL '2 days ago' as it stands: sqlglot would keep its first amount."""
        span: exp.Interval = super()._parse_interval_span(this, parse_function_unit)
        if not this.is_string or span.this is this:
            return span
        return self.expression(exp.Interval(this=this))

    def _negate_range(self, this: exp.Expr | None = None) -> exp.Expr | None:
        """NOT is a node of its own for every predicate, LIKE too."""
        return self.expression(exp.Not(this=this)) if this is not None else None

    def _parse_in(self, this: exp.Expr | None, alias: bool = False) -> exp.In:
        """`x IN [1, 2]` looks into a list, as `x IN l` and `x IN ?` do."""
        if self._curr.token_type == TokenType.L_PAREN:
            return super()._parse_in(this, alias)
        return self.expression(exp.In(this=this, field=self._parse_unary()))

    def _parse_bracket(self, this: exp.Expr | None = None) -> exp.Expr | None:
        if this is not None and self._curr.token_type == TokenType.L_BRACE:
            self.raise_error("")  # sqlglot would forget what stands before the brace
        return super()._parse_bracket(this)

    def _parse_window_spec(self) -> dict[str, str | exp.Expr | None]:
        spec = super()._parse_window_spec()
        if spec["value"] is None or (spec["side"] is None and spec["value"] != "CURRENT ROW"):
            self.raise_error("expected PRECEDING or FOLLOWING")
        return spec

    def _parse_paren(self) -> exp.Expr | None:
        token = self._curr
        tree = super()._parse_paren()
        if tree is not None and "line" not in tree.meta:
            tree.update_positions(token)
        return tree

    def _parse_projections(self) -> tuple[list[exp.Expr], list[exp.Expr] | None]:
        projections = super()._parse_projections()
        if not projections[0]:
            self.raise_error("expected a select list")
        return projections

    def _parse_function_call(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        """sqlglot leaves CAST, CASE, EXTRACT and their like without a position."""
        token = self._curr
        if token.token_type in SET_WORDS and self._at_query():
            return None
        call = super()._parse_function_call(*args, **kwargs)
        if isinstance(call, exp.Expr) and "line" not in call.meta:
            call.update_positions(token)
        return call

    def _at_query(self) -> bool:
        """Whether a query in parentheses follows the current token."""
        ahead = self._index + 1
        while ahead < len(self._tokens) and self._tokens[ahead].token_type == TokenType.L_PAREN:
            ahead += 1
        started = ahead > self._index + 1 and ahead < len(self._tokens)
        return started and self._tokens[ahead].token_type in QUERY_STARTS

    def _parse_lambda(self, alias: bool = False) -> exp.Expr | None:
        """An argument; `-` or FULL alone is the whole mask."""
        if (
            self._curr.token_type in (TokenType.DASH, TokenType.FULL)
            and self._next.token_type in ARGUMENT_ENDS
        ):
            self._advance()
            return syntax.FullRoi().update_positions(self._prev)
        return super()._parse_lambda(alias=alias)

    def _parse_mask_aggregate(self, kind: str) -> syntax.MaskAggregate:
        return self.expression(syntax.MaskAggregate(this=self._parse_disjunction(), kind=kind))

    def _parse_position_call(self) -> exp.Expr:
        """`POSITION(a IN b)` searches text; `POSITION(y, x)` is a function like any other."""
        start = self._index
        self._parse_bitwise()
        searches = self._match(TokenType.IN, advance=False)
        self._retreat(start)
        if searches:
            return self._parse_position()
        return exp.Anonymous(this="POSITION", expressions=self._parse_function_args())

    def _parse_user_defined_type(self, identifier: exp.Identifier) -> exp.DataType:
        """BOX, MASK, TENSOR and named types; sqlglot would parse the name a second time."""
        return exp.DataType(this=exp.DType.USERDEFINED, kind=identifier.name.upper())

    def _parse_alias(self, this: exp.Expr | None, explicit: bool = False) -> exp.Expr | None:
        if is_reserved(self._curr) and self._curr.token_type != TokenType.ALIAS:
            return this
        aliased = super()._parse_alias(this, explicit)
        if self._prev.token_type == TokenType.ALIAS:
            self.raise_error("expected a name")
        return aliased

    def _parse_table_alias(
        self, alias_tokens: Collection[TokenType] | None = None
    ) -> exp.TableAlias | None:
        if ends_table(self._curr) and self._curr.token_type != TokenType.ALIAS:
            return None
        alias = super()._parse_table_alias(alias_tokens)
        if self._prev.token_type == TokenType.ALIAS:
            self.raise_error("expected a name")
        return alias

    def _parse_query_modifiers(self, this: Any) -> Any:
        """In parentheses UNNEST and VALUES can be joined too, where they are tables."""
        if isinstance(this, exp.Unnest):
            joins = list(self._parse_joins())
            return self.expression(exp.Table(this=this, joins=joins)) if joins else this
        if isinstance(this, exp.Table) and isinstance(this.this, exp.Values):
            this.this.set("alias", this.args["alias"].pop())  # (VALUES …) AS alias, as it was
        return super()._parse_query_modifiers(this)

    def _parse_limit(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        limit = super()._parse_limit(*args, **kwargs)
        if isinstance(limit, exp.Fetch) and not limit.args.get("limit_options"):
            self.raise_error("expected ROWS ONLY")
        return limit

    def _parse_join(self, *args: Any, **kwargs: Any) -> exp.Join | None:
        if self._match(TokenType.COMMA):
            # sqlglot tries what follows and, on an error there, points at its first word.
            table = self._parse_table(alias_tokens=kwargs.get("alias_tokens"))
            return self.expression(exp.Join(this=table))
        join = super()._parse_join(*args, **kwargs)
        if join is None or join.kind == "CROSS" or join.method in ("NATURAL", "POSITIONAL"):
            return join
        if not any(join.args.get(key) for key in ("on", "using", "nearest")):
            self.raise_error("expected ON or USING")
        return join

    def _at_table_function(self) -> bool:
        return (
            self._next.token_type == TokenType.L_PAREN
            and self._curr.token_type in self.FUNC_TOKENS
            and self._curr.token_type != TokenType.UNNEST
            and self._word().isidentifier()
        )

    def _parse_table_part(self, schema: bool = False) -> exp.Expr | None:
        if not schema and self._at_table_function():
            return self._parse_table_function()
        return super()._parse_table_part(schema=schema)

    def _parse_lateral(self) -> exp.Expr | None:  # type: ignore[override]
        """An item may read those before it anyway: LATERAL is a word without effect."""
        if not self._match(TokenType.LATERAL):
            return None
        item = self._parse_table()
        derived = isinstance(item, (exp.Subquery, exp.Unnest))
        called = isinstance(item, exp.Table) and isinstance(item.this, exp.Anonymous)
        if not derived and not called:
            self.raise_error("expected a subquery or a table function")
        return item

    def _parse_table_function(self) -> exp.Anonymous:
        """`f(1, name => value)` in FROM: always `exp.Anonymous`, also where sqlglot has a node."""
        token = self._curr
        self._advance(2)
        arguments: list[exp.Expr] = []
        if not self._match(TokenType.R_PAREN, advance=False):
            arguments = self._parse_csv(self._parse_table_argument)
        self._match_r_paren()
        return exp.Anonymous(this=token.text, expressions=arguments).update_positions(token)

    def _parse_table_argument(self) -> exp.Expr | None:
        """`name => value`; also `name = value`, as in PREDICT(MODEL = m, DATA = t)."""
        if self._next.token_type not in (TokenType.FARROW, TokenType.EQ):
            return self._parse_lambda(alias=True)
        name = self._parse_word("an argument name")
        self._advance()
        # The relation of `data => t` may be named: (SELECT …) AS d.
        value = self._parse_table() if name.name == "data" else self._parse_assignment()
        if value is None:
            self.raise_error("expected a value")
        return self.expression(exp.Kwarg(this=name, expression=value))
