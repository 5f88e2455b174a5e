"""Statements of every kind that can be cancelled, and the table that they read."""

from __future__ import annotations

from pathlib import Path

import tensorsql
from tensorsql.dbapi import Connection

ROWS = 30_000
FRAME = "OVER (PARTITION BY k % 3 ORDER BY x ROWS BETWEEN 50 PRECEDING AND 50 FOLLOWING)"
KINDS = {
    "scan": "SELECT sum(x * k + f) FROM t WHERE x % 7 <> 3",
    "sort": "SELECT * FROM t ORDER BY s, x DESC",
    "top-n": "SELECT * FROM t ORDER BY f LIMIT 1000",
    "running sum": "SELECT sum(x) OVER (ORDER BY x) FROM t",
    "rank": "SELECT rank() OVER (PARTITION BY k ORDER BY x) FROM t",
    "sliding average": f"SELECT avg(f) {FRAME} FROM t",
    "sliding distinct": f"SELECT count(DISTINCT f) {FRAME} FROM t",
    "groups": "SELECT x, sum(k), avg(f) FROM t GROUP BY x",
    "median": "SELECT k, median(f) FROM t GROUP BY k",
    "count distinct": "SELECT k, count(DISTINCT x) FROM t GROUP BY k",
    "string_agg": "SELECT k, string_agg(s, ',') FROM t GROUP BY k",
    "distinct": "SELECT DISTINCT x, k FROM t",
    "join": "SELECT sum(a.k) FROM t a JOIN t b ON a.x = b.x",
    "cross join": "SELECT count(*) FROM t a, small b WHERE a.x + b.x = 17",
    "union": "SELECT x FROM t UNION SELECT x + 1 FROM t",
    "text": "SELECT sum(length(regexp_replace(upper(s), '[0-9]+', 'x', 'g'))) FROM t",
    "CREATE TABLE AS": "CREATE TABLE u AS SELECT *, x + 1 AS y FROM t",
    "INSERT": "INSERT INTO t SELECT * FROM t",
    "UPDATE": "UPDATE t SET f = f + 1, s = s || 'a'",
    "DELETE": "DELETE FROM t WHERE x % 2 = 0",
    "COPY parquet": "COPY t TO '{folder}/new.parquet'",
    "COPY csv": "COPY t TO '{folder}/new.csv'",
    "COPY json": "COPY t TO '{folder}/new.json'",
    "read csv": "SELECT count(*), sum(x) FROM '{folder}/kept.csv'",
    "conditions": "SELECT 1 FROM small WHERE " + " AND ".join(f"x <> {i}" for i in range(300)),
    "CTEs": "WITH " + ", ".join(f"a{i} AS (SELECT 1)" for i in range(100)) + " SELECT 1",
    "joins": "SELECT 1 FROM small a0 "
    + " ".join(f"JOIN small a{i} ON a{i}.x = a0.x" for i in range(1, 12)),
    "values": f"SELECT * FROM (VALUES {', '.join(f'({i})' for i in range(500))})",
}


def prepared(folder: Path) -> Connection:
    """A database on disk with the tables that the kinds read, in several morsels."""
    found = tensorsql.connect(str(folder / "cancel.tsql"))
    found.execute("SET morsel_size = 4096")
    found.execute(
        f"CREATE TABLE t AS SELECT (i * 7919) % {ROWS} AS x, i % 1000 AS k, "
        f"(i * 31 % {ROWS}) / 7.0::DOUBLE AS f, 'text ' || i AS s FROM range({ROWS}) r(i)"
    )
    found.execute("CREATE TABLE small AS SELECT range AS x FROM range(300)")
    return found


def fingerprint(connection: Connection) -> list[tuple[object, ...]]:
    """What changes if a row of the table does."""
    return connection.execute("SELECT count(*), sum(x), sum(f), sum(length(s)) FROM t").fetchall()
