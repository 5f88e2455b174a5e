"""Binding: names, scopes, types, subqueries, grouping and the errors about them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from binding import MemoryCatalog, bound, error_of, plan_of, sample

from tensorsql.errors import BindError, CatalogError, InternalError, UnsupportedError
from tensorsql.planner.plans.bound_statements import (
    CopyTo,
    CreateIndex,
    CreateTable,
    CreateView,
    Delete,
    Drop,
    Explain,
    Insert,
    Query,
    Set,
    Update,
)
from tensorsql.planner.plans.expressions import TRUE, Call, Literal, WindowCall
from tensorsql.planner.plans.logical import (
    Aggregate,
    DependentJoin,
    Filter,
    Join,
    Project,
    Reference,
    Scan,
    Values,
    Window,
    With,
)
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import free_columns, walk_plan
from tensorsql.planner.plans.verify import verify
from tensorsql.storage.columns import types
from tensorsql.storage.tables.catalog import ViewEntry


@pytest.fixture
def catalog() -> MemoryCatalog:
    return sample()


def nodes(plan: Plan, kind: type[Any]) -> list[Any]:
    return [node for node in walk_plan(plan) if isinstance(node, kind)]


def names(plan: Plan) -> list[str]:
    return [field.name for field in plan.fields]


def kinds(plan: Plan) -> list[str]:
    return [str(field.type) for field in plan.fields]


COLUMNS = {
    "SELECT * FROM t": ["a", "b", "s", "d"],
    "FROM t": ["a", "b", "s", "d"],
    "SELECT T.A, t.B AS q FROM t": ["a", "q"],
    "SELECT t.*, a + 1 FROM t": ["a", "b", "s", "d", "(a + 1)"],
    "SELECT * EXCLUDE (a) REPLACE (b + 1 AS b) FROM t": ["b", "s", "d"],
    "SELECT COLUMNS('^[ab]$') FROM t": ["a", "b"],
    "SELECT * FROM t JOIN u USING (a)": ["a", "b", "s", "d", "c", "l", "st"],
    "SELECT * FROM t NATURAL JOIN u": ["a", "b", "s", "d", "c", "l", "st"],
    "SELECT u.* FROM t JOIN u USING (a)": ["a", "c", "l", "st"],
    "SELECT * FROM t SEMI JOIN u ON t.a = u.a": ["a", "b", "s", "d"],
    "SELECT * FROM t AS x(p, q)": ["p", "q", "s", "d"],
    "SELECT * FROM (VALUES (1, 'a')) v(x, y)": ["x", "y"],
    "SELECT * FROM (t JOIN u ON t.a = u.a) j": ["a", "b", "s", "d", "a_1", "c", "l", "st"],
    "VALUES (1, 2)": ["col0", "col1"],
    'SELECT "A b", "SELECT" FROM odd': ["A b", "select"],
    "SELECT * FROM v": ["p", "b"],
    "SELECT count(*), sum(a), 'x', true FROM t": ["count_star()", "sum(a)", "'x'", "true"],
    "SELECT a, b FROM t UNION ALL BY NAME SELECT c, a FROM u": ["a", "b", "c"],
    "SELECT * FROM u, unnest(l) w(e)": ["a", "c", "l", "st", "e"],
    "SELECT * FROM 'x.csv'": ["a", "b"],
    "SELECT * FROM range(3) r": ["r"],
    "DESCRIBE t": ["column_name", "column_type", "null", "key", "default", "extra"],
}


@pytest.mark.parametrize(("sql", "expected"), COLUMNS.items())
def test_output_columns(catalog: MemoryCatalog, sql: str, expected: list[str]) -> None:
    assert [name.lower() for name in names(plan_of(sql, catalog))] == [
        name.lower() for name in expected
    ]


TYPES = {
    "SELECT 1, 3000000000, 0.06, 1e3, 'x', -2147483648": [
        *("INTEGER", "BIGINT", "DECIMAL(3,2)", "DOUBLE", "VARCHAR", "BIGINT")
    ],
    "SELECT DATE '2020-01-01', INTERVAL '3' MONTH, [1, 2], {'k': 1}, true": [
        *("DATE", "INTERVAL", "INTEGER[]", "STRUCT(k INTEGER)", "BOOLEAN")
    ],
    "SELECT st.x, u.st.y, st['x'], l[1] FROM u": ["INTEGER", "VARCHAR", "INTEGER", "INTEGER"],
    "SELECT a FROM t UNION SELECT d FROM t": ["DECIMAL(12,2)"],
    "VALUES (1, NULL), (2.5, 'x')": ["DECIMAL(11,1)", "VARCHAR"],
    "SELECT CASE WHEN a > 1 THEN 1 ELSE 2.5 END, a IN (1, 2), s LIKE 'a%' FROM t": [
        *("DECIMAL(11,1)", "BOOLEAN", "BOOLEAN")
    ],
    "SELECT a IN (SELECT c FROM u), EXISTS (FROM u), (SELECT max(c) FROM u) FROM t": [
        *("BOOLEAN", "BOOLEAN", "INTEGER")
    ],
    "SELECT CP(mask, roi, (0.8, 1.0)), CP(mask, -, (0, 1)) / CP(mask, roi, (lo, 1)) FROM masks": [
        *("BIGINT", "DOUBLE")
    ],
}


@pytest.mark.parametrize(("sql", "expected"), TYPES.items())
def test_output_types(catalog: MemoryCatalog, sql: str, expected: list[str]) -> None:
    assert kinds(plan_of(sql, catalog)) == expected


SOUND = """
SELECT a AS x, x + 1 AS y FROM t WHERE x > 1 ORDER BY y
SELECT s AS k, sum(d) AS q FROM t GROUP BY ALL HAVING q > 1 ORDER BY q DESC, k LIMIT 3
SELECT s, a, grouping_id, count(*) FROM (SELECT *, 1 AS grouping_id FROM t) GROUP BY CUBE (s, a), 3
SELECT sum(a) AS a FROM t HAVING a > 1
SELECT s FROM t GROUP BY s HAVING sum(a) IN (SELECT c FROM u) AND sum(a) <> ALL (SELECT 1)
SELECT t.a, (SELECT max(c) FROM u WHERE u.a = t.a) AS k FROM t WHERE k > 1 GROUP BY t.a HAVING k > 2
SELECT main.t.a FROM main.t WHERE a IN (VALUES (1), (2))
SELECT DISTINCT ON (s) s, a FROM t ORDER BY s, b DESC
SELECT a FROM t ORDER BY b + 1, ALL
SELECT a FROM t ORDER BY (SELECT max(c) FROM u WHERE u.a = t.a)
SELECT a, count(*) OVER w AS r FROM t WINDOW w AS (PARTITION BY s ORDER BY a) QUALIFY r = 1
SELECT s, sum(sum(d)) OVER (ORDER BY s) FROM t GROUP BY s
SELECT count(DISTINCT a), sum(a) FILTER (WHERE b > 1), string_agg(s, ',' ORDER BY a DESC) FROM t
SELECT t.a, (SELECT max(c) FROM u WHERE u.a = t.a) FROM t GROUP BY t.a
SELECT a FROM t GROUP BY a HAVING (SELECT min(c) FROM u WHERE u.a = t.a) > 1
SELECT sum((SELECT max(c) FROM u WHERE u.a = t.a)) FROM t
SELECT a FROM t WHERE b > (SELECT avg(c) FROM u WHERE EXISTS (FROM t x WHERE x.b = c AND x.d = t.d))
SELECT * FROM t, LATERAL (SELECT c FROM u WHERE u.a = t.a) x
SELECT * FROM t LEFT JOIN LATERAL (SELECT c FROM u WHERE u.a = t.a LIMIT 1) x ON true
SELECT a FROM t WHERE a > ALL (SELECT a FROM u) OR a = ANY (SELECT c FROM u)
SELECT a FROM t WHERE (a, b) IN (SELECT a, c FROM u) AND (a, b) = (1, 2)
SELECT t.a FROM t JOIN u ON t.a = u.a AND u.c IN (SELECT b FROM t)
SELECT a, unnest(l) FROM u
(SELECT a FROM t LIMIT 2) UNION (SELECT a FROM u) INTERSECT SELECT 1 ORDER BY 1 LIMIT 1 + 1
WITH x(q) AS (SELECT a FROM t), y AS (SELECT q + 1 AS q FROM x) SELECT x.q FROM x, y, y AS z
SELECT (WITH x AS (SELECT c FROM u WHERE u.a = t.a) SELECT count(*) FROM x p, x q) FROM t
SELECT image_id, AVG(CP(mask, roi, (0.8, 1))) AS m FROM masks GROUP BY image_id ORDER BY m DESC
SELECT IOU(x.mask > 0.5, y.mask > 0.5), IOU(x.mask > 0.5, x.roi) FROM masks x, masks y
SELECT AREA(mask, ((1, 1), (image_id, 2))), AREA(roi), AREA(mask, FULL) FROM masks
SELECT PREDICT(m, a, b) AS p, count(*) FROM t GROUP BY p ORDER BY p
SELECT PREDICT(m, *), PREDICT_PROBA(m, a, b, class => 'x') FROM t
SUMMARIZE t
SHOW TABLES
SHOW MODELS
SHOW SETTINGS
DESCRIBE MODEL m
DESCRIBE SELECT 1 AS x
""".strip().splitlines()


@pytest.mark.parametrize("sql", SOUND)
def test_sound_plans(catalog: MemoryCatalog, sql: str) -> None:
    plan_of(sql, catalog)


ERRORS = {
    "SELECT imge_id FROM masks": 'column "imge_id" not found in masks; did you mean "image_id"?',
    "SELECT maks.mask FROM masks": 'table "maks" not found in FROM; did you mean "masks"?',
    "SELECT * FROM maks": 'table "maks" not found; did you mean "masks"?',
    "SELECT a FROM t, u": 'column "a" is ambiguous; write t.a or u.a',
    "SELECT a, sum(b) FROM t": 'column "a" must appear in the GROUP BY clause or must be part',
    "SELECT a FROM t HAVING a > 1": 'column "a" must appear in the GROUP BY clause',
    "SELECT (SELECT b) FROM t GROUP BY a": 'column "b" must appear in the GROUP BY clause',
    "SELECT a FROM t WHERE sum(b) > 1": "WHERE cannot contain an aggregate; use HAVING",
    "SELECT a FROM t WHERE count(*) OVER () = 1": "WHERE cannot contain a window function",
    "SELECT a FROM t GROUP BY sum(a)": "GROUP BY cannot contain an aggregate",
    "SELECT sum(sum(a)) FROM t": "aggregate sum cannot contain another aggregate",
    "SELECT upper(DISTINCT s) FROM t": "upper is no aggregate",
    "SELECT max(a) OVER w FROM t": 'window "w" not found',
    "INSERT INTO t (a) VALUES (sum(1))": "VALUES cannot contain an aggregate",
    "UPDATE t SET a = max(b)": "SET cannot contain an aggregate",
    "DELETE FROM t WHERE max(a) > 1": "WHERE cannot contain an aggregate",
    "FROM t JOIN u ON sum(c) > 1": "ON cannot contain an aggregate",
    "FROM t WHERE unnest([1]) = 1": "WHERE cannot contain UNNEST",
    "SELECT a FROM t UNION FROM (SELECT 1) ORDER BY sum(a)": "ORDER BY here cannot contain",
    "CREATE TABLE n (a INT DEFAULT zz)": 'the default of column "a": column "zz" not found',
    "CREATE TABLE n (a MASK(1, 2))": "MASK takes one number",
    "SELECT foo(a) FROM t": 'there is no function "foo"',
    "SELECT a FROM t WHERE DATE '2020-01-01' > a": "cannot compare values of type",
    "SELECT a FROM t ORDER BY 5": "position 5 is not in the select list, which has 1 columns",
    "SELECT a FROM t LIMIT -1": "LIMIT must not be negative, it is -1",
    "SELECT DISTINCT a FROM t ORDER BY b": "ORDER BY expressions must be in the select list",
    "SELECT a FROM t UNION SELECT a, c FROM u": "UNION needs as many columns on both sides",
    "SELECT a FROM t WHERE a IN (SELECT a, c FROM u)": "the subquery has 2 columns, one column",
    "SELECT * FROM t x, u x": 'two tables are called "x"; give one another alias',
    "SELECT * FROM t JOIN u USING (zz)": 'column "zz" of USING not found in t',
    "SELECT * EXCLUDE (zz) FROM t": 'column "zz" of the star list not found',
    "SELECT x FROM t AS q(x, y, z, w, v)": "table q has 4 columns but 5 column names were given",
    "SELECT *": "a star needs a FROM clause",
    "WITH x AS (SELECT 1), x AS (SELECT 2) FROM x": 'WITH defines "x" twice',
    "WITH x AS (SELECT zz FROM t) SELECT 1": 'column "zz" not found in t',
    "SELECT * FROM loop": 'view "loop" is defined by itself',
    "SELECT * FROM broken": 'view "broken" is broken: column "zz" not found in t',
    "SELECT * FROM rang(3)": 'table function "rang" not found; did you mean "range"?',
    "SELECT * FROM PREDICT(modl => m, data => t)": 'no argument "modl"; did you mean "model"?',
    "SELECT PREDICT(q, a) FROM t": 'model "q" not found; there is "m"',
    "SELECT PREDICT(m, a) FROM t": 'model "m" takes 2',
    "SELECT CP(mask, ((5, 5), (1, 9)), (0, 1)) FROM masks": "the region ((5, 5), (1, 9)) is empty",
    "SELECT CP(mask, -, (0.9, 0.2)) FROM masks": "the range (0.9, 0.2) of CP is empty",
    "SELECT CP(mask) FROM masks": "CP takes a mask, a region and a range of values",
    "SELECT ?": "no value was given for parameter 1",
    "SELECT :x": 'no value was given for parameter "x"',
    "INSERT INTO t (zz) VALUES (1)": 'column "zz" not found in t',
    "INSERT INTO t VALUES (1)": "t takes 4 values here, 1 were given",
    "INSERT INTO t (a) VALUES (DATE '2020-01-01')": 'column "a" is INTEGER, the value DATE',
    "INSERT INTO v VALUES (1)": '"v" is a view, not a table',
    "UPDATE t SET zz = 1": 'column "zz" not found in t',
    "UPDATE t SET a = 1, A = 2": 'column "a" is set twice',
    "CREATE TABLE n (a INT, A INT)": 'table n has two columns "A"',
    "CREATE TABLE n (a INT, PRIMARY KEY (b))": 'key column "b" not found in n',
    "CREATE TABLE n (a foo)": "unknown type FOO",
    "DROP TABLE zz": 'table "zz" not found',
    "DROP INDEX zz": 'index "zz" not found',
    "CREATE INDEX i ON zz USING chi (mask)": 'table "zz" not found',
    "SELECT * FROM 'missing.csv'": 'no file matches "missing.csv"',
}


@pytest.mark.parametrize(("sql", "message"), ERRORS.items())
def test_errors(catalog: MemoryCatalog, sql: str, message: str) -> None:
    error = error_of(sql, catalog)
    assert message in error.message
    assert not error.message.endswith(".")


def test_errors_point_at_the_name(catalog: MemoryCatalog) -> None:
    error = error_of("SELECT a,\n  zz FROM t", catalog)
    assert (type(error), error.position) == (BindError, (2, 3))
    assert error_of("SELECT 1 FROM tt", catalog).position == (1, 15)
    assert isinstance(error_of("SELECT 1 FROM tt", catalog), CatalogError)
    recursive = "WITH RECURSIVE r AS (SELECT 1 UNION ALL FROM r) FROM r"
    assert isinstance(error_of(recursive, catalog), UnsupportedError)


def dependent(sql: str, catalog: MemoryCatalog) -> list[str]:
    return [node.kind for node in nodes(plan_of(sql, catalog), DependentJoin)]


def test_where_subqueries_become_semi_and_anti_joins(catalog: MemoryCatalog) -> None:
    exists = "EXISTS (FROM u WHERE u.a = t.a)"
    assert dependent(f"FROM t WHERE {exists}", catalog) == ["semi"]
    assert dependent(f"FROM t WHERE NOT {exists} AND a > 1", catalog) == ["anti"]
    assert dependent("FROM t WHERE a IN (SELECT a FROM u)", catalog) == ["semi"]
    assert dependent("FROM t WHERE a NOT IN (SELECT a FROM u)", catalog) == ["mark"]
    assert dependent(f"FROM t WHERE {exists} OR a > 1", catalog) == ["mark"]
    assert dependent("FROM t WHERE a > ALL (SELECT a FROM u)", catalog) == ["mark"]
    assert dependent("FROM t WHERE a = (SELECT max(a) FROM u)", catalog) == ["single"]
    assert dependent(f"SELECT {exists}, a IN (SELECT c FROM u) FROM t", catalog) == ["mark", "mark"]


def test_an_alias_of_a_subquery_is_joined_once(catalog: MemoryCatalog) -> None:
    sql = "SELECT (SELECT max(c) FROM u WHERE u.a = t.a) AS k, k + 1 FROM t WHERE k > 0 ORDER BY k"
    assert dependent(sql, catalog) == ["single"]


def test_correlation_reads_outer_columns(catalog: MemoryCatalog) -> None:
    plan = plan_of("SELECT (SELECT count(*) FROM u WHERE u.a = t.a) FROM t", catalog)
    (join,) = nodes(plan, DependentJoin)
    (outer,) = free_columns(join.right)
    assert outer in {field.id for field in join.left.fields}
    (aggregate,) = nodes(join.right, Aggregate)
    assert aggregate.keys == ()


def test_above_a_grouping_subqueries_read_its_keys(catalog: MemoryCatalog) -> None:
    sql = "SELECT s, (SELECT max(c) FROM u WHERE u.a = upper(t.s)::INT) FROM t GROUP BY s"
    (join,) = nodes(plan_of(sql, catalog), DependentJoin)
    assert isinstance(join.left, Aggregate)


def test_equal_aggregates_and_windows_are_computed_once(catalog: MemoryCatalog) -> None:
    plan = plan_of("SELECT sum(a), sum(a) + 1 FROM t HAVING sum(a) > 0 ORDER BY sum(a)", catalog)
    (aggregate,) = nodes(plan, Aggregate)
    assert len(aggregate.aggregates) == 1
    plan = plan_of("SELECT sum(b) OVER (ORDER BY a), sum(b) OVER (ORDER BY a) + 1 FROM t", catalog)
    (window,) = nodes(plan, Window)
    assert len(window.calls) == 1


def test_computed_keys_are_projected_below(catalog: MemoryCatalog) -> None:
    plan = plan_of("SELECT a + 1, count(*) FROM t GROUP BY a + 1", catalog)
    (aggregate,) = nodes(plan, Aggregate)
    assert isinstance(aggregate.input, Project)
    assert [str(key) for _, key in aggregate.keys] == ["key"]


def sets(sql: str, catalog: MemoryCatalog) -> Any:
    (aggregate,) = nodes(plan_of(sql, catalog), Aggregate)
    return aggregate.grouping_sets


def test_grouping_sets(catalog: MemoryCatalog) -> None:
    select = "SELECT count(*) FROM t GROUP BY"
    assert sets(f"{select} a, b", catalog) is None
    assert sets(f"{select} ROLLUP (a, b)", catalog) == ((0, 1), (0,), ())
    assert sets(f"{select} CUBE (a, b)", catalog) == ((0, 1), (0,), (1,), ())
    assert sets(f"{select} GROUPING SETS ((a, b), b, ())", catalog) == ((0, 1), (1,), ())
    assert sets(f"{select} s, ROLLUP (a)", catalog) == ((0, 1), (0,))


def test_window_frames(catalog: MemoryCatalog) -> None:
    frame = "ROWS BETWEEN 2 PRECEDING AND UNBOUNDED FOLLOWING"
    plan = plan_of(f"SELECT sum(a) OVER (PARTITION BY s ORDER BY b {frame}) FROM t", catalog)
    (window,) = nodes(plan, Window)
    call = window.calls[0][1]
    assert isinstance(call, WindowCall)
    assert call.frame is not None
    assert (call.frame.unit, call.frame.start[0]) == ("rows", "preceding")
    assert call.frame.start[1] == Literal(types.BIGINT, 2)
    assert call.frame.end == ("unbounded following", None)


def test_common_tables_are_shared_when_used_twice(catalog: MemoryCatalog) -> None:
    once = plan_of("WITH x AS (FROM t) FROM x", catalog)
    assert not nodes(once, With)
    twice = plan_of("WITH x AS (FROM t) SELECT 1 FROM x p JOIN x q ON p.a = q.a", catalog)
    assert len(nodes(twice, Reference)) == 2
    assert len(nodes(twice, Scan)) == 1
    asked = plan_of("WITH x AS MATERIALIZED (FROM t) FROM x", catalog)
    assert len(nodes(asked, With)) == 1


def test_full_join_using_merges_the_column(catalog: MemoryCatalog) -> None:
    plan = plan_of("SELECT a, t.a, u.a FROM t FULL JOIN u USING (a)", catalog)
    assert len({field.id for field in plan.fields}) == 3
    right = plan_of("SELECT a, u.a FROM t RIGHT JOIN u USING (a)", catalog)
    first, second = right.assignments  # type: ignore[attr-defined]
    assert first[1].id == second[1].id


def test_only_lateral_items_depend(catalog: MemoryCatalog) -> None:
    plain = plan_of("SELECT 1 FROM t, (SELECT c FROM u) x", catalog)
    assert nodes(plain, Join)
    assert not nodes(plain, DependentJoin)
    assert dependent("SELECT 1 FROM u, unnest(l) x", catalog) == ["inner"]
    error = error_of("FROM t RIGHT JOIN LATERAL (SELECT t.a) x ON true", catalog)
    assert "cannot read the tables before it" in error.message


def literals(sql: str, catalog: MemoryCatalog, parameters: Any = None) -> list[Any]:
    plan = plan_of(sql, catalog, parameters)
    assert isinstance(plan, Project)
    values = [expression for _, expression in plan.assignments]
    assert all(isinstance(value, Literal) for value in values)
    return [value.value for value in values]  # type: ignore[attr-defined]


def test_literals(catalog: MemoryCatalog) -> None:
    assert literals("SELECT 1, 0.06, 1e2, 'x', NULL, TRUE, -3", catalog) == [
        *(1, Decimal("0.06"), 100.0, "x", None, True, -3)
    ]
    assert literals("SELECT DATE '1994-01-01', [1, 2], {'a': 1}", catalog) == [
        *(datetime.date(1994, 1, 1), (1, 2), (1,))
    ]
    day = 86_400_000_000
    assert literals(
        "SELECT INTERVAL '3' MONTH, INTERVAL 2 DAYS, INTERVAL '1 year 2 weeks 01:30', "
        "INTERVAL '1.5 hours'",
        catalog,
    ) == [(3, 0, 0), (0, 2, 0), (12, 14, day // 16), (0, 0, day // 16)]
    assert (
        'unknown interval unit "FORTNIGHTS"'
        in error_of("SELECT INTERVAL '3 fortnights'", catalog).message
    )


def test_parameters(catalog: MemoryCatalog) -> None:
    day = datetime.date(2020, 1, 2)
    given = [1, 0.5, "x", None, day, Decimal("1.50")]
    assert literals("SELECT ?, ?, ?, ?, ?, ?", catalog, given) == given
    assert literals("SELECT :b, :a, $a", catalog, {"a": 1, "b": 2}) == [2, 1, 1]
    assert literals("SELECT $2, $1", catalog, [1, 2]) == [2, 1]
    # LIMIT stands before FROM in the tree but not in the text.
    plan = plan_of("SELECT a FROM t WHERE b = ? LIMIT ?", catalog, [5, 3])
    assert plan.count == 3  # type: ignore[attr-defined]
    error = error_of("SELECT ?", catalog, [object()])
    assert "cannot be of Python type object" in error.message


def calls(sql: str, catalog: MemoryCatalog) -> list[Any]:
    plan = plan_of(sql, catalog)
    assert isinstance(plan, Project)
    return [expression for _, expression in plan.assignments]


def test_regions_of_masks(catalog: MemoryCatalog) -> None:
    (cp,) = calls("SELECT CP(mask, ((50, 51), (200, 201)), (0.6, 1.0)) FROM masks", catalog)
    assert cp.args[1] == Literal(types.BOX, (49.0, 50.0, 200.0, 201.0))
    assert [arg.value for arg in cp.args[2:]] == [Decimal("0.6"), Decimal("1.0")]
    (whole,) = calls("SELECT CP(mask, -, (0.6, 1.0)) FROM masks", catalog)
    assert len(whole.args) == 3
    (computed,) = calls("SELECT CP(mask, ((1, 1), (image_id, 2)), (0, 1)) FROM masks", catalog)
    assert isinstance(computed.args[1], Call)
    assert computed.args[1].function.name == "box_corners"


def test_mask_aggregates(catalog: MemoryCatalog) -> None:
    sql = (
        "SELECT image_id, CP(INTERSECT(mask > 0.7), -, (0.7, 1.0)) AS s, "
        "CP(AVG(mask), -, (0, 1)), CP(UNION(mask), -, (0, 1)) "
        "FROM masks GROUP BY image_id HAVING s > 10 ORDER BY s DESC LIMIT 10"
    )
    (aggregate,) = nodes(plan_of(sql, catalog), Aggregate)
    assert [(call.function.name, len(call.args)) for _, call in aggregate.aggregates] == [
        *(("mask_intersect", 2), ("mask_avg", 1), ("mask_union", 1))
    ]


def test_predict(catalog: MemoryCatalog) -> None:
    (call,) = calls("SELECT PREDICT(m, b, a) FROM t", catalog)
    assert (call.option("model").name, call.type) == ("m", types.BIGINT)
    table = plan_of("SELECT * FROM PREDICT(MODEL = m, DATA = t AS c)", catalog)
    assert names(table)[-1] == "prediction"


def test_insert_gives_every_column(catalog: MemoryCatalog) -> None:
    statement = bound("INSERT INTO t (s, a) VALUES ('x', 1), (DEFAULT, 2)", catalog)
    assert isinstance(statement, Insert)
    verify(statement.plan)
    assert names(statement.plan) == ["a", "b", "s", "d"]
    assert kinds(statement.plan) == ["INTEGER", "INTEGER", "VARCHAR", "DECIMAL(10,2)"]
    (values,) = nodes(statement.plan, Values)
    assert [cell.value for row in values.rows for cell in row] == ["x", 1, None, 2]
    assert isinstance(statement.plan, Project)
    default = {field.name: value for field, value in statement.plan.assignments}
    assert default["b"] == Literal(types.INTEGER, 7)
    by_name = bound("INSERT INTO t BY NAME SELECT c AS b, a FROM u", catalog)
    assert isinstance(by_name, Insert)
    verify(by_name.plan)


def test_delete_and_update_give_row_ids(catalog: MemoryCatalog) -> None:
    delete = bound("DELETE FROM t USING u WHERE t.a = u.a", catalog)
    assert isinstance(delete, Delete)
    verify(delete.plan)
    assert names(delete.plan) == ["rowid"]
    update = bound("UPDATE t SET a = t.a + 1, b = DEFAULT FROM u WHERE u.a = t.a", catalog)
    assert isinstance(update, Update)
    verify(update.plan)
    assert names(update.plan) == ["rowid", "a", "b", "s", "d"]


def test_create_table(catalog: MemoryCatalog) -> None:
    sql = (
        "CREATE OR REPLACE TABLE n (k INTEGER PRIMARY KEY, p DECIMAL(5,2) NOT NULL DEFAULT 1.5, "
        "m MASK(255), x TENSOR(3, 4), r BOX, e ENUM('a', 'b'), UNIQUE (p, e))"
    )
    statement = bound(sql, catalog)
    assert isinstance(statement, CreateTable)
    schema = statement.schema
    assert [str(column.type) for column in schema.columns] == [
        *("INTEGER", "DECIMAL(5,2)", "MASK(255)", "TENSOR(3, 4)", "BOX", "ENUM('a', 'b')")
    ]
    assert (schema.primary_key, schema.unique) == (("k",), (("p", "e"),))
    assert [column.not_null for column in schema.columns[:3]] == [True, True, False]
    assert schema.columns[1].default == "1.5"
    filled = bound("CREATE TABLE n AS SELECT a, NULL AS z FROM t", catalog)
    assert isinstance(filled, CreateTable)
    assert filled.plan is not None
    assert kinds(filled.plan) == ["INTEGER", "INTEGER"]


def test_other_statements(catalog: MemoryCatalog) -> None:
    view = bound("CREATE VIEW w (x) AS SELECT CP(mask, -, (0, 1)) FROM masks", catalog)
    assert isinstance(view, CreateView)
    catalog.views["w"] = ViewEntry(view.name, view.sql, view.columns)
    assert names(plan_of("FROM w", catalog)) == ["x"]
    index = bound("CREATE INDEX i ON t USING npi (m, 'fc1') WITH (budget = 0.2)", catalog)
    assert isinstance(index, CreateIndex)
    assert (index.arguments, index.options) == (("m", "fc1"), (("budget", Decimal("0.2")),))
    assert bound("SET device = cuda", catalog) == Set("device", "cuda")
    assert bound("DROP TABLE IF EXISTS zz", catalog) == Drop("table", "zz", True)
    copy = bound("COPY (SELECT a FROM t) TO 'x.parquet' (FORMAT parquet)", catalog)
    assert isinstance(copy, CopyTo)
    assert copy.options == (("format", "parquet"),)
    explain = bound("EXPLAIN ANALYZE SELECT 1", catalog)
    assert isinstance(explain, Explain)
    assert explain.analyze
    assert isinstance(explain.inner, Query)


def test_copy_from_reads_with_the_types_of_the_table(catalog: MemoryCatalog) -> None:
    statement = bound("COPY t (a, s) FROM 'x.csv' (DELIMITER ';')", catalog)
    assert isinstance(statement, Insert)
    verify(statement.plan)
    columns = (("a", types.INTEGER), ("s", types.VARCHAR))
    assert catalog.files == [("read_csv", "x.csv", {"delimiter": ";", "columns": columns})]


def test_verify_finds_broken_plans(catalog: MemoryCatalog) -> None:
    plan = plan_of("SELECT a FROM t WHERE a > 1", catalog)
    (chosen,) = nodes(plan, Filter)
    with pytest.raises(InternalError, match="which no input has"):
        verify(Filter(Values((), ((),)), chosen.predicate))
    with pytest.raises(InternalError, match="gives one id"):
        verify(Join("inner", chosen, chosen, TRUE))
    with pytest.raises(InternalError, match="the predicate of Filter is INTEGER"):
        verify(Filter(plan, Literal(types.INTEGER, 1)))
