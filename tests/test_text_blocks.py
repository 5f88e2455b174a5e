"""Text functions over long texts: block by block, with the same answers, within a limit."""

from __future__ import annotations

import pytest

import tensorsql
from tensorsql.dbapi import Connection
from tensorsql.errors import InterruptedError, OutOfMemoryError
from tensorsql.operators.functions import text_blocks
from tests.test_cancel import Cancelling

CALLS = (
    "upper(s)", "reverse(s)", "length(s)", "s || b", "'<' || s || '>'", "concat(s, b, i)",
    "concat_ws('-', s, b)", "lpad(s, i, 'xü')", "rpad(s, 7, b || '.')", "repeat(s, i % 4)",
    "replace(s, '1', b)", "regexp_replace(s, '[0-9]', '<\\0>', 'g')", "s LIKE '%1%'", "s < b",
    "regexp_extract(s, '[0-9]+')", "s IN ('text 1', 'text 7')", "left(s, i)", "TRY_CAST(b AS INT)",
    "CASE WHEN s LIKE '%1' THEN s ELSE b END", "coalesce(b, s)", "s::BLOB", "[s, b]",
    "list_value(s, b)[2]", "trim(s, b)", "split_part(s, ' ', 2)", "nullif(s, b)",
)  # fmt: skip


@pytest.fixture
def connection() -> Connection:
    found = tensorsql.connect()
    found.execute("SET plan_cache = 0")  # planning looks, too
    found.execute(
        "CREATE TABLE t AS SELECT i::INT AS i, 'text ' || i AS s,"
        " CASE WHEN i % 5 > 0 THEN (i * i)::VARCHAR END AS b FROM range(300) r(i)"
    )
    return found


@pytest.mark.parametrize("call", CALLS)
def test_blocks_change_nothing(
    call: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = connection.execute(f"SELECT i, {call} FROM t").fetchall()
    monkeypatch.setattr(text_blocks, "BLOCK", 40)
    assert connection.execute(f"SELECT i, {call} FROM t").fetchall() == whole


@pytest.mark.parametrize("call", ["upper(s)", "s || b", "rpad(i::VARCHAR, 20, s)", "repeat(s, 9)"])
def test_looks_between_blocks(
    call: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are one morsel, and still a cancelled query ends among them."""
    sql = f"SELECT max({call}) FROM t"
    monkeypatch.setattr("tensorsql.session_state.Event", Cancelling)
    monkeypatch.setattr(Cancelling, "looks", 0)
    connection.execute(sql)
    before = Cancelling.looks
    monkeypatch.setattr(text_blocks, "BLOCK", 40)
    Cancelling.looks = 0
    connection.execute(sql)
    assert Cancelling.looks > before + 50
    monkeypatch.setattr(Cancelling, "limit", before + 25)
    Cancelling.looks = 0
    with pytest.raises(InterruptedError):
        connection.execute(sql)
    assert Cancelling.looks < before + 40


@pytest.mark.parametrize(
    "call",
    [
        "repeat('a', 2000000000)",
        "repeat('a', 9000000000000000000)",
        "lpad('a', 2000000000, 'xy')",
        "rpad('', 2147483647, 'ü')",
        "replace(repeat('a', 100000), 'a', repeat('b', 100000))",
        "regexp_replace(repeat('a', 100000), 'a', repeat('b', 100000), 'g')",
        r"regexp_replace(repeat('a', 100000), '.*', repeat('\0', 100000), 'g')",
        "sum(length(rpad(s, 100000000, 'x')))",
    ],
)
def test_too_much_text_is_refused_before_it_is_made(call: str, connection: Connection) -> None:
    source = " FROM t" if "sum" in call else ""
    with pytest.raises(OutOfMemoryError, match=r"more than the 1,073,741,824 .* SET morsel_size"):
        connection.execute(f"SELECT {call}{source}")


@pytest.mark.parametrize("call", ["repeat('x', 10000) || i", "concat(repeat('x', 10000), i)"])
def test_too_much_text_is_refused_on_the_way(
    call: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK", 50_000)
    monkeypatch.setattr(text_blocks, "LARGEST", 1_000_000)
    with pytest.raises(OutOfMemoryError, match="more than the 1,000,000"):
        connection.execute(f"SELECT sum(length({call})) FROM t")


def test_size_is_counted_where_only_the_bound_is_large(connection: Connection) -> None:
    sql = "SELECT length(replace(repeat('ab', 100000), 'abb', repeat('c', 100000)))"
    assert connection.execute(sql).fetchall() == [(200_000,)]
