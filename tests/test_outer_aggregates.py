"""Aggregates over columns from outside: where they may stand, and whose they are."""

from __future__ import annotations

import pytest
from side_by_side import SideBySide

import tensorsql
from tensorsql.errors import BindError

TABLES = """
CREATE TABLE t (i INTEGER, g INTEGER); INSERT INTO t VALUES (1, 1), (2, 1), (3, 2), (NULL, 2);
CREATE TABLE u (j INTEGER, h INTEGER); INSERT INTO u VALUES (10, 1), (20, 2), (30, 2)
"""
QUERIES = """
FROM t, (SELECT sum(i)) s
FROM t, (SELECT sum(t.i)) s
FROM t, LATERAL (SELECT sum(i)) s
FROM t, LATERAL (SELECT sum(i) FROM u) s
FROM t, LATERAL (SELECT sum(i + j) FROM u) s
FROM t, LATERAL (SELECT count(*) FROM u WHERE h = g) s
FROM t, LATERAL (SELECT j FROM u GROUP BY j HAVING sum(i) > 1) s
FROM t, LATERAL (SELECT j FROM u ORDER BY sum(i)) s
FROM t, LATERAL (SELECT sum(i) OVER ()) s
FROM t, LATERAL (SELECT row_number() OVER (ORDER BY i)) s
FROM t, LATERAL (SELECT row_number() OVER (ORDER BY i, j) FROM u) s
FROM t, LATERAL (SELECT sum(i) OVER () FROM u) s
FROM t, LATERAL (SELECT sum(j) OVER (PARTITION BY i) FROM u) s
FROM t, LATERAL (SELECT i WHERE sum(i) > 1) s
FROM t, LATERAL (SELECT (SELECT sum(i))) s
FROM t, LATERAL (SELECT (SELECT sum(i)) FROM u) s
FROM t, LATERAL (SELECT (SELECT sum(j)) FROM u) s
SELECT (SELECT sum(i)) FROM t
SELECT (SELECT sum(t.i)) FROM t
SELECT i, (SELECT sum(i)) FROM t
SELECT (SELECT sum(i) FROM u) FROM t
SELECT (SELECT sum(i + j) FROM u) FROM t
SELECT (SELECT (SELECT sum(i))) FROM t
SELECT (SELECT (SELECT sum(i) FROM u) FROM u LIMIT 1) FROM t
SELECT (SELECT (SELECT sum(j)) FROM u) FROM t
SELECT (SELECT (SELECT sum(i + j)) FROM u) FROM t
SELECT g, (SELECT sum(i)) FROM t GROUP BY g
SELECT g, (SELECT sum(g)) FROM t GROUP BY g
SELECT g, (SELECT sum(i) + g) FROM t GROUP BY g
SELECT g FROM t GROUP BY g HAVING (SELECT sum(i)) > 2
SELECT i FROM t WHERE (SELECT sum(i)) > 2
SELECT i FROM t WHERE (SELECT sum(i) FROM u) > 2
SELECT i FROM t WHERE EXISTS (SELECT sum(i))
SELECT i FROM t WHERE i IN (SELECT sum(i))
SELECT i FROM t WHERE i IN (SELECT sum(i) FROM u)
SELECT i FROM t WHERE i = ANY (SELECT max(i) FROM u)
SELECT i FROM t ORDER BY (SELECT sum(i))
SELECT g FROM t GROUP BY (SELECT sum(i)), g
SELECT (SELECT count(*)) FROM t
SELECT (SELECT count(i)) FROM t
SELECT (SELECT count(i) FROM u) FROM t
SELECT (SELECT sum(i) OVER ()) FROM t
SELECT (SELECT sum(i) OVER () FROM u LIMIT 1) FROM t
SELECT (SELECT row_number() OVER (ORDER BY i)) FROM t
SELECT (SELECT sum(sum(i)) OVER ()) FROM t
SELECT (SELECT max(sum(i))) FROM t
SELECT (SELECT array_agg(i ORDER BY i)) FROM t
SELECT (SELECT sum(i) FILTER (WHERE i > 1)) FROM t
SELECT (SELECT sum(i) FILTER (WHERE j > 10) FROM u) FROM t
SELECT (SELECT sum(j) FILTER (WHERE i > 1) FROM u) FROM t
SELECT (SELECT sum(DISTINCT i)) FROM t
SELECT (SELECT quantile_cont(i, 0.5)) FROM t
SELECT (SELECT quantile_cont(i, 0.5) FROM u) FROM t
SELECT (SELECT string_agg(i::VARCHAR, ',' ORDER BY i) FROM u) FROM t
SELECT sum((SELECT i)) FROM t
SELECT sum((SELECT sum(i) FROM u)) FROM t
SELECT sum((SELECT sum(i))) FROM t
SELECT sum((SELECT sum(j) FROM u WHERE h = g)) FROM t
SELECT * FROM t JOIN u ON (SELECT sum(i)) > 1
SELECT * FROM t JOIN LATERAL (SELECT sum(i)) s ON true
SELECT * FROM t LEFT JOIN LATERAL (SELECT sum(i) FROM u) s ON true
SELECT * FROM t LEFT JOIN LATERAL (SELECT sum(j) FROM u WHERE i = h) s ON true
FROM t, LATERAL (SELECT sum(i) GROUP BY ()) s
FROM t, LATERAL (SELECT sum(i) GROUP BY ALL) s
FROM t, LATERAL (SELECT i, sum(j) FROM u GROUP BY ALL) s
FROM t, LATERAL (SELECT i, sum(j) FROM u GROUP BY i) s
FROM t, LATERAL (SELECT i, sum(j) FROM u) s
FROM t, LATERAL (SELECT sum(i) UNION SELECT 1) s
FROM t, LATERAL (WITH c AS (SELECT sum(i) AS m) FROM c) s
FROM t, LATERAL (WITH c AS (SELECT i AS m) SELECT sum(m) FROM c) s
SELECT (WITH c AS (SELECT i AS m) SELECT sum(m) FROM c) FROM t
SELECT (WITH c AS (SELECT sum(i) AS m) SELECT m FROM c) FROM t
SELECT (SELECT x FROM (SELECT sum(i) AS x)) FROM t
SELECT (SELECT sum(x) FROM (SELECT i AS x)) FROM t
SELECT (SELECT DISTINCT ON (sum(i)) 1) FROM t
SELECT (SELECT 1 LIMIT sum(i)) FROM t
SELECT (SELECT j FROM u ORDER BY sum(i) LIMIT 1) FROM t
SELECT (SELECT j FROM u HAVING sum(i) > 1) FROM t
SELECT (SELECT unnest([sum(i)])) FROM t
FROM t, unnest([sum(i)])
FROM t, range(sum(i))
FROM t, range(row_number() OVER ())
SELECT (SELECT sum(i) + sum(j) FROM u) FROM t
SELECT (SELECT sum(i) WHERE i > 1) FROM t
SELECT (SELECT sum(1)) FROM t
SELECT (SELECT sum(1) WHERE i > 1) FROM t
SELECT (SELECT sum(i) FROM u WHERE h = g) FROM t
SELECT i, (SELECT sum(i) FROM u WHERE h = g) FROM t
FROM (VALUES (sum(1))) v
FROM t POSITIONAL JOIN (SELECT sum(i)) s
FROM t, u, LATERAL (SELECT sum(i + j)) s
FROM t, LATERAL (SELECT * FROM u, LATERAL (SELECT sum(i))) s
FROM t, LATERAL (SELECT * FROM u, LATERAL (SELECT sum(i) FROM u)) s
FROM t, LATERAL (SELECT list(i ORDER BY j) FROM u) s
FROM t, LATERAL (SELECT list(j ORDER BY i) FROM u) s
"""
CHANGES = """
UPDATE t SET i = (SELECT sum(i))
UPDATE t SET i = sum(i)
DELETE FROM t WHERE (SELECT sum(i)) > 1
INSERT INTO t VALUES (sum(1), 1)
"""


def test_answers_are_duckdbs() -> None:
    """The same rows, or an error in both that is no defect."""
    side = SideBySide()
    side.both(TABLES)
    queries = QUERIES.strip().splitlines()
    side.check(f"SELECT * FROM ({query}) ORDER BY ALL" for query in queries)


@pytest.mark.parametrize("sql", CHANGES.strip().splitlines())
def test_changes_cannot_aggregate(sql: str) -> None:
    connection = tensorsql.connect()
    connection.execute(TABLES)
    with pytest.raises(BindError, match="cannot contain an aggregate"):
        connection.execute(sql)


def test_says_where_and_what_to_do() -> None:
    connection = tensorsql.connect()
    connection.execute(TABLES)
    with pytest.raises(BindError, match="compute it in a subquery"):
        connection.execute("FROM t, (SELECT sum(i)) s")
