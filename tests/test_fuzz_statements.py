"""Statements gone wrong end in an error of ours that is no defect; all of the corpus parses."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_statements import Mutator, corpus, own_statements, world
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorsql import Connection, errors

SOAK = os.environ.get("TENSORSQL_SOAK") == "1"
STATEMENTS = 20_000 if SOAK else 1_500
PATIENCE = 5.0  # seconds until a statement is cancelled
MUTATOR = Mutator(own_statements() + corpus())


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """The world, in a folder of its own: a mutated COPY may write anywhere below."""
    monkeypatch.chdir(tmp_path)
    with world() as opened:
        yield opened


def undone(connection: Connection, sql: str) -> None:
    """Run a statement in a transaction that is rolled back; an error of the user's is no error."""
    timer = threading.Timer(PATIENCE, connection.interrupt)
    timer.start()
    began = time.monotonic()
    try:
        connection.begin()
        cursor = connection.execute(sql)
        if cursor.description:
            cursor.fetchall()
    except errors.InternalError as error:
        raise AssertionError(f"{sql!r}: {error}") from error
    except errors.Error as error:
        assert str(error), sql
        if error.position is not None and error.sql == sql:
            line, column = error.position
            assert 1 <= line <= sql.count("\n") + 1 and column >= 1, (sql, error.position)
    finally:
        timer.cancel()
        connection.rollback()
    assert time.monotonic() - began < 4 * PATIENCE, f"hangs: {sql!r}"


def test_mutated_statements(connection: Connection) -> None:
    """Many mutations of one kind and another, the same ones every time unless soaking."""
    source = random.Random(None if SOAK else 20_240)
    for _ in range(STATEMENTS):
        undone(connection, MUTATOR.mutate(source))


@settings(max_examples=200 if SOAK else 15)
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    """Text that is no SQL at all."""
    with world_in_memory() as connection:
        undone(connection, text)


def world_in_memory() -> Connection:
    """An empty database is enough where hardly anything parses."""
    import tensorsql

    return tensorsql.connect()


def test_own_statements_mean_what_they_say(connection: Connection) -> None:
    """Most of them run: mutations of what does not bind anyway would prove little."""
    ran = 0
    for sql in own_statements():
        try:
            undone_or_raise(connection, sql)
            ran += 1
        except errors.Error:
            pass
    assert ran >= len(own_statements()) - 12


def undone_or_raise(connection: Connection, sql: str) -> None:
    """Run a statement in a transaction that is rolled back."""
    connection.begin()
    try:
        connection.execute(sql)
    finally:
        connection.rollback()
