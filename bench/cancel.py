"""How soon each kind of statement ends after `interrupt()`, at several moments, as a table.

python -m bench.cancel [--rows 10000000] [--only "sort,COPY csv"]

"latency" is the longest time from the interrupt to the error (or the answer, if that came before),
"work left behind" the longest time after it in which a thread was still at work. Kinds that had
ended before any moment have neither.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time

import numpy as np
import torch
from torch import nn

import tensorsql
from tensorsql.cancellation import is_anyone_left_behind
from tensorsql.dbapi import Connection, Cursor
from tensorsql.errors import InterruptedError

FRAME = "OVER (PARTITION BY k % 3 ORDER BY x ROWS BETWEEN 50 PRECEDING AND 50 FOLLOWING)"
# `t` has rows x (shuffled), k (of a thousand), f (float), s (text); `masks` and `images` have masks
# and tensors, `network` runs over the latter; {folder} may be written to.
KINDS = {
    "scan": "SELECT sum(x * k + f) FROM t WHERE x % 7 <> 3",
    "sort": "SELECT * FROM t ORDER BY x",
    "sort by text": "SELECT * FROM t ORDER BY s, x DESC",
    "top-n": "SELECT * FROM t ORDER BY f LIMIT 1000000",
    "summarize": "SUMMARIZE t",
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
    "lists": "SELECT sum(len(l)), count(*) FILTER (WHERE list_has(l, 'text 5')) "
    "FROM (SELECT list(s) AS l FROM t GROUP BY k)",
    "unnest": "SELECT count(*) FROM t, UNNEST([x, k, x + k])",
    "rollup": "SELECT k, x % 7, k % 3, sum(f) FROM t GROUP BY CUBE (k, x % 7, k % 3)",
    "distinct": "SELECT DISTINCT x, k FROM t",
    "join": "SELECT sum(a.k) FROM t a JOIN t b ON a.x = b.x",
    "semi join": "SELECT count(*) FROM t WHERE x NOT IN (SELECT x + k FROM t)",
    "cross join": "SELECT count(*) FROM t a, t b WHERE a.x + b.x = 17",
    "union": "SELECT x FROM t UNION SELECT x + 1 FROM t",
    "text functions": "SELECT sum(length(regexp_replace(upper(s), '[0-9]+', 'x', 'g'))) FROM t",
    "long texts": "SELECT max(rpad(s, 4000, s)) FROM t",
    "one long text": "SELECT length(upper(lpad('a', 1000000000, 'xyz')))",
    "CREATE TABLE AS": "CREATE TABLE u AS SELECT *, x + 1 AS y FROM t",
    "INSERT": "INSERT INTO keyed SELECT x FROM t",
    "UPDATE": "UPDATE t SET f = f + 1, s = s || 'a'",
    "DELETE": "DELETE FROM t WHERE x % 2 = 0",
    "CREATE TABLE AS masks": "CREATE TABLE more AS SELECT mask FROM masks",
    "CHECKPOINT": "CHECKPOINT",
    "COPY parquet": "COPY t TO '{folder}/t.parquet'",
    "COPY csv": "COPY t TO '{folder}/t.csv'",
    "COPY json": "COPY t TO '{folder}/t.json'",
    "read csv": "SELECT count(*), sum(x) FROM '{folder}/kept.csv'",
    "read json": "SELECT count(*), sum(x) FROM '{folder}/kept.json'",
    "fetchall": "SELECT * FROM t",
    "df": "SELECT * FROM t",
    "masks": "SELECT count(*) FROM masks WHERE CP(mask, ((3, 3), (90, 90)), (0.3, 0.8)) > 99",
    "masks by groups": "SELECT index % 9, CP(MASK_UNION(mask), -, (0.5, 1.0)) "
    "FROM masks GROUP BY ALL",
    "IOU": "SELECT sum(IOU(a.mask > 0.5, b.mask > 0.4)) FROM masks a, masks b "
    "WHERE a.index = b.index + 1",
    "CREATE INDEX CHI": "CREATE INDEX chi ON masks USING CHI (mask)",
    "PREDICT": "SELECT sum(PREDICT(network, image)) FROM images",
    "ACTIVATIONS": "SELECT max(activation) FROM ACTIVATIONS(data => images, model => network, "
    "layer => 'relu')",
    "TOPK_SIMILAR": "SELECT * FROM TOPK_SIMILAR(data => images, model => network, layer => 'relu', "
    "neurons => [1, 2, 3], input => 5, k => 20)",
    "CREATE INDEX NPI": "CREATE INDEX npi ON images USING NPI (network, 'relu')",
    "integrity_check": "PRAGMA integrity_check",
    "planning": "SELECT 1 WHERE " + " AND ".join(f"{i} <> 1" for i in range(40_000)),
    "planning CTEs": "WITH "
    + ", ".join(
        f"a{i} AS (SELECT {i} AS x FROM a{i - 1})" if i else "a0 AS (SELECT 1 AS x)"
        for i in range(3000)
    )
    + " SELECT * FROM a2999",
}
FETCH = {"fetchall": Cursor.fetchall, "df": Cursor.df}
MOMENTS = (0.05, 0.4, 1.5)  # seconds after the start
LONGEST = 20.0  # seconds that the end of what is left behind is waited for
IMAGES, MASKS, SIDE = 20_000, 20_000, 112


def prepared(folder: str, rows: int) -> Connection:
    """A database on disk with what the kinds read."""
    connection = tensorsql.connect(f"{folder}/cancel.tsql")
    connection.execute(
        f"CREATE TABLE t AS SELECT (i * 7919) % {rows} AS x, i % 1000 AS k, "
        f"(i * 31 % {rows}) / 7.0::DOUBLE AS f, 'text ' || i * 104729 % {rows} AS s "
        f"FROM range({rows}) r(i)"
    )
    connection.execute("CREATE TABLE keyed (x BIGINT PRIMARY KEY)")
    for suffix in ("csv", "json"):
        connection.execute(f"COPY (SELECT * FROM t LIMIT {rows // 4}) TO '{folder}/kept.{suffix}'")
    random = np.random.default_rng(1)
    masks = random.integers(0, 256, (MASKS, SIDE, SIDE), dtype=np.uint8)
    connection.register_masks("some_masks", masks)
    connection.execute("CREATE TABLE masks AS SELECT index, mask FROM some_masks")
    images = random.random((IMAGES, 1, 28, 28), dtype=np.float32)
    connection.register("some_images", {"id": np.arange(IMAGES), "image": images})
    connection.execute("CREATE TABLE images (id BIGINT PRIMARY KEY, image TENSOR(1, 28, 28))")
    connection.execute("INSERT INTO images SELECT id, image FROM some_images")
    layers = nn.Sequential()
    layers.add_module("convolution", nn.Conv2d(1, 64, 5))
    layers.add_module("relu", nn.ReLU())
    layers.add_module("flat", nn.Flatten())
    layers.add_module("classes", nn.Linear(64 * 24 * 24, 10))
    connection.register_model("network", layers, input=[1, 28, 28])
    return connection


def latency(connection: Connection, kind: str, sql: str, moment: float) -> float | None:
    """Seconds from the interrupt to the end; None where the statement had ended before."""
    told: list[float] = []

    def interrupt() -> None:
        told.append(time.perf_counter())
        connection.interrupt()

    connection.execute("BEGIN")
    timer = threading.Timer(moment, interrupt)
    timer.start()
    try:
        FETCH.get(kind, Cursor.rowcount.fget)(connection.execute(sql))
        return time.perf_counter() - told[0] if told else None
    except InterruptedError:
        return time.perf_counter() - told[0]
    finally:
        timer.cancel()
        timer.join()
        connection.execute("ROLLBACK")


def left_behind() -> float:
    """Seconds until the last thread has ended that worked for a cancelled statement."""
    began = time.perf_counter()
    while is_anyone_left_behind() and time.perf_counter() - began < LONGEST:
        time.sleep(0.01)
    return time.perf_counter() - began


def measured(connection: Connection, kind: str, sql: str) -> str:
    """A row of the table."""
    latencies: list[tuple[float, float]] = []
    for moment in MOMENTS:
        seconds = latency(connection, kind, sql, moment)
        if seconds is not None:
            latencies.append((seconds, left_behind()))
    cells = [f"{max(each):.2f}" for each in zip(*latencies, strict=True)] or ["", ""]
    return f"| {kind} | {len(latencies)} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table, each row as it is known."""
    options = argparse.ArgumentParser(prog="bench/cancel.py", description=__doc__)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--only", default="")
    arguments = options.parse_args()
    names = [name for name in arguments.only.split(",") if name] or list(KINDS)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        connection = prepared(folder, arguments.rows)
        load = os.getloadavg()[0]
        print(f"{arguments.rows:,} rows, {os.cpu_count()} cores, load {load:.1f} at the start\n")
        print("| kind | interrupts | latency, s | work left behind, s |\n|---|---|---|---|")
        for name in names:
            sql = KINDS[name].replace("{folder}", folder)
            print(measured(connection, name, sql), flush=True)
        connection.close()


if __name__ == "__main__":
    main()
