"""Clauses nobody reads are refused: whatever sqlglot's nodes can hold has a meaning or an error."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re

import pytest
from binding import MemoryCatalog, bound, sample
from sqlglot import exp

from tensorsql.errors import Error
from tensorsql.parser.dialect import parse
from tensorsql.parser.door import MANNER, is_set, watch
from tensorsql.planner.binder import bind
from tensorsql.planner.plans import plan

# A statement of every kind and with every node that binds.
STATEMENTS = """
SELECT DISTINCT ON (t.a) t.a AS x, -b, NOT a = 1, (b), 'x', 1.5, NULL, true, [1, a], {'k': a},
  a::DOUBLE, TRY_CAST(s AS INTEGER), CASE a WHEN 1 THEN 2 ELSE 3 END, IF(a > 1, 2, 3)
  FROM t WHERE a BETWEEN 1 AND 2 AND s LIKE 'x!%' ESCAPE '!' OR b IN (1, 2) OR a IS NULL
  ORDER BY a DESC NULLS FIRST LIMIT 3 OFFSET 1
SELECT a + 1, a - 1, a * 2, a / 2, a // 2, a % 2, a ** 2, s || 'x', a & 1, a | 1, ~a, a << 1,
  a >> 1,
  s ILIKE 'x', s SIMILAR TO 'x', a <> 1, a < 1, a <= 1, a >= 1,
  a IS DISTINCT FROM 1, a IS NOT DISTINCT FROM 1, (a, b) = (1, 2) FROM t
SELECT EXTRACT(year FROM DATE '2020-01-01'), INTERVAL 3 MONTH, SUBSTRING(s FROM 1 FOR 2),
  TRIM(BOTH 'x' FROM s), POSITION('a' IN s), upper(s), current_date FROM t
SELECT st.x, u.st.y, l[1], l[-1] FROM u
SELECT s, count(*), sum(a) FILTER (WHERE b > 1), string_agg(DISTINCT s, ',' ORDER BY s),
  quantile_cont(a, 0.5 ORDER BY a DESC), percentile_disc(0.5) WITHIN GROUP (ORDER BY a) FROM t
  GROUP BY s HAVING count(*) > 1
SELECT a, b, sum(d) FROM t GROUP BY GROUPING SETS ((a, b), ROLLUP (a), CUBE (b), ())
SELECT sum(a) FROM t GROUP BY ALL ORDER BY ALL
SELECT sum(a) OVER (PARTITION BY b ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS r,
  lag(a IGNORE NULLS) OVER w FROM t WINDOW w AS (ORDER BY b) QUALIFY r = 1
SELECT * EXCLUDE (a) REPLACE (b + 1 AS b) RENAME (s AS z), t.* FROM t
SELECT * LIKE 'a%', * NOT ILIKE 'b%', COLUMNS('a|b') FROM t
SELECT * FROM t JOIN u USING (a) LEFT JOIN t AS w (p, q) ON w.p = u.a
SELECT * FROM t NATURAL JOIN u CROSS JOIN (VALUES (1, 2), (3, 4)) AS v (x, y)
SELECT * FROM t, LATERAL (SELECT t.a + 1 AS n) AS r, UNNEST([1, 2]) WITH ORDINALITY AS e (i)
SELECT * FROM range(1, 5, 2) AS r (i), 'file.parquet', read_csv('x.csv', header => true)
SELECT t.*, one.n FROM PREDICT(MODEL = m, DATA = t), (SELECT 1 AS n) AS one, (t JOIN u ON t.a = u.a)
SELECT (SELECT max(a) FROM t), EXISTS (SELECT 1 FROM t), a IN (SELECT a FROM u),
  a = ANY (SELECT a FROM u), a > ALL (SELECT a FROM u), PREDICT(m, a, c) FROM u
WITH x AS MATERIALIZED (SELECT 1 AS i), y (j) AS (SELECT 2) SELECT i FROM x
  UNION ALL SELECT j FROM y
SELECT a FROM t UNION BY NAME SELECT a FROM u ORDER BY 1 FETCH FIRST 2 ROWS ONLY
(SELECT a FROM t EXCEPT ALL SELECT a FROM u) INTERSECT VALUES (1) ORDER BY 1 LIMIT 1
SELECT CP(mask, -, (0.5, 1.0)), CP(mask, ((1, 1), (2, 2)), (0.5, 1.0)), AREA(roi),
  IOU(mask > 0.5, mask > 0.6) FROM masks
SELECT image_id, AREA(UNION(mask > 0.7), -) FROM masks GROUP BY image_id
INSERT INTO t (a, s) VALUES (1, 'x'), (2, DEFAULT)
INSERT INTO t BY NAME SELECT a, c AS b FROM u
WITH x AS (SELECT 1 AS i) INSERT INTO t (a) SELECT i FROM x
INSERT INTO t DEFAULT VALUES
UPDATE t AS x SET b = u.c, s = DEFAULT FROM u WHERE x.a = u.a
DELETE FROM t USING u WHERE t.a = u.a
CREATE TABLE n (a INTEGER PRIMARY KEY, b DECIMAL(5, 2) NOT NULL DEFAULT 1.5, c VARCHAR[] UNIQUE,
  d STRUCT(x INTEGER), e MASK(255), UNIQUE (a, b))
CREATE OR REPLACE TABLE n AS SELECT a FROM t WITH NO DATA
CREATE VIEW n (x) AS SELECT a FROM t
DROP TABLE IF EXISTS t CASCADE
DROP VIEW v
DROP MODEL m
DROP INDEX IF EXISTS i
CREATE MODEL n FROM 'n.pt2' WITH (scale = 255)
CREATE INDEX IF NOT EXISTS i ON masks USING CHI (mask) WITH (cell = 7)
COPY t (a, b) FROM 'x.csv' (HEADER, DELIMITER ';')
COPY (SELECT a FROM t) TO 'x.csv' (FORMAT csv)
DESCRIBE t
DESCRIBE SELECT 1
DESCRIBE MODEL m
SUMMARIZE t
SHOW TABLES
EXPLAIN ANALYZE SELECT a FROM t
SET threads = 3
RESET threads
BEGIN
COMMIT
ROLLBACK
CHECKPOINT
"""
# Each of these once changed rows, or nothing, without a word.
REFUSED = """
DELETE FROM t LIMIT 1                                                   -- LIMIT 21
DELETE FROM t ORDER BY a                                                -- ORDER BY 24
DELETE FROM t JOIN u ON t.a = u.a                                       -- JOIN u ON t.a = u.a 20
DELETE FROM t, u                                                        -- u 16
DELETE FROM t PARTITION (p)                                             -- a list of column names
UPDATE t SET b = 0 LIMIT 1                                              -- LIMIT 26
UPDATE t JOIN u ON t.a = u.a SET b = 0                                  -- JOIN u ON t.a = u.a 15
INSERT OVERWRITE t (a) SELECT 1                                         -- OVERWRITE
INSERT INTO t REPLACE WHERE a = 1 SELECT * FROM t                       -- WHERE
CREATE TEMP TABLE n (a INTEGER)                                         -- TEMPORARY
CREATE TABLE n (a INTEGER AUTOINCREMENT)                                -- AUTO INCREMENT
SELECT s FROM t GROUP BY s WITH ROLLUP                                  -- ROLLUP
SELECT s FROM t GROUP BY DISTINCT s                                     -- GROUP BY DISTINCT
SELECT a FROM t WHERE a BETWEEN SYMMETRIC 3 AND 1                       -- SYMMETRIC
SELECT array_agg(b IGNORE NULLS) FROM t                                 -- IGNORE NULLS
SELECT upper(s RESPECT NULLS) FROM t                                    -- RESPECT NULLS
SELECT row_number(ORDER BY b) OVER () FROM t                            -- ORDER BY
SELECT first_value(a) FILTER (WHERE a > 1) OVER () FROM t               -- FILTER
SELECT sum(a) OVER (ORDER BY a EXCLUDE TIES) FROM t                     -- expected )
EXPLAIN (ANALYZE, PROFILE 'f') SELECT a FROM t                          -- profile
EXPLAIN (FORMAT json) SELECT a FROM t                                   -- format
SELECT a COLLATE nocase FROM t                                          -- nocase
SELECT CAST(s AS INTEGER FORMAT 'x') FROM t                             -- FORMAT
SELECT * FROM t TABLESAMPLE 10%                                         -- SAMPLE
SELECT * FROM t STRAIGHT_JOIN u ON t.a = u.a                            -- JOIN
SELECT a FROM t WINDOW w AS (ORDER BY nope)                             -- "nope"
"""


@pytest.fixture
def catalog() -> MemoryCatalog:
    """Tables, a view and a model for the statements."""
    return sample()


def statements() -> list[str]:
    """The statements above; lines that are indented belong to the one before."""
    return re.split(r"\n(?! )", STATEMENTS.strip())


def text_of_plan(tree: exp.Expr, catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a statement is bound to, in full; equal texts do the same."""
    monkeypatch.setattr(plan, "_ids", itertools.count(1))
    return repr(bind(tree, catalog, None, {"threads": 2}))


def test_every_argument_of_every_node_counts(
    catalog: MemoryCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One argument more, of any that a node may have: an error, or another meaning."""
    tried: set[tuple[type[exp.Expr], str]] = set()
    silent = []
    for text in statements():
        (tree,) = parse(text)
        plain = text_of_plan(tree, catalog, monkeypatch)
        for place, node in enumerate(tree.walk()):
            for key in unset(node) - {key for kind, key in tried if kind is type(node)}:
                tried.add((type(node), key))
                (mutated,) = parse(text)
                changed = next(itertools.islice(mutated.walk(), place, None))
                changed.args[key] = exp.Var(this="beyond")
                watch([changed.args[key]])
                # What sqlglot would never make may as well fail in other ways than with an Error.
                with contextlib.suppress(Exception):
                    if text_of_plan(mutated, catalog, monkeypatch) == plain:
                        silent.append((type(node).__name__, key))
    assert not silent
    assert len(tried) > 300


def unset(node: exp.Expr) -> set[str]:
    """The arguments a node could have and has not."""
    return {
        key
        for key in type(node).arg_types
        if not is_set(node.args.get(key)) and key not in MANNER.get(type(node), ())
    }


@pytest.mark.parametrize("line", REFUSED.strip().splitlines())
def test_refused(line: str, catalog: MemoryCatalog) -> None:
    """The error names the clause, and its place where the clause has a token of its own."""
    sql, expected = line.split(" -- ")
    words, column = re.fullmatch(r"(.*?)(?: (\d+))?", expected).groups()  # type: ignore[union-attr]
    with pytest.raises(Error) as found:
        bound(sql.strip(), catalog)
    assert words in found.value.message
    assert found.value.position is not None
    assert column is None or found.value.position == (1, int(column))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT array_agg(b IGNORE NULLS) FROM t",
        "SELECT a -> '$[bad' FROM t",
        "CREATE TABLE t (a INTEGER) WITH (x = 1) FROBNICATE",
        "COMMENT ON TABLE t IS 'x'",
        "SELECT first_value(a IGNORE NULLS) OVER (ORDER BY a), a AT TIME ZONE 'x' FROM t",
    ],
)
def test_sqlglot_says_nothing(
    sql: str, catalog: MemoryCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    """What it would log, and so print, is an error of ours."""
    with caplog.at_level(logging.DEBUG, "sqlglot"), pytest.raises(Error):
        bound(sql, catalog)
    assert not caplog.records


def test_sqlglot_is_quiet_about_names(
    catalog: MemoryCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    """The text of an expression is the name of its column."""
    with caplog.at_level(logging.DEBUG, "sqlglot"):
        bound("SELECT lag(a IGNORE NULLS) OVER (ORDER BY a) FROM t", catalog)
    assert not caplog.records
