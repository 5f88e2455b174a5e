"""`executemany`; for INSERT … VALUES (?, …) the parameters become a table that is read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlglot.tokenizer_core import Token, TokenType

from tensorsql.errors import Error, ProgrammingError, UnsupportedError
from tensorsql.parser.dialect import tokenize
from tensorsql.planner.binder.literals import python_values
from tensorsql.result import Result
from tensorsql.storage.columns.python_arrays import object_array
from tensorsql.storage.formats.objects import relation

if TYPE_CHECKING:
    from tensorsql.session import Parameters, Session

PARAMETERS = "parameters of executemany"


def execute_each(session: Session, sql: str, rows: Sequence[Parameters]) -> Result:
    """Run the statement once per parameter row, all of them or none.

    The result is the last row's; its `changes` are those of all rows.
    """
    insert = insert_from_parameters(sql)
    table = parameter_table(rows, insert[1]) if insert else None
    if insert is not None and table is not None:
        try:
            return _insert_all(session, insert[0], table)
        except ProgrammingError:
            pass  # the first row alone will tell in the words of the statement
    return _one_by_one(session, sql, rows)


def _insert_all(session: Session, sql: str, table: pa.Table) -> Result:
    session.registered[PARAMETERS] = relation(PARAMETERS, table)
    try:
        return session.execute(sql)
    finally:
        del session.registered[PARAMETERS]


def _one_by_one(session: Session, sql: str, rows: Sequence[Parameters]) -> Result:
    own = session.transaction is None
    if own:
        session.execute("BEGIN")
    try:
        results = [session.execute(sql, row) for row in rows]
    except BaseException:
        if own:
            session.end(commit=False)
        raise
    if own:
        session.end(commit=True)
    last = results[-1] if results else Result()
    counted = results and all(result.changes >= 0 for result in results)
    last.changes = sum(result.changes for result in results) if counted else -1
    return last


def insert_from_parameters(sql: str) -> tuple[str, int] | None:
    """`INSERT … SELECT` from the table of parameters, and how many each row has.

    None unless `sql` is one INSERT whose VALUES is one row of `?` alone.
    """
    try:
        tokens = tokenize(sql)
    except Error:
        return None
    if tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens = tokens[:-1]
    kinds = [token.token_type for token in tokens]
    if TokenType.VALUES not in kinds or kinds[0] != TokenType.INSERT:
        return None
    values = kinds.index(TokenType.VALUES)
    row = tokens[values + 1 :]
    if not _is_row_of_parameters(row):
        return None
    return f'{sql[: tokens[values].start]} SELECT * FROM "{PARAMETERS}"', (len(row) - 1) // 2


def _is_row_of_parameters(tokens: Sequence[Token]) -> bool:
    count = (len(tokens) - 1) // 2
    between = [TokenType.PLACEHOLDER, TokenType.COMMA] * count
    expected = [TokenType.L_PAREN, *between[:-1], TokenType.R_PAREN]
    return count > 0 and [token.token_type for token in tokens] == expected


def parameter_table(rows: Sequence[Any], width: int) -> pa.Table | None:
    """The parameter rows as a table; None where they do not make columns of one type each."""
    if not rows or any(not isinstance(row, (list, tuple)) or len(row) != width for row in rows):
        return None
    columns = [python_values([row[i] for row in rows]) for i in range(width)]
    if any(len(set(map(type, column)) - {type(None)}) > 1 for column in columns):
        return None  # Arrow would make them alike, and text of 1 is not that of 1.0
    try:
        arrays = [object_array(column) for column in columns]
    except (UnsupportedError, pa.ArrowException, OverflowError, TypeError, ValueError):
        return None
    return pa.table(arrays, names=[f"parameter{i}" for i in range(width)])
