"""Statements: which words begin one, and how those are read that sqlglot lacks or only skips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, cast

from sqlglot import exp
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

from tensorsql.errors import UnsupportedError
from tensorsql.parser import syntax
from tensorsql.parser.diagnosis import SyntaxProblem, error_at, line_column
from tensorsql.parser.runs import RUN

# The statements sqlglot's own grammar and nodes are good for.
QUERY_WORDS = ("SELECT", "WITH", "FROM", "VALUES", "TABLE", "(")
NATIVE_WORDS = ("INSERT", "UPDATE", "DELETE")
SHOW_WORDS = ("TABLES", "VIEWS", "MODELS", "INDEXES", "SETTINGS", "ALL")
DESCRIBING_WORDS = ("DESCRIBE", "DESC", "SHOW", "SUMMARIZE")
# Statements that there are not, and what to do instead.
REFUSED = {
    "ALTER": "CREATE TABLE … AS SELECT makes a table of another form",
    "ATTACH": "each connection has one database; connect to the other one",
    "DETACH": "each connection has one database; close it",
    "CREATE SAMPLE": "CREATE TABLE … AS SELECT keeps some of a table's rows",
    "CREATE TYPE": "write ENUM ('a', 'b') where a column is declared",
    "DROP SAMPLE": "there are no samples",
    "DROP TYPE": "there are no types with names",
}
LITERAL_TOKENS = (TokenType.TRUE, TokenType.FALSE, TokenType.NULL)


class StatementParser(DuckDBParser):
    """DuckDB's parser, with a closed list of statements and errors that know their token."""

    def raise_error(self, message: str, token: Token | None = None) -> NoReturn:
        before = self._tokens[max(self._index - 2, 0) : max(self._index, 0)]
        raise SyntaxProblem(message, token or self._curr, before)

    def _parse_as_command(self, start: Token) -> NoReturn:
        """sqlglot keeps what it cannot read as text; for us that is a syntax error."""
        self.raise_error("")

    def _parse_statement(self) -> exp.Expr | None:
        word = self._word()
        self._refuse(word)
        if word in STATEMENT_WORDS:
            self._advance()
            return STATEMENT_WORDS[word](self)
        if word in QUERY_WORDS:
            return self._parse_query(super()._parse_statement)
        if word in NATIVE_WORDS:
            return super()._parse_statement()
        self.raise_error("expected a statement")

    def _refuse(self, words: str) -> None:
        """UnsupportedError that says what to do instead, if there is no such statement."""
        if words in REFUSED:
            place = line_column(self.sql, self._curr.start)
            raise UnsupportedError(f"{words} is not supported; {REFUSED[words]}", place)

    def _parse_query(self, parse: Callable[[], exp.Expr | None]) -> exp.Expr:
        start = self._curr
        tree = parse()
        if not isinstance(tree, (exp.Query, exp.Values, exp.DML)):
            self.raise_error("expected a query", start)
        return tree

    # Words, names and options

    def _word(self) -> str:
        """The current token in upper case, empty if it is quoted or the statement is over."""
        excluded = self._curr.token_type in self.TEXT_MATCH_EXCLUDED_TOKENS
        return "" if excluded or not self._curr else self._curr.text.upper()

    def _expect(self, *words: str) -> None:
        for word in words:
            if not self._match_text_seq(word):
                self.raise_error(f"expected {word}")

    def _parse_name(self, what: str) -> exp.Identifier:
        start = self._curr
        name = self._parse_id_var(any_token=False)
        if not isinstance(name, exp.Identifier):
            self.raise_error(f"expected {what}", start)
        return name

    def _parse_word(self, what: str) -> exp.Var:
        """A word in lower case, keyword or not, as a Var with its position."""
        if not self._word().isidentifier():
            self.raise_error(f"expected {what}")
        self._advance()
        return exp.Var(this=self._prev.text.lower()).update_positions(self._prev)

    def _parse_schema(self, this: exp.Expr | None = None) -> exp.Expr | None:
        """Column names in parentheses, if it is no query: sqlglot knows SELECT and WITH alone."""
        within, after = self._next.token_type, self._tokens[self._index + 2 : self._index + 3]
        called = bool(after) and after[0].token_type in (TokenType.L_PAREN, RUN)
        if within == TokenType.FROM or (within == TokenType.VALUES and called):
            return this
        return super()._parse_schema(this)

    def _parse_table_name(self) -> exp.Expr:
        table = self._parse_table_parts(schema=True) if self._curr else None
        if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
            self.raise_error("expected a table")
        return table

    def _parse_table_or_query(self) -> exp.Expr:
        self._match_text_seq("TABLE")
        if self._word() in QUERY_WORDS:
            return self._parse_query(super()._parse_statement)
        return self._parse_table_name()

    def _parse_option_value(self) -> exp.Expr:
        """A literal or an expression; a word standing alone (`csv`, `cuda`, `on`) is a Var."""
        alone = self._next.token_type in (TokenType.COMMA, TokenType.R_PAREN) or not self._next
        if alone and self._word().isidentifier() and self._curr.token_type not in LITERAL_TOKENS:
            self._advance()
            return exp.Var(this=self._prev.text).update_positions(self._prev)
        value = self._parse_disjunction()
        if value is None:
            self.raise_error("expected a value")
        return value

    def _parse_option(self) -> exp.Kwarg:
        name = self._parse_word("an option")
        bare = not self._match(TokenType.EQ)
        if bare and self._curr.token_type in (TokenType.COMMA, TokenType.R_PAREN):
            return exp.Kwarg(this=name, expression=exp.true())
        return exp.Kwarg(this=name, expression=self._parse_option_value())

    def _parse_options(self) -> list[exp.Kwarg]:
        options = self._parse_wrapped_csv(self._parse_option)
        seen: set[str] = set()
        for option in options:
            if option.name in seen:
                start = option.this.meta["start"]
                raise error_at(self.sql, start, f'option "{option.name}" is given twice')
            seen.add(option.name)
        return options

    def _parse_with_options(self) -> list[exp.Kwarg]:
        return self._parse_options() if self._match(TokenType.WITH) else []

    # CREATE and DROP

    def _parse_create_statement(self) -> exp.Expr:
        start = self._index
        replace = self._match_text_seq("OR", "REPLACE")
        word = self._word()
        if word == "MODEL":
            return self._parse_create_model(replace)
        if word == "INDEX":
            return self._parse_create_index(replace)
        self._refuse(f"CREATE {word}")
        self._match_texts(("TEMP", "TEMPORARY"))
        if self._word() not in ("TABLE", "VIEW"):
            self.raise_error("expected TABLE, VIEW, INDEX or MODEL")
        self._retreat(start)
        tree = cast("exp.Create", self._parse_create())
        if tree.kind == "TABLE" and not isinstance(tree.this, exp.Schema) and not tree.expression:
            self.raise_error("expected columns or AS")
        if tree.kind == "VIEW" and not tree.expression:
            self.raise_error("expected AS and a query")
        return tree

    def _parse_create_model(self, replace: bool | None) -> syntax.CreateModel:
        self._advance()
        if_not_exists = self._parse_exists(not_=True)
        name = self._parse_name("a model name")
        self._expect("FROM")
        source = self._parse_string()
        if source is None:
            self.raise_error("expected the model's file in quotes")
        return syntax.CreateModel(
            this=name,
            source=source,
            options=self._parse_with_options(),
            replace=bool(replace),
            if_not_exists=bool(if_not_exists),
        )

    def _parse_create_index(self, replace: bool | None) -> syntax.CreateMethodIndex:
        """`INDEX name ON table USING method (arguments) WITH (options)`."""
        self._advance()
        if_not_exists = self._parse_exists(not_=True)
        name = self._parse_name("an index name")
        self._expect("ON")
        table = self._parse_table_name()
        self._expect("USING")
        method = self._parse_word("a method")
        arguments: list[exp.Expr] = []
        if self._match(TokenType.L_PAREN, advance=False):
            arguments = self._parse_wrapped_csv(self._parse_disjunction)
        return syntax.CreateMethodIndex(
            this=name,
            table=table,
            method=method,
            arguments=arguments,
            options=self._parse_with_options(),
            replace=bool(replace),
            if_not_exists=bool(if_not_exists),
        )

    def _parse_drop_statement(self) -> exp.Expr:
        nodes = {"MODEL": syntax.DropModel, "INDEX": syntax.DropIndex}
        word = self._word()
        self._refuse(f"DROP {word}")
        if word in ("TABLE", "VIEW"):
            self._advance()
            return self._parse_drop(kind=word)
        if word not in nodes:
            self.raise_error("expected TABLE, VIEW, INDEX or MODEL")
        self._advance()
        exists = bool(self._parse_exists())
        return nodes[word](this=self._parse_name("a name"), exists=exists)

    # SHOW, DESCRIBE, SUMMARIZE, EXPLAIN

    def _parse_select_query(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        """A query; `FROM (DESCRIBE t)` and its like are tables too."""
        word = self._word()
        inside = self._prev.token_type == TokenType.L_PAREN and kwargs.get("table")
        if inside and word in DESCRIBING_WORDS:
            self._advance()
            return STATEMENT_WORDS[word](self)
        return super()._parse_select_query(*args, **kwargs)

    def _parse_show_statement(self) -> exp.Expression:
        if not self._curr:
            return syntax.ShowStatement(this=exp.var("tables"))
        if self._word() in SHOW_WORDS:
            what = self._parse_word("a name")
            if what.name == "all":
                self._match_text_seq("TABLES")
            return syntax.ShowStatement(this=what)
        return self._describe_table(self._parse_table_name())

    def _parse_describe_statement(self) -> exp.Expression:
        if not self._curr:
            return syntax.ShowStatement(this=exp.var("tables"))
        if self._word() == "MODEL" and self._next:
            self._advance()
            return syntax.DescribeStatement(
                this=self._parse_name("a model name"), kind=exp.var("model")
            )
        return self._describe_table(self._parse_table_or_query())

    def _describe_table(self, target: exp.Expr) -> syntax.DescribeStatement:
        kind = "table" if isinstance(target, exp.Table) else "query"
        return syntax.DescribeStatement(this=target, kind=exp.var(kind))

    def _parse_summarize_statement(self) -> exp.Expression:
        return syntax.SummarizeStatement(this=self._parse_table_or_query())

    def _parse_explain_statement(self) -> exp.Expression:
        analyze = bool(self._match_text_seq("ANALYZE"))
        others: list[exp.Kwarg] = []
        parenthesis = self._match(TokenType.L_PAREN, advance=False)
        if parenthesis and self._next.text.upper() not in QUERY_WORDS:
            for option in self._parse_options():
                if option.name == "analyze":
                    analyze = analyze or option.expression == exp.true()
                else:
                    others.append(option)
        return syntax.ExplainStatement(
            this=self._parse_statement(), analyze=analyze, options=others
        )

    # COPY

    def _parse_copy_statement(self) -> exp.Expression:
        columns: list[exp.Expr] = []
        if self._match(TokenType.L_PAREN, advance=False):
            source = self._parse_wrapped(self._parse_statement)
        else:
            source = self._parse_table_name()
            if self._match(TokenType.L_PAREN, advance=False):
                columns = self._parse_wrapped_csv(lambda: self._parse_name("a column"))
        if self._word() not in ("FROM", "TO"):
            self.raise_error("expected FROM or TO")
        if self._word() == "FROM" and not isinstance(source, exp.Table):
            self.raise_error("expected TO")
        direction = self._parse_word("FROM or TO").name
        path = self._parse_string()
        if path is None:
            self.raise_error("expected a file name in quotes")
        self._match(TokenType.WITH)
        wrapped = self._match(TokenType.L_PAREN, advance=False)
        return syntax.CopyStatement(
            this=source,
            columns=columns,
            direction=direction,
            path=path,
            options=self._parse_options() if wrapped else [],
        )

    # Settings and transactions

    def _parse_set_statement(self) -> exp.Expression:
        self._match_texts(("SESSION", "GLOBAL", "LOCAL"))
        name = self._parse_word("a setting")
        if not self._match(TokenType.EQ) and not self._match_text_seq("TO"):
            self.raise_error("expected = or TO")
        return syntax.SetStatement(this=name, value=self._parse_option_value())

    def _parse_reset_statement(self) -> exp.Expression:
        self._match_texts(("SESSION", "GLOBAL", "LOCAL"))
        return syntax.ResetStatement(this=self._parse_word("a setting"))

    def _parse_start(self) -> exp.Expression:
        self._expect("TRANSACTION")
        return syntax.Begin()

    def _parse_transaction_word(self, node: type[exp.Expression]) -> exp.Expression:
        self._match_texts(("TRANSACTION", "WORK"))
        return node()

    def _parse_checkpoint(self) -> exp.Expression:
        name = self._parse_name("a database") if self._curr else None
        return syntax.Checkpoint(this=name)

    def _parse_pragma(self) -> exp.Expression:
        self._expect("INTEGRITY_CHECK")
        return syntax.IntegrityCheck()


STATEMENT_WORDS: dict[str, Callable[[StatementParser], exp.Expr]] = {
    "CREATE": StatementParser._parse_create_statement,
    "DROP": StatementParser._parse_drop_statement,
    "SHOW": StatementParser._parse_show_statement,
    "DESCRIBE": StatementParser._parse_describe_statement,
    "DESC": StatementParser._parse_describe_statement,
    "SUMMARIZE": StatementParser._parse_summarize_statement,
    "EXPLAIN": StatementParser._parse_explain_statement,
    "COPY": StatementParser._parse_copy_statement,
    "SET": StatementParser._parse_set_statement,
    "RESET": StatementParser._parse_reset_statement,
    "BEGIN": lambda parser: parser._parse_transaction_word(syntax.Begin),
    "START": StatementParser._parse_start,
    "COMMIT": lambda parser: parser._parse_transaction_word(syntax.Commit),
    "END": lambda parser: parser._parse_transaction_word(syntax.Commit),
    "ROLLBACK": lambda parser: parser._parse_transaction_word(syntax.Rollback),
    "ABORT": lambda parser: parser._parse_transaction_word(syntax.Rollback),
    "CHECKPOINT": StatementParser._parse_checkpoint,
    "PRAGMA": StatementParser._parse_pragma,
}
