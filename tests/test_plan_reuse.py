"""A program is made once and holds no rows: run again, it answers from the snapshot of then."""

from __future__ import annotations

import datetime
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_parameters import PLACES
from torch import nn

import tensorsql
from tensorsql import errors
from tensorsql.errors import CatalogError
from tensorsql.execution import Work
from tensorsql.operators.runtime.program import Program
from tensorsql.parser.dialect import parse
from tensorsql.plan_cache import Prepared
from tensorsql.planner.binder import bind
from tensorsql.planner.binder.parameters import Parameters
from tensorsql.planner.explain import explain
from tensorsql.planner.optimizer import optimize
from tensorsql.planner.plans.bound_statements import Query
from tensorsql.planner.plans.index_plans import IndexTopN
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import walk_plan
from tensorsql.result import Result
from tensorsql.session import compile_plan, run
from tensorsql.session_catalog import SessionCatalog

Rows = list[tuple[object, ...]]
QUERIES = (
    "SELECT k, v FROM t WHERE v > 3 ORDER BY v",
    "SELECT v + v * v, -v, sum(v + k) OVER (ORDER BY k) FROM t ORDER BY ALL",
    "SELECT count(*), sum(v * v), min(name) FROM t",
    "SELECT name, count(*) FROM t GROUP BY name ORDER BY ALL",
    "SELECT t.k, u.w FROM t JOIN u ON t.k = u.k ORDER BY ALL",
    "SELECT k FROM t WHERE k IN (SELECT k FROM u) OR v IS NULL ORDER BY k",
    "SELECT DISTINCT name FROM t UNION ALL SELECT w::VARCHAR FROM u ORDER BY ALL",
    "WITH c AS (SELECT * FROM t WHERE k < 999) SELECT a.k FROM c a, c b WHERE a.k = b.v",
    "SELECT k FROM t ORDER BY v DESC, k LIMIT 3",
    "SELECT k, (SELECT max(w) FROM u WHERE u.k = t.k) FROM t ORDER BY k",
    "SELECT t.k, f.n FROM t JOIN held f ON t.k = f.n ORDER BY 1",
)
KEYED = re.compile("JOIN|GROUP BY|WHERE a|WHERE u|IN")  # what equates or groups columns
CHANGES = (
    "INSERT INTO t SELECT i, i * 100007, 'n' || i % 3 FROM range(100, 140) r(i)",
    "DELETE FROM t WHERE k % 3 = 0",
    "UPDATE t SET v = 3000000000 - k WHERE k % 2 = 0",
    "DELETE FROM t",
    "INSERT INTO t SELECT i, 1, NULL FROM range(5) r(i)",
)


class Made:
    """A query planned and compiled once."""

    def __init__(self, con: tensorsql.Connection, sql: str, *parameters: Any) -> None:
        self.session, self.sql = con.session, sql
        (self.tree,) = parse(sql)
        with self.session.open_transaction() as transaction:
            catalog = SessionCatalog(transaction, self.session.registered)
            statement = bind(self.tree, catalog, parameters, self.session.settings)
            assert isinstance(statement, Query)
            self.plan: Plan = optimize(statement.plan)
            context = self.session.context(transaction, statement.parameters)
            program: Program = pickle.loads(pickle.dumps(compile_plan(self.plan, context)))
            self.basis = program.basis
            self.prepared = Prepared(statement, self.plan, program)

    def rows(self, *parameters: Any) -> Rows:
        """The rows at a snapshot of now, for other parameters."""
        given = Parameters(self.tree, parameters)
        for key in self.basis.parameters:
            given.parameter(key)
        with self.session.open_transaction() as transaction:
            statement = replace(self.prepared.statement, parameters=given.taken)
            ready = replace(self.prepared, statement=statement)
            work = Work(self.session, transaction, ready)
            work.rows = run(ready, work.context)
            return fetched(work.result)


def fetched(result: Result) -> Rows:
    return list(zip(*(column.to_pylist() for column in result.arrow().columns), strict=True))


def now(con: tensorsql.Connection, sql: str, *parameters: Any) -> Rows:
    return fetched(con.session.execute(sql, parameters))


@pytest.fixture(params=["memory", "folder"])
def connections(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[tensorsql.Connection, tensorsql.Connection]]:
    """One that reads and one that writes."""
    path = ":memory:" if request.param == "memory" else str(tmp_path / "db")
    reader = tensorsql.connect(path)
    writer = reader if request.param == "memory" else tensorsql.connect(path)
    reader.execute("CREATE TABLE t (k BIGINT, v BIGINT, name VARCHAR)")
    reader.execute("INSERT INTO t VALUES (1, 2, 'a'), (2, 5, 'b'), (3, NULL, 'a'), (4, 4, NULL)")
    reader.execute("CREATE TABLE u (k BIGINT PRIMARY KEY, w INTEGER)")
    reader.execute("INSERT INTO u VALUES (1, 10), (2, 20), (100, 30), (101, 40)")
    reader.register("held", {"n": [1, 2, 3, 120]})
    yield reader, writer
    for con in {reader, writer}:
        con.close()


def test_a_program_reads_what_others_have_committed(
    connections: tuple[tensorsql.Connection, tensorsql.Connection],
) -> None:
    reader, writer = connections
    programs = {sql: Made(reader, sql) for sql in QUERIES}
    refused = set()
    for change in ("", *CHANGES):
        if change:
            writer.execute(change)
        for sql, made in list(programs.items()):
            try:
                rows = made.rows()
            except CatalogError as error:
                assert "plan the statement again" in str(error)
                refused.add(sql)
                programs[sql] = Made(reader, sql)
                rows = programs[sql].rows()
            assert rows == now(reader, sql), (change, sql)
    assert refused <= {sql for sql in QUERIES if KEYED.search(sql)}


def test_a_sum_that_was_proven_to_fit_is_looked_at_again() -> None:
    con = tensorsql.connect()
    con.execute("CREATE TABLE t (v BIGINT)")
    con.execute("INSERT INTO t VALUES (1), (2)")
    made = Made(con, "SELECT v + v AS twice FROM t")
    assert made.rows() == [(2,), (4,)]
    con.execute("INSERT INTO t VALUES (9000000000000000000)")
    with pytest.raises(errors.OutOfRangeError, match="BIGINT"):
        made.rows()


def test_what_a_plan_rests_on_is_looked_at_again() -> None:
    """One match at most, and one row at most: each lets a rule drop the check for a second."""
    con = tensorsql.connect()
    con.execute("CREATE TABLE t (k BIGINT NOT NULL, v INTEGER)")
    con.execute("CREATE TABLE one (v INTEGER)")
    con.execute("INSERT INTO t VALUES (1, 10), (2, 20)")
    con.execute("INSERT INTO one VALUES (7)")
    unique = Made(con, "SELECT i, (SELECT v FROM t WHERE k = i) FROM range(3) r(i) ORDER BY i")
    single = Made(con, "SELECT i, (SELECT v FROM one) FROM range(2) r(i)")
    con.execute("INSERT INTO t VALUES (3, 30)")
    assert unique.rows() == [(0, None), (1, 10), (2, 20)]
    con.execute("INSERT INTO t VALUES (2, 40)")
    con.execute("INSERT INTO one VALUES (8)")
    for made in (unique, single):
        with pytest.raises(CatalogError, match=r"plan the statement again"):
            made.rows()
        with pytest.raises(errors.Error, match="more than one row"):
            now(con, made.sql)


def test_a_key_that_is_in_the_plan_no_more_is_looked_at_again() -> None:
    """Groups are taken before the join since the key is unique; nothing reads it after that."""
    con = tensorsql.connect()
    con.execute("CREATE TABLE owner (id INTEGER NOT NULL, k INTEGER NOT NULL)")
    con.execute("CREATE TABLE item AS SELECT (i % 5)::INTEGER AS k FROM range(50) r(i)")
    con.execute("INSERT INTO owner VALUES (1, 0), (2, 1), (3, 9)")
    made = Made(con, "SELECT count(*) FROM owner o LEFT JOIN item i ON o.k = i.k GROUP BY o.id")
    assert "Project coalesce" in explain(made.plan)
    assert sorted(made.rows()) == [(1,), (10,), (10,)]
    con.execute("INSERT INTO owner VALUES (1, 2)")
    with pytest.raises(CatalogError, match=r"plan the statement again"):
        made.rows()
    assert sorted(now(con, made.sql)) == [(1,), (10,), (20,)]


def test_another_table_of_the_name_is_not_read() -> None:
    con = tensorsql.connect()
    con.execute("CREATE TABLE t AS SELECT 1 AS k")
    made = Made(con, "SELECT k FROM t")
    con.execute("DROP TABLE t")
    for _ in range(2):
        with pytest.raises(CatalogError, match='table "t" is another one now'):
            made.rows()
        con.execute("CREATE OR REPLACE TABLE t AS SELECT 2 AS k")


def test_indexes_and_models_are_those_of_the_snapshot() -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (60, 8, 8)).astype(np.uint8)
    con = tensorsql.connect()
    con.register_masks("source", pixels)
    images = torch.from_numpy(random.normal(size=(60, 3)).astype(np.float32))
    con.register("numbers", {"id": list(range(60)), "image": images})
    con.register_model("net", nn.Sequential(nn.Linear(3, 4), nn.ReLU()), input=[3])
    con.execute("CREATE TABLE masks AS SELECT index AS id, mask FROM source WHERE index < 40")
    con.execute("CREATE TABLE images AS SELECT id, image FROM numbers WHERE id < 40")
    con.execute("CREATE INDEX c ON masks USING CHI (mask)")
    con.execute("CREATE INDEX n ON images USING NPI (net, '0') WITH (budget = 0.5)")
    top = Made(con, "SELECT id FROM masks ORDER BY CP(mask, FULL, (0.5, 1.0)) DESC, id LIMIT 5")
    assert any(isinstance(node, IndexTopN) for node in walk_plan(top.plan))
    made = [
        top,
        Made(con, "SELECT count(*) FROM masks WHERE CP(mask, FULL, (0.5, 1.0)) > 32"),
        Made(
            con,
            "SELECT input_id, distance FROM TOPK_SIMILAR(data => images, model => net,"
            " layer => '0', input => 3, k => 6, id => id)",
        ),
        Made(con, "SELECT id, PREDICT_PROBA(net, image) FROM images ORDER BY id"),
    ]
    for change in (
        "",
        "INSERT INTO masks SELECT index, mask FROM source WHERE index >= 40",
        "INSERT INTO images SELECT id, image FROM numbers WHERE id >= 40",
        "CHECKPOINT",
        "DELETE FROM masks WHERE id % 2 = 0",
        "DELETE FROM images WHERE id % 2 = 0",
        "DROP INDEX c",
        "CREATE TABLE others AS SELECT id, mask FROM masks ORDER BY CP(mask, FULL, (0.5, 1.0))",
        "CREATE INDEX c ON others USING CHI (mask)",
        "DROP INDEX n",
    ):
        if change:
            con.execute(change)
        for each in made:
            assert each.rows() == now(con, each.sql), (change, each.sql)
    con.register_model("net", nn.Sequential(nn.Linear(3, 4), nn.ReLU()), replace=True, input=[3])
    with pytest.raises(CatalogError, match='model "net" is another one now'):
        made[2].rows()


DAY = datetime.date(2020, 2, 1)
# Queries with parameters, and values for each run; those that decide something of the plan last.
FREE: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT k, v + ? FROM t WHERE v > ? ORDER BY ALL", [(1, 3), (-7, 0), (100, 5)]),
    ("SELECT k FROM t WHERE v BETWEEN ? AND ? ORDER BY k", [(2, 4), (4, 5), (9, 0)]),
    ("SELECT ?, count(*) FROM t GROUP BY name HAVING count(*) >= ? ORDER BY ALL", [(1, 1), (2, 2)]),
    ("SELECT k FROM t WHERE name = ? OR name LIKE ? ORDER BY k", [("a", "b%"), ("x", "%a%")]),
    ("SELECT k, d FROM dates WHERE d >= ? ORDER BY k", [("2020-01-02",), ("2020-02-01",)]),
    ("SELECT k FROM dates WHERE d = ? AND p < ? ORDER BY k", [(DAY, 1.5), (DAY, 99.25)]),
    ("SELECT k FROM dates WHERE p IN (?, ?, 2) ORDER BY k", [(1, 2), (3, 4)]),
    ("SELECT coalesce(name, ?), CASE WHEN k = ? THEN ? END FROM t ORDER BY k", [("x", 1, 2)] * 2),
    ("SELECT sum(v) FILTER (WHERE k <> ?), max(k + ?) FROM t", [(1, 1), (2, -1)]),
    ("SELECT k, sum(k + ?) OVER (ORDER BY k * ?) FROM t ORDER BY k", [(1, 1), (0, -1)]),
    ("SELECT t.k FROM t JOIN u ON t.k = u.k AND u.w > ? ORDER BY 1", [(15,), (5,)]),
    ("SELECT k, (SELECT max(w) FROM u WHERE u.k = t.k + ?) FROM t ORDER BY k", [(0,), (1,)]),
    ("SELECT k FROM t WHERE v = ? ORDER BY k", [(None,), (None,)]),
    ("SELECT * FROM (VALUES (?, ?), (?, 1)) w(a, b) ORDER BY a", [(1, 2, 3), (6, 5, 4)]),
    ("SELECT k FROM t ORDER BY abs(k - ?), k LIMIT 2", [(3,), (1,)]),
    ("SELECT k FROM t WHERE k = ? UNION ALL SELECT k FROM u WHERE k = ?", [(1, 2), (4, 100)]),
]
OTHERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    True,
    False,
    None,
    "a",
    "x",
    "2021-03-04",
    DAY,
    [1],
    [2, 3],
    [],
    ["b"],
    10,
    -1,
)
DECISIVE: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT k FROM t ORDER BY k LIMIT ? OFFSET ?", [(2, 1), (3, 0)]),
    ("SELECT * FROM range(?) r(i)", [(3,), (5,)]),
    ("SELECT k FROM t WHERE k IN ? ORDER BY k", [([1, 2],), ([2, 3, 4],)]),
    ("SELECT k + ?, count(*) FROM t GROUP BY k + ? ORDER BY 1", [(1, 1), (2, 2)]),
    ("SELECT k FROM t WHERE v < - ? ORDER BY k", [(-3,), (-5,)]),
    ("SELECT round(p, ?) FROM dates ORDER BY k", [(1,), (0,)]),
    ("SELECT date_trunc(?, d) FROM dates ORDER BY k", [("month",), ("year",)]),
    ("SELECT sum(k) OVER (ORDER BY k ROWS ? PRECEDING) FROM t ORDER BY k", [(1,), (2,)]),
    ("SELECT v FROM t WHERE v > CASE WHEN ? THEN 3 ELSE 0 END ORDER BY v", [(True,), (False,)]),
    ("SELECT k FROM t WHERE ? AND k > 1 ORDER BY k", [(True,), (False,)]),
    ("SELECT k FROM t WHERE ? IS NULL OR v = 2", [(1,), (2,)]),
    ("SELECT k FROM small WHERE k = ? ORDER BY k", [(1,), (1000,), (2,)]),
]


@pytest.fixture(scope="module")
def con() -> Iterator[tensorsql.Connection]:
    con = tensorsql.connect()
    con.execute("CREATE TABLE t (k BIGINT, v BIGINT, name VARCHAR)")
    con.execute("INSERT INTO t VALUES (1, 2, 'a'), (2, 5, 'b'), (3, NULL, 'a'), (4, 4, NULL)")
    con.execute("CREATE TABLE u (k BIGINT PRIMARY KEY, w INTEGER)")
    con.execute("INSERT INTO u VALUES (1, 10), (2, 20), (100, 30)")
    con.execute("CREATE TABLE dates (k INTEGER, d DATE, p DECIMAL(9, 2))")
    con.execute(
        "INSERT INTO dates VALUES (1, '2020-01-15', 1.25), (2, '2020-02-01', 2), (3, NULL, 3)"
    )
    con.execute("CREATE TABLE small AS SELECT k::TINYINT AS k FROM t")
    yield con
    con.close()


@pytest.mark.parametrize(("sql", "runs"), FREE)
def test_a_program_takes_other_parameters(
    con: tensorsql.Connection, sql: str, runs: list[tuple[Any, ...]]
) -> None:
    made = Made(con, sql, *runs[0])
    assert not made.basis.decisive
    for parameters in (*runs, runs[0]):
        assert made.rows(*parameters) == now(con, sql, *parameters)


@pytest.mark.parametrize(("sql", "runs"), DECISIVE)
def test_a_plan_rests_on_values_that_decided_something(
    con: tensorsql.Connection, sql: str, runs: list[tuple[Any, ...]]
) -> None:
    made = Made(con, sql, *runs[0])
    assert made.basis.decisive
    assert made.rows(*runs[0]) == now(con, sql, *runs[0])
    for parameters in runs[1:]:
        with pytest.raises(CatalogError, match="plan the statement again"):
            made.rows(*parameters)


def test_other_types_need_another_plan(con: tensorsql.Connection) -> None:
    made = Made(con, "SELECT k FROM t WHERE v > ? ORDER BY k", 3)
    for value in (3.5, "3", None, 1 << 40, True):
        with pytest.raises(CatalogError, match="plan the statement again"):
            made.rows(value)


def test_values_that_do_not_convert_fail_as_they_would(con: tensorsql.Connection) -> None:
    made = Made(con, "SELECT k FROM dates WHERE d = ? OR p = ?::DECIMAL(9, 2)", "2020-01-15", "2")
    assert made.rows("2020-02-01", "3") == [(2,), (3,)]
    for parameters in (("no day", "1"), ("2020-01-15", "x")):
        with pytest.raises(errors.ConversionError) as expected:
            now(con, made.sql, *parameters)
        with pytest.raises(errors.ConversionError) as found:
            made.rows(*parameters)
        assert found.value.message == expected.value.message


def test_every_place_of_a_parameter_is_free_or_decisive(con: tensorsql.Connection) -> None:
    """Whatever planning makes of a value: other values of the types give right rows or an error."""
    for sql, values in PLACES:
        made = Made(con, sql, *values)
        assert made.rows(*values) == now(con, sql, *values)
        for place in range(len(values)):
            for other in OTHERS:
                parameters = [*values[:place], other, *values[place + 1 :]]
                try:
                    rows = made.rows(*parameters)
                except errors.Error as error:
                    if "plan the statement again" not in str(error):
                        with pytest.raises(type(error)):
                            now(con, sql, *parameters)
                else:
                    assert rows == now(con, sql, *parameters), (sql, parameters)


def test_explain_prints_parameters(con: tensorsql.Connection) -> None:
    sql = "EXPLAIN SELECT k FROM t WHERE v > {} AND name = {}"
    for words, values in (
        (("?", "?"), (1, "a")),
        (("$2", "$1"), ("a", 1)),
        ((":low", ":name"), {"low": 1, "name": "a"}),
    ):
        ((plan,),) = con.execute(sql.format(*words), values).fetchall()
        first, second = {"?": ("$1", "$2")}.get(words[0], words)
        assert f"v > {first} AND name = {second}" in plan
