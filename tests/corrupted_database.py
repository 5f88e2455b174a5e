"""A prepared process that forks one child per damaged database, since a child may crash.

Each line of standard input is `mode folder answers`: the child writes what it was answered as JSON.
Blocks are small here, so that much is checked piece by piece that would otherwise be one block.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import tensorsql
from tensorsql.storage.files import checked_file, checksums
from tensorsql.storage.tables import integrity

EXAMPLES = Path(__file__).parent.parent / "examples"
BLOCK = 64
WORLD = f"""
CREATE TABLE kinds AS SELECT range AS id, range % 2 = 0 AS flag, (range % 100)::TINYINT AS tiny,
    (range * 3)::SMALLINT AS small, range::INTEGER * 70000 AS number, range * 5000000000 AS big,
    range::HUGEINT * 10000000000000000000 AS huge, (range / 4)::DECIMAL(9, 2) AS price,
    range::DECIMAL(30, 5) AS wide, range::REAL / 3 AS real, range::DOUBLE / 7 AS double,
    DATE '2000-01-01' + range::INTEGER AS day, TIMESTAMP '2000-01-01' + INTERVAL 1 HOUR AS moment,
    INTERVAL 1 DAY * range AS span, 'kind ' || range % 5 AS word, 'text ' || range AS text,
    ('text ' || range)::BLOB AS blob, [range, range + 1, NULL] AS list,
    {{'a': range, 'b': 'x'}} AS pair,
    CASE WHEN range % 3 = 0 THEN NULL ELSE range END AS gaps,
    BOX_XYXY(0, 0, range, range) AS box, ['a', 'b' || range] AS words,
    ['low', 'mid', 'high'][range % 3 + 1]::ENUM('low', 'mid', 'high') AS level,
    lpad(range::VARCHAR, 32, '0')::UUID AS uuid
FROM range(300);
DELETE FROM kinds WHERE id % 7 = 0;
INSERT INTO kinds SELECT * REPLACE (id + 1000 AS id) FROM kinds WHERE id < 50;
CREATE TABLE keyed (id INTEGER PRIMARY KEY, name VARCHAR UNIQUE, at TIME DEFAULT TIME '10:00:00');
INSERT INTO keyed SELECT range, 'n' || range, TIME '01:02:03' FROM range(50);
DELETE FROM keyed WHERE id = 3;
CREATE TABLE images AS SELECT index AS image_id, value AS image
    FROM read_npy('{EXAMPLES}/images.npy') WHERE index < 6;
CREATE TABLE maps AS SELECT index AS id, index % 4 AS kind, mask
    FROM read_masks('{EXAMPLES}/saliency.npy') WHERE index < 12;
DELETE FROM maps WHERE id = 5;
CREATE MODEL fashion FROM '{EXAMPLES}/fashion.pt2' WITH (scale = 255);
CREATE INDEX maps_chi ON maps USING CHI (mask);
CREATE INDEX images_npi ON images USING NPI (fashion, 'relu3') WITH (partitions = 4);
CREATE INDEX images_mai ON images USING NPI (fashion, 'fc1') WITH (partitions = 4, ratio = 0.4);
CREATE INDEX images_budget ON images USING NPI (fashion, 'fc2') WITH (budget = 0.5);
CREATE VIEW few AS SELECT id, word FROM kinds WHERE number > 70000000 OR word = 'kind 2';
"""
COLUMNS = (
    *("id", "flag", "tiny", "small", "number", "big", "huge", "price", "wide", "real", "double"),
    *("day", "moment", "span", "word", "text", "blob", "list", "pair", "gaps", "box", "words"),
    *("level", "uuid"),
)
TOPK = "data => images, model => fashion, layer => 'relu3', id => rowid"
MAI = TOPK.replace("relu3", "fc1")
BUDGET = TOPK.replace("relu3", "fc2")
QUERIES = {
    "tables": "SHOW TABLES",
    "describe": "DESCRIBE kinds",
    "count": "SELECT count(*) FROM kinds",
    "range": "SELECT min(number), max(number), max(word), min(day) FROM kinds",
    "point": "SELECT text, blob, list, box FROM kinds WHERE id = 123",
    "late": "SELECT id, double, words FROM kinds ORDER BY double DESC LIMIT 3",
    "groups": "SELECT word, count(*), sum(number) FROM kinds GROUP BY word ORDER BY word",
    "kinds": "SELECT * FROM kinds",
    "keyed": "SELECT * FROM keyed",
    "few": "SELECT * FROM few",
    "masks": "SELECT id, CP(mask, -, (0.5, 1.0)), CP(mask, ((2, 2), (9, 9)), (0.2, 0.6)) FROM maps",
    "filter": "SELECT id FROM maps WHERE CP(mask, -, (0.5, 1.0)) > 60 ORDER BY id",
    "top": "SELECT id FROM maps ORDER BY CP(mask, ((3, 3), (20, 20)), (0.3, 0.9)) DESC, id LIMIT 3",
    "union": "SELECT kind, CP(UNION(mask > 0.5), -, (0.5, 1)) FROM maps GROUP BY kind ORDER BY 1",
    "images": "SELECT image_id, image FROM images",
}
COLUMN_QUERIES = {f"column {name}": f"SELECT {name} FROM kinds" for name in COLUMNS}
AGAIN = ("groups", "kinds", "keyed", "filter", "union", "images")
MODEL_QUERIES = {
    "predict": "SELECT image_id, PREDICT(fashion, image) FROM images",
    "highest": f"SELECT * FROM TOPK_HIGHEST({TOPK}, neurons => [3, 5], k => 2)",
    "highest by MAI": f"SELECT * FROM TOPK_HIGHEST({MAI}, neurons => [3, 5], k => 2)",
    "highest by budget": f"SELECT * FROM TOPK_HIGHEST({BUDGET}, neurons => [2, 7], k => 2)",
    "similar": f"SELECT * FROM TOPK_SIMILAR({TOPK}, neurons => [1, 9], input => 2, k => 3)",
}
Answer = list[str]


def small_blocks() -> None:
    """Check files in small pieces."""
    for module in (checksums, checked_file, integrity):
        module.BLOCK = BLOCK  # type: ignore[attr-defined]


def ask(run: Callable[[], Any]) -> Answer:
    """What came out: rows, or the kind of error with its message."""
    try:
        return ["rows", repr(run())]
    except tensorsql.Error as error:
        return [type(error).__name__, str(error)]


def ask_all(connection: tensorsql.Connection, queries: dict[str, str]) -> dict[str, Answer]:
    """The answers to all queries."""
    return {
        name: ask(lambda sql=sql: connection.execute(sql).fetchall())  # type: ignore[misc]
        for name, sql in queries.items()
    }


def answers(mode: str, folder: Path) -> dict[str, Any]:
    """All that is asked of one database: opened, checked, and asked again after CHECKPOINT."""
    more = MODEL_QUERIES if "model" in mode else COLUMN_QUERIES if "column" in mode else {}
    queries = {**QUERIES, **more}
    opened: list[tensorsql.Connection] = []
    said = {"open": ask(lambda: opened.append(tensorsql.connect(folder)))}
    if not opened:
        return said
    connection = opened[0]
    connection.execute("SET threads = 1")
    if mode.startswith("live"):
        ask_all(connection, queries)
        damage_live(folder, *mode.split(":")[1:])
    said |= ask_all(connection, queries)
    said["check"] = ask(lambda: connection.execute("PRAGMA integrity_check").fetchall())
    said["checkpoint"] = ask(lambda: bool(connection.execute("CHECKPOINT")))
    again = {f"{name} again": QUERIES[name] for name in AGAIN}
    if said["checkpoint"][0] == "rows":
        said |= ask_all(connection, again)
    said["close"] = ask(connection.close)
    return said


def damage_live(folder: Path, how: str, pattern: str) -> None:
    """Cut or remove all files of a kind while they are mapped."""
    for path in folder.glob(pattern):
        if how == "cut":
            os.truncate(path, path.stat().st_size // 2)
        else:
            path.unlink()


def build(folder: Path) -> None:
    """A small database with some of everything."""
    shutil.rmtree(folder, ignore_errors=True)
    with tensorsql.connect(folder) as connection:
        connection.execute("SET threads = 1")
        connection.execute(WORLD)


def main() -> None:
    """Build a database, ask it here so that all is imported, then fork a child per line."""
    torch.set_num_threads(1)
    small_blocks()
    build(Path(sys.argv[1]))
    shutil.copytree(sys.argv[1], sys.argv[1] + "-asked")
    answers("model", Path(sys.argv[1] + "-asked"))
    print(0, flush=True)
    for line in sys.stdin:
        mode, folder, said = line.split()
        child = os.fork()
        if not child:
            Path(said).write_text(json.dumps(answers(mode, Path(folder))))
            os._exit(0)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
