"""Recipes, states of sinks and results of pipelines pickle, and queries answer alike."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import nn

import tensorsql
from tensorsql import operators
from tensorsql.operators import compiler
from tensorsql.operators.runtime import program, scheduler
from tensorsql.storage.formats import FORMATS

PACKAGE = "tensorsql.operators"
CP = "CP(mask, FULL, (0.4, 1.0))"
SIMILAR = "TOPK_SIMILAR(data => images, model => net, layer => '0', input => 3, k => 6, dist => {})"
QUERIES = (
    "SELECT * FROM t WHERE v % 3 = 1",
    "SELECT k, v * 2 AS twice, s || '!' AS s, d FROM t WHERE s LIKE 'b%' OR d IS NULL",
    "SELECT * FROM t ORDER BY s DESC NULLS FIRST, v",
    "SELECT k, s FROM t ORDER BY v DESC LIMIT 7 OFFSET 3",
    "SELECT k, s FROM t LIMIT 20 OFFSET 30",
    "SELECT DISTINCT k, s FROM t",
    "SELECT DISTINCT ON (s) s, v FROM t ORDER BY s, v DESC",
    "SELECT count(*), sum(v), min(s), max(d), avg(d), bool_or(v > 3), count(DISTINCT k) FROM t",
    "SELECT k, count(*), sum(h), avg(h), any_value(s) FROM t GROUP BY k",
    "SELECT s, median(v), list(v ORDER BY v), string_agg(s, ','), stddev(d), mode(k) FROM t"
    " GROUP BY s",
    "SELECT k, s, sum(DISTINCT v) FILTER (WHERE v > 2), arg_max(v, d) FROM t GROUP BY k, s",
    "SELECT k, s, count(*) FROM t GROUP BY GROUPING SETS ((k), (s), ())",
    "SELECT sum(v) FROM t WHERE v < 0",
    "SELECT v, row_number() OVER (PARTITION BY k ORDER BY v), lag(s) OVER (ORDER BY v) FROM t",
    "SELECT v, sum(v) OVER (ORDER BY v ROWS 5 PRECEDING), median(d) OVER (PARTITION BY s) FROM t",
    "SELECT t.v, u.w FROM t JOIN u ON t.k = u.k AND t.v > u.w",
    "SELECT t.v, u.w FROM t LEFT JOIN u ON t.k = u.k",
    "SELECT t.v, u.w FROM t RIGHT JOIN u ON t.v = u.w",
    "SELECT t.v, u.w, t.s FROM t FULL JOIN u ON t.v = u.w AND t.k = 2",
    "SELECT v FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.w > 3)",
    "SELECT w FROM u WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.k = u.k)",
    "SELECT w FROM u WHERE k IN (SELECT k FROM t WHERE v > 5)",
    "SELECT k FROM t WHERE v NOT IN (SELECT w FROM u WHERE w IS NOT NULL) AND v < 40",
    "SELECT v, k IN (SELECT k FROM u) FROM t",
    "SELECT w, (SELECT max(v) FROM t WHERE t.k = u.k) FROM u",
    "SELECT a.v, b.w FROM t a, u b WHERE a.v < b.w",
    "SELECT k FROM t UNION SELECT k FROM u",
    "SELECT k FROM t INTERSECT ALL SELECT k FROM u",
    "SELECT v FROM t EXCEPT SELECT w FROM u",
    "WITH c AS (SELECT k, sum(v) AS x FROM t GROUP BY k) SELECT * FROM c a JOIN c b USING (k)",
    "SELECT v, unnest([v, k]) FROM t WHERE v < 9",
    "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) w(a, b)",
    f"SELECT id, {CP} FROM masks WHERE {CP} > 30",
    f"SELECT id FROM masks ORDER BY {CP} DESC, id LIMIT 5",
    f"SELECT part, max({CP}) AS most FROM masks GROUP BY part ORDER BY most DESC LIMIT 2",
    "SELECT part, CP(INTERSECT(mask > 0.2), FULL, (0.4, 1.0)) AS both FROM masks GROUP BY part"
    " ORDER BY both DESC LIMIT 2",
    "SELECT part, area(mask) FROM masks ORDER BY id",
    f"SELECT * FROM {SIMILAR}".replace("{}", "'l2'"),
    "SELECT id, PREDICT_PROBA(net, image) FROM images WHERE id < 9",
)


def travelled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def sink_classes() -> set[type]:
    """All classes that are sinks."""
    names = [module.name for module in pkgutil.walk_packages(operators.__path__, f"{PACKAGE}.")]
    ours = [item for name in names for item in vars(importlib.import_module(name)).values()]
    parts = ("new_state", "accumulate", "merge", "enough")
    return {
        item
        for item in ours
        if isinstance(item, type) and all(hasattr(item, part) for part in parts)
    } - {program.Sink}


@pytest.fixture(scope="module")
def con() -> Iterator[tensorsql.Connection]:
    con = tensorsql.connect()
    con.execute("SET morsel_size = 16; SET threads = 2")
    con.execute(
        "CREATE TABLE t AS SELECT i % 5 AS k, i AS v, CASE WHEN i % 7 > 0 THEN"
        " substr('abc', i % 3 + 1, 1) END AS s, i / 4 AS d,"
        " i::HUGEINT * 10000000000000000000 AS h FROM range(60) r(i)"
    )
    con.execute("CREATE TABLE u AS SELECT i % 4 + 2 AS k, NULLIF(i, 5) AS w FROM range(20) r(i)")
    random = np.random.default_rng(1)
    con.register_masks("source", random.integers(0, 256, (40, 8, 8)).astype(np.uint8))
    con.execute("CREATE TABLE masks AS SELECT index AS id, index % 4 AS part, mask FROM source")
    images = torch.from_numpy(random.normal(size=(40, 3)).astype(np.float32))
    con.register("numbers", {"id": list(range(40)), "image": images})
    con.execute("CREATE TABLE images (id BIGINT PRIMARY KEY, image TENSOR(3))")
    con.execute("INSERT INTO images SELECT * FROM numbers")
    torch.manual_seed(0)
    con.register_model("net", nn.Sequential(nn.Linear(3, 4), nn.ReLU()), input=[3])
    con.execute("CREATE INDEX c ON masks USING CHI (mask)")
    con.execute("CREATE INDEX n ON images USING NPI (net, '0') WITH (budget = 0.5)")
    yield con
    con.close()


def test_queries_over_pickled_parts(
    con: tensorsql.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {sql: con.execute(sql).fetchall() for sql in QUERIES}
    used: set[type] = set()

    def patched(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        monkeypatch.setattr(owner, name, make(getattr(owner, name)))

    def states(original: Any) -> Any:
        def run(queue: Any, crew: Any) -> list[Any]:
            used.add(type(queue.stages.sink))
            return [travelled(state) for state in original(queue, crew)]

        return run

    patched(compiler, "compile_plan", lambda make: lambda *given: travelled(make(*given)))
    patched(scheduler, "_run_pipeline", lambda make: lambda *given: travelled(make(*given)))
    patched(scheduler._Queue, "run", states)
    for sql in QUERIES:
        assert con.execute(sql).fetchall() == expected[sql], sql
    assert used == sink_classes()


def test_programs_over_files_and_objects_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program holds of them instead of a table's name."""
    con = tensorsql.connect()
    table = pa.table({"k": [1, 2, None], "s": ["a", None, "b"]})
    pixels = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    paths = {name: tmp_path / name for name in ("a.parquet", "a.csv", "a.json", "a.npy", "a.png")}
    for name in ("a.parquet", "a.csv", "a.json"):
        con.register("given", table).execute(f"COPY given TO '{paths[name]}'")
    np.save(paths["a.npy"], pixels)
    Image.fromarray(pixels[0]).save(paths["a.png"])
    objects = {"arrow": table, "frame": table.to_pandas(), "array": pixels, "columns": {"k": [1]}}
    for name, value in objects.items():
        con.register(name, value)
    con.register_masks("pixels", pixels)
    files = {"images": paths["a.png"], "masks": paths["a.npy"]}
    sources = [
        f"{item.readers[0]}('{files.get(item.module, tmp_path / f'a.{item.module}')}')"
        for item in FORMATS
    ]
    local = table  # noqa: F841 — a Python variable is found by its name
    queries = [f"SELECT * FROM {source}" for source in (*sources, *objects, "pixels", "local")]
    expected = [repr(con.execute(sql).fetchall()) for sql in queries]
    original = compiler.compile_plan
    monkeypatch.setattr(compiler, "compile_plan", lambda *given: travelled(original(*given)))
    assert [repr(con.execute(sql).fetchall()) for sql in queries] == expected
