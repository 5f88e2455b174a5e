"""Catalogs of older formats, upgraded where they lie. Torch-free.

Format 1 had no checksums: the records get theirs, and so do the files as they are found. Its models
were not tried when they came, which is made up for when they are first used. What its indexes hold
was counted and run by other rules: it is never used, and the next CHECKPOINT makes it anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from tensorsql.storage.files.checksums import folder_checksums
from tensorsql.storage.tables.catalog import Running
from tensorsql.storage.tables.catalog_format import FORMAT, PARTS, create, put, put_files, seal


def upgrade(catalog: sqlite3.Connection, folder: Path) -> None:
    """From format 1."""
    rows = {
        name: catalog.execute(f"SELECT * FROM {name}").fetchall()
        for name in ("meta", "entries", "segments")
    }
    for name in rows:
        catalog.execute(f"DROP TABLE {name}")
    create(catalog)
    catalog.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows["meta"])
    catalog.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT),))
    put(catalog, "entries", [(k, n, _upgraded(k, body, folder)) for k, n, body in rows["entries"]])
    put(catalog, "segments", rows["segments"])
    for part in PARTS:
        put_files(catalog, folder, folder_checksums(folder / part), version=0)
    seal(catalog)


def _upgraded(kind: str, body: str, folder: Path) -> str:
    record = json.loads(body)
    if kind == "model":
        record["running"] = dataclasses.asdict(Running(probed=False))
        record["file_hash"] = _file_hash(record["source"], folder)
    if kind == "index":
        blocks = record["options"].get("blocks")
        record["options"]["blocks"] = [] if isinstance(blocks, list) else 0
    return json.dumps(record)


def _file_hash(source: Any, folder: Path) -> str:
    path = folder / source["inside"] if isinstance(source, dict) else Path(source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
