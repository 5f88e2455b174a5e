"""How soon each kind of statement ends after `interrupt()`: the worst of several moments.

python -m bench.cancel [--rows 10000000] [--only sort,window]
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import tensorsql
from tensorsql.dbapi import Connection
from tensorsql.errors import InterruptedError

FRAME = "OVER (PARTITION BY k % 3 ORDER BY x ROWS BETWEEN 50 PRECEDING AND 50 FOLLOWING)"
# `t` has rows x (shuffled), k (of a thousand), f (float), s (text); {folder} may be written to.
KINDS = {
    "scan": "SELECT sum(x * k + f) FROM t WHERE x % 7 <> 3",
    "sort": "SELECT * FROM t ORDER BY x",
    "sort by text": "SELECT * FROM t ORDER BY s, x DESC",
    "top-n": "SELECT * FROM t ORDER BY f LIMIT 1000000",
    "rank": "SELECT rank() OVER (PARTITION BY k ORDER BY x) FROM t",
    "running sum": "SELECT sum(x) OVER (ORDER BY x) FROM t",
    "sliding sum": f"SELECT sum(x) {FRAME} FROM t",
    "sliding float": f"SELECT sum(f) {FRAME} FROM t",
    "sliding max": f"SELECT max(x) {FRAME} FROM t",
    "few groups": "SELECT k, sum(x), avg(f) FROM t GROUP BY k",
    "many groups": "SELECT x, sum(k), avg(f) FROM t GROUP BY x",
    "text groups": "SELECT s, count(*) FROM t GROUP BY s",
    "median": "SELECT k, median(f) FROM t GROUP BY k",
    "count distinct": "SELECT k, count(DISTINCT x) FROM t GROUP BY k",
    "string_agg": "SELECT k, string_agg(s, ',') FROM t GROUP BY k",
    "distinct": "SELECT DISTINCT x, k FROM t",
    "join": "SELECT sum(a.k) FROM t a JOIN t b ON a.x = b.x",
    "cross join": "SELECT count(*) FROM t a, t b WHERE a.x + b.x = 17",
    "union": "SELECT x FROM t UNION SELECT x + 1 FROM t",
    "text functions": "SELECT sum(length(regexp_replace(upper(s), '[0-9]+', 'x', 'g'))) FROM t",
    "CREATE TABLE AS": "CREATE TABLE u AS SELECT *, x + 1 AS y FROM t",
    "INSERT": "INSERT INTO keyed SELECT x FROM t",
    "UPDATE": "UPDATE t SET f = f + 1, s = s || 'a'",
    "DELETE": "DELETE FROM t WHERE x % 2 = 0",
    "COPY parquet": "COPY t TO '{folder}/t.parquet'",
    "COPY csv": "COPY t TO '{folder}/t.csv'",
    "read csv": "SELECT count(*), sum(x) FROM '{folder}/kept.csv'",
    "planning": "SELECT 1 WHERE " + " AND ".join(f"{i} <> 1" for i in range(40_000)),
}
MOMENTS = (0.1, 0.3, 0.7, 1.5, 3.0, 6.0)


def prepared(folder: str, rows: int) -> Connection:
    """A database on disk with the table that the kinds read."""
    connection = tensorsql.connect(f"{folder}/cancel.tsql")
    connection.execute(
        f"CREATE TABLE t AS SELECT (i * 7919) % {rows} AS x, i % 1000 AS k, "
        f"(i * 31 % {rows}) / 7.0::DOUBLE AS f, 'text ' || i * 104729 % {rows} AS s "
        f"FROM range({rows}) r(i)"
    )
    connection.execute("CREATE TABLE keyed (x BIGINT PRIMARY KEY)")
    connection.execute(f"COPY (SELECT * FROM t LIMIT {rows // 4}) TO '{folder}/kept.csv'")
    return connection


def latency(connection: Connection, sql: str, moment: float) -> float | None:
    """Seconds from the interrupt to the error; None where the statement had ended before."""
    told: list[float] = []

    def interrupt() -> None:
        told.append(time.perf_counter())
        connection.interrupt()

    connection.execute("BEGIN")
    timer = threading.Timer(moment, interrupt)
    timer.start()
    try:
        connection.execute(sql)
        return None
    except InterruptedError:
        return time.perf_counter() - told[0]
    finally:
        timer.cancel()
        connection.execute("ROLLBACK")


def main() -> None:
    """Print the worst latency of each kind."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--only", default="")
    arguments = options.parse_args()
    names = [name for name in arguments.only.split(",") if name] or list(KINDS)
    with tempfile.TemporaryDirectory() as folder:
        connection = prepared(folder, arguments.rows)
        for name in names:
            sql = KINDS[name].replace("{folder}", str(Path(folder)))
            found: list[float] = []
            for moment in MOMENTS:
                seconds = latency(connection, sql, moment)
                if seconds is None:
                    break
                found.append(seconds)
            worst = f"{max(found):6.2f} s of {len(found)}" if found else "ended before"
            print(f"{name:18} {worst}", flush=True)
        connection.close()


if __name__ == "__main__":
    main()
