"""Kept plans: the same answers as planned anew, whatever happened in between."""

from __future__ import annotations

import datetime
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorsql
from tensorsql import plan_cache, session
from tensorsql.errors import BindError, CatalogError, Error, OutOfRangeError


@pytest.fixture
def con() -> tensorsql.Connection:
    connection = tensorsql.connect()
    connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER, s VARCHAR)")
    connection.execute("INSERT INTO t SELECT i, i * 3, 's' || i % 4 FROM range(20) r(i)")
    connection.execute("CREATE VIEW w AS SELECT k FROM t WHERE v > 30")
    return connection


class Planned:
    """Counts how often a statement is bound."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        bind = session.bind

        def counted(*arguments: Any) -> Any:
            self.times += 1
            return bind(*arguments)

        monkeypatch.setattr(session, "bind", counted)

    def by(self, con: tensorsql.Connection, sql: str, *parameters: Any) -> int:
        """How often running the statement binds it."""
        before = self.times
        con.execute(sql, parameters)
        return self.times - before


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Planned:
    return Planned(monkeypatch)


QUERY = "SELECT s, sum(v) FROM t WHERE k > ? GROUP BY s ORDER BY s"


def test_a_query_is_planned_once(con: tensorsql.Connection, planned: Planned) -> None:
    assert planned.by(con, QUERY, 3) == 1
    assert planned.by(con, QUERY, 3) == 0
    assert planned.by(con, QUERY, 18) == 0
    assert con.execute(QUERY, [18]).fetchall() == [("s3", 57)]
    assert planned.by(con, QUERY, 1.5) == 1  # another type of parameter
    assert planned.by(con, QUERY, 7) == 0


# Columns that were unique may be so no more: a plan of a join is made again once.
ROWS = ("INSERT INTO t VALUES (100, 1, 'new')", "UPDATE t SET v = v + 1 WHERE k = 3")
KEEPING = (
    "DELETE FROM t WHERE k = 4",
    "CREATE TABLE other (a INTEGER)",
    "CREATE VIEW other_view AS SELECT 1 AS a",
)
# What changes the answer, or the plan, of a query over t and w.
CHANGING = (
    "CREATE OR REPLACE VIEW w AS SELECT k FROM t WHERE v > 50",
    "DROP VIEW w; CREATE TABLE w (k INTEGER)",
    "DROP TABLE t; CREATE TABLE t AS SELECT 1 AS k, 90 AS v, 'x' AS s",
    "INSERT INTO t SELECT i, i, 'many' FROM range(1000, 9000) r(i)",
    "SET threads = 1",
    "SET disabled_rules = 'order_joins'",
)


@pytest.mark.parametrize("change", KEEPING)
def test_what_changes_nothing_of_the_plan_keeps_it(
    change: str, con: tensorsql.Connection, planned: Planned
) -> None:
    sql = "SELECT t.s, count(*) FROM t JOIN w ON t.k = w.k GROUP BY t.s ORDER BY t.s"
    con.execute(sql)
    con.execute(change)
    assert planned.by(con, sql) == 0
    kept = con.execute(sql).fetchall()
    con.execute("SET plan_cache = 0")
    assert kept == con.execute(sql).fetchall()


@pytest.mark.parametrize("change", ROWS)
def test_rows_that_come_and_go_keep_the_plan(
    change: str, con: tensorsql.Connection, planned: Planned
) -> None:
    alone = "SELECT s, v FROM t WHERE v < 30 ORDER BY v"
    joined = "SELECT t.s, count(*) FROM t JOIN w ON t.k = w.k GROUP BY t.s ORDER BY t.s"
    for sql in (alone, joined):
        con.execute(sql)
    con.execute(change)
    assert planned.by(con, alone) == 0
    con.execute(joined)
    con.execute(change.replace("100", "101"))
    assert planned.by(con, joined) == 0


@pytest.mark.parametrize("change", CHANGING)
def test_what_changes_the_plan_has_it_made_again(
    change: str, con: tensorsql.Connection, planned: Planned
) -> None:
    sql = "SELECT t.s, count(*) FROM t JOIN w ON t.k = w.k GROUP BY t.s ORDER BY t.s"
    con.execute(sql)
    con.execute(change)
    assert planned.by(con, sql) == 1
    again = con.execute(sql).fetchall()
    con.execute("SET plan_cache = 0")
    assert again == con.execute(sql).fetchall()


def test_a_name_that_is_gone_is_an_error_again(con: tensorsql.Connection) -> None:
    con.execute("SELECT k FROM w")
    con.execute("DROP VIEW w")
    with pytest.raises(CatalogError, match="w"):
        con.execute("SELECT k FROM w")


def test_registered_objects_are_those_of_now(con: tensorsql.Connection, planned: Planned) -> None:
    con.register("held", {"a": [1, 2]})
    assert con.execute("SELECT sum(a) FROM held").fetchall() == [(3,)]
    assert planned.by(con, "SELECT sum(a) FROM held") == 0
    con.register("held", {"a": [5, 6]})
    assert con.execute("SELECT sum(a) FROM held").fetchall() == [(11,)]
    con.execute("CREATE TABLE held AS SELECT 9 AS a")  # tables hide objects
    assert con.execute("SELECT sum(a) FROM held").fetchall() == [(9,)]


def test_files_variables_and_lists_of_names_are_looked_at_each_time(
    con: tensorsql.Connection, tmp_path: Path, planned: Planned
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n\n1\n", encoding="utf-8")
    local = {"n": np.arange(3)}
    several = (f"SELECT n FROM '{path}'", "SELECT n FROM local", "SELECT 1; SELECT 2")
    for sql in (*several, f"SELECT n FROM read_csv('{path}')", "FROM (SHOW TABLES)"):
        con.execute(sql)
        assert planned.by(con, sql) > 0, sql
    path.write_text("n\n1\n2\n", encoding="utf-8")
    assert con.execute(several[0]).fetchall() == [(1,), (2,)]
    local = {"n": np.arange(2)}
    assert con.execute(several[1]).fetchall() == [(0,), (1,)]
    del local


def test_an_index_is_used_once_there_is_one(planned: Planned) -> None:
    con = tensorsql.connect()
    pixels = np.random.default_rng(0).random((30, 8, 8)).astype(np.float32)
    con.register_masks("source", pixels)
    con.execute("CREATE TABLE m AS SELECT index AS id, mask FROM source")
    sql = "SELECT id FROM m ORDER BY CP(mask, FULL, (0.5, 1.0)) DESC, id LIMIT ?"
    first = con.execute(sql, [3]).fetchall()
    con.execute("CREATE INDEX c ON m USING CHI (mask)")
    assert planned.by(con, sql, 3) == 1
    assert planned.by(con, sql, 3) == 0
    assert con.execute(sql, [3]).fetchall() == first
    con.execute("DROP INDEX c")
    assert planned.by(con, sql, 3) == 1
    assert planned.by(con, sql, 4) == 1  # a LIMIT decides something of the plan


def test_a_day_is_that_of_the_run(
    con: tensorsql.Connection, monkeypatch: pytest.MonkeyPatch, planned: Planned
) -> None:
    con.execute("SELECT current_date()")

    class Tomorrow(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:
            return datetime.date(2100, 1, 1)

    monkeypatch.setattr(plan_cache, "today", Tomorrow.today)
    assert planned.by(con, "SELECT current_date()") == 1


def test_wrong_parameters_are_refused_as_ever(con: tensorsql.Connection) -> None:
    con.execute(QUERY, [3])
    for parameters in ([], [1, 2], {"k": 1}):
        with pytest.raises(BindError):
            con.execute(QUERY, parameters)
    with pytest.raises(Error):
        con.execute(QUERY, ["no number"])
    assert len(con.execute(QUERY, [3]).fetchall()) == 4


def test_the_number_of_plans_has_a_bound(con: tensorsql.Connection, planned: Planned) -> None:
    con.execute("SET plan_cache = 3")
    for number in range(10):
        con.execute(f"SELECT {number} FROM t")
    assert len(con.session.plans) == 3
    assert planned.by(con, "SELECT 9 FROM t") == 0
    assert planned.by(con, "SELECT 1 FROM t") == 1
    con.execute("SET plan_cache = 0")
    assert planned.by(con, "SELECT 9 FROM t") == 1
    assert planned.by(con, "SELECT 9 FROM t") == 1
    assert len(con.session.plans) == 0
    for wrong in ("-1", "'many'"):
        with pytest.raises(OutOfRangeError, match="plan_cache"):
            con.execute(f"SET plan_cache = {wrong}")


def test_a_kept_plan_holds_no_rows(con: tensorsql.Connection) -> None:
    con.execute("SELECT sum(v) FROM t").fetchall()
    with con.session.open_transaction() as transaction:
        state = weakref.ref(transaction._current.tables["t"])
    del transaction
    con.execute("DELETE FROM t")
    gc.collect()
    assert state() is None


def test_rows_of_an_open_transaction_are_seen(con: tensorsql.Connection) -> None:
    sql = "SELECT count(*), max(v) FROM t"
    assert con.execute(sql).fetchall() == [(20, 57)]
    con.execute("BEGIN")
    con.execute("INSERT INTO t VALUES (50, 500, 'mine')")
    assert con.execute(sql).fetchall() == [(21, 500)]
    con.execute("DROP TABLE t")
    with pytest.raises(CatalogError):
        con.execute(sql)
    con.execute("ROLLBACK")
    assert con.execute(sql).fetchall() == [(20, 57)]


def test_a_text_whose_plan_is_stale_is_bound_again(con: tensorsql.Connection) -> None:
    con.execute("CREATE TABLE x (a INTEGER)")
    con.execute("SELECT a FROM x")
    con.execute("CREATE OR REPLACE TABLE x AS SELECT 2 AS a")
    assert con.execute("SELECT a FROM x").fetchall() == [(2,)]


STATEMENTS = (
    *ROWS,
    *KEEPING,
    *CHANGING,
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "DELETE FROM t",
    "INSERT INTO t SELECT k + 1000, v, s FROM t WHERE k < 1000",
    "DROP TABLE other",
    "CHECKPOINT",
)
ASKED = (
    ("SELECT k, v FROM t WHERE v > ? ORDER BY k, v", (30,)),
    ("SELECT k, v FROM t WHERE v > ? ORDER BY k, v", (40,)),
    ("SELECT s, count(*), max(v) FROM t GROUP BY s ORDER BY s", ()),
    ("SELECT t.k, w.k FROM t LEFT JOIN w ON t.k = w.k ORDER BY t.k, w.k", ()),
    ("SELECT (SELECT v FROM t b WHERE b.k = a.k) FROM t a ORDER BY 1", ()),
    ("SELECT count(*) FROM t a JOIN t b ON a.v = b.v WHERE a.k < ?", (7,)),
    ("SELECT a.k, count(b.v) FROM t a LEFT JOIN t b ON a.v = b.k GROUP BY a.k ORDER BY a.k", ()),
    ("SELECT * FROM t ORDER BY ALL LIMIT ?", (3,)),
    ("SELECT * FROM w ORDER BY ALL LIMIT ?", (2,)),
)


def _outcome(con: tensorsql.Connection, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
    try:
        return con.execute(sql, parameters).fetchall()
    except Error as error:
        return type(error).__name__, str(error)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from((*STATEMENTS, *ASKED, *ASKED)), min_size=8, max_size=25))
def test_any_order_of_statements_gives_what_planning_anew_gives(steps: list[Any]) -> None:
    keeping, anew = tensorsql.connect(), tensorsql.connect()
    anew.execute("SET plan_cache = 0")
    for connection in (keeping, anew):
        connection.execute("CREATE TABLE t (k INTEGER, v INTEGER, s VARCHAR)")
        connection.execute("INSERT INTO t SELECT i, i * 3, 's' || i % 4 FROM range(20) r(i)")
        connection.execute("CREATE VIEW w AS SELECT k FROM t WHERE v > 30")
    for step in (*ASKED, *steps, *ASKED):
        sql, parameters = (step, ()) if isinstance(step, str) else step
        assert _outcome(keeping, sql, parameters) == _outcome(anew, sql, parameters), sql
