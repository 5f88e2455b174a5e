"""Random questions about masks: with an index, without one and by brute force, the same answer."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from fuzz_mask_tables import MaskRow, MaskTable, mask_tables, rows_like
from fuzz_masks import Question, questions
from hypothesis import given, settings
from hypothesis import strategies as st
from sql_values import same

import tensorsql

SOAK = 40 if os.environ.get("TENSORSQL_SOAK") == "1" else 1
WAYS = (
    ("use_indexes = true", "morsel_size = 131072"),
    ("use_indexes = true", "morsel_size = 7"),
    ("use_indexes = false", "morsel_size = 131072"),
)


def with_rows(table: MaskTable, rows: list[MaskRow]) -> MaskTable:
    return replace(table, rows=tuple(rows))


def connected(path: str = ":memory:") -> tensorsql.Connection:
    con = tensorsql.connect(path)
    con.execute("CREATE TABLE images AS SELECT i AS image_id, 'n' || i AS name FROM range(6) t(i)")
    return con


def check(con: tensorsql.Connection, question: Question, table: MaskTable) -> None:
    """The answer is what brute force says, in every way."""
    expected = question.answer(table.rows)
    for way in WAYS:
        for setting in way:
            con.execute(f"SET {setting}")
        found = con.execute(question.sql).fetchall()
        shown = f"{way}: {question.sql}\nexpected {expected}\nfound    {found}"
        assert same(found, expected, question.ordered), shown


def create_index(con: tensorsql.Connection, data: Any) -> None:
    cell = data.draw(st.sampled_from((4, 0, 1, 3, 20)))
    bins = data.draw(st.sampled_from((20, 10, 1, 7, 256)))
    con.execute(f"CREATE INDEX i ON masks USING CHI (mask) WITH (cell = {cell}, bins = {bins})")


def change(con: tensorsql.Connection, table: MaskTable, data: Any) -> MaskTable:
    """One random INSERT, DELETE or UPDATE, made in the database and in the model of it."""
    kind = data.draw(st.sampled_from(("insert", "copy", "delete", "update", "move", "clear")))
    next_id = max((row.id for row in table.rows), default=-1) + 1
    if kind == "insert":
        return table.insert(con, data.draw(rows_like(table, next_id)))
    part = data.draw(st.sampled_from((2, 3, 7, 1)))
    rest = data.draw(st.integers(0, part - 1))
    where = f"WHERE id % {part} = {rest}"
    return CHANGES[kind](con, table, where, lambda row: row.id % part == rest, next_id)


def _copy(con: Any, table: MaskTable, where: str, chosen: Any, next_id: int) -> MaskTable:
    columns = "image_id, kind, weight, box, low, high, mask"
    con.execute(f"INSERT INTO masks SELECT id + {next_id}, {columns} FROM masks {where}")
    copies = [replace(row, id=row.id + next_id) for row in table.rows if chosen(row)]
    return with_rows(table, [*table.rows, *copies])


def _delete(con: Any, table: MaskTable, where: str, chosen: Any, next_id: int) -> MaskTable:
    con.execute(f"DELETE FROM masks {where}")
    return with_rows(table, [row for row in table.rows if not chosen(row)])


def _changed(table: MaskTable, chosen: Any, update: Any) -> MaskTable:
    """An update deletes and inserts: changed rows come last."""
    kept = [row for row in table.rows if not chosen(row)]
    return with_rows(table, [*kept, *(update(row) for row in table.rows if chosen(row))])


def _update(con: Any, table: MaskTable, where: str, chosen: Any, next_id: int) -> MaskTable:
    con.execute(f"UPDATE masks SET kind = (kind + 1) % 3, weight = 0.5 {where}")
    return _changed(table, chosen, lambda row: replace(row, kind=(row.kind + 1) % 3, weight=0.5))


def _move(con: Any, table: MaskTable, where: str, chosen: Any, next_id: int) -> MaskTable:
    con.execute(f"UPDATE masks SET box = BOX_XYWH(1, 2, 4, 3), low = NULL {where}")
    return _changed(table, chosen, lambda row: replace(row, box=(1.0, 2.0, 5.0, 5.0), low=None))


def _clear(con: Any, table: MaskTable, where: str, chosen: Any, next_id: int) -> MaskTable:
    con.execute(f"UPDATE masks SET mask = CASE WHEN kind = 0 THEN mask END {where}")
    return _changed(
        table,
        chosen,
        lambda row: row if row.kind == 0 else replace(row, mask=None),
    )


CHANGES = {"copy": _copy, "delete": _delete, "update": _update, "move": _move, "clear": _clear}


@settings(max_examples=50 * SOAK)
@given(mask_tables(), st.data())
def test_in_memory(con: tensorsql.Connection, table: MaskTable, data: st.DataObject) -> None:
    con.rollback()
    table.load(con)
    create_index(con, data)
    for _ in range(data.draw(st.integers(0, 2))):
        table = change(con, table, data)
    for question in data.draw(st.lists(questions(table), min_size=2, max_size=5)):
        check(con, question, table)
    con.execute("BEGIN")
    changed = change(con, table, data)
    check(con, data.draw(questions(changed)), changed)
    end = data.draw(st.sampled_from(("ROLLBACK", "COMMIT")))
    con.execute(end)
    check(con, data.draw(questions(table)), table if end == "ROLLBACK" else changed)


@pytest.fixture(scope="module")
def con() -> Any:
    con = connected()
    yield con
    con.close()


@settings(max_examples=8 * SOAK)
@given(mask_tables(), st.data())
def test_closed_and_reopened(
    tmp_path_factory: pytest.TempPathFactory, table: MaskTable, data: st.DataObject
) -> None:
    path = str(tmp_path_factory.mktemp("masks") / "masks.tsql")
    con = connected(path)
    table.load(con)
    create_index(con, data)
    for _ in range(2):
        table = change(con, table, data)
        con.close()
        con = tensorsql.connect(path)
        for question in data.draw(st.lists(questions(table), min_size=1, max_size=3)):
            check(con, question, table)
    con.close()
