"""The tables of the catalog, and what each record's checksum covers.

| table | a row is |
|---|---|
| meta | `format`, `version` and `checksum`, which covers both and the checksums of all records |
| entries | a table, view, model, index or sample |
| segments | a segment of a table, and its deletion bitmap |
| files | a file of the database: its size, the CRC-32 of each block of it |

A row of `files` stays until its file is removed. Catalogs of older formats are upgraded where they
lie (catalog_upgrade.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorsql.errors import CorruptError, IOError
from tensorsql.storage.checksums import Checksum, record_checksum, relative

PARTS = ("segments", "blocks", "indexes", "models")  # the folders of files beside the catalog
FORMAT = 2
TABLES = {
    "meta": "key TEXT PRIMARY KEY, value TEXT NOT NULL",
    "entries": (
        "kind TEXT, name TEXT, checksum INTEGER NOT NULL, body TEXT NOT NULL,"
        " PRIMARY KEY (kind, name)"
    ),
    "segments": (
        "identity TEXT, first_row_id INTEGER, checksum INTEGER NOT NULL, body TEXT NOT NULL,"
        " PRIMARY KEY (identity, first_row_id)"
    ),
    "files": (
        "path TEXT PRIMARY KEY, checksum INTEGER NOT NULL, size INTEGER NOT NULL,"
        " blocks BLOB NOT NULL"
    ),
}


def create(catalog: sqlite3.Connection) -> None:
    """The tables of an empty database."""
    for name, columns in TABLES.items():
        catalog.execute(f"CREATE TABLE {name} ({columns}) WITHOUT ROWID")
    catalog.execute("INSERT INTO meta VALUES ('format', ?), ('version', '0')", (str(FORMAT),))
    seal(catalog)


def format_of(catalog: sqlite3.Connection, folder: Path) -> int:
    """The format of a catalog; an error if this version of tensorsql cannot read it."""
    found = catalog.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if found is None or not str(found[0]).isdecimal() or int(found[0]) < 1:
        raise CorruptError(f'"{folder}" has a catalog that does not say which format it has')
    if int(found[0]) > FORMAT:
        raise IOError(
            f'database "{folder}" was written by a newer version of tensorsql: its format is '
            f"{found[0]}, this version reads up to {FORMAT}; upgrade tensorsql to open it"
        )
    names = {name for (name,) in catalog.execute("SELECT name FROM sqlite_master")}
    if (int(found[0]) == FORMAT) != names.issuperset(TABLES):
        raise CorruptError(f'"{folder}" has a catalog whose tables are not those of its format')
    return int(found[0])


def put(catalog: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Add or replace records of `entries` or `segments`: two parts of a key and a body."""
    catalog.executemany(
        f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)",
        [(*key, record_checksum(*key, body), body) for *key, body in rows],
    )


def put_files(
    catalog: sqlite3.Connection, folder: Path, checksums: Mapping[Path, Checksum]
) -> None:
    """Keep the checksums of files."""
    records = ((relative(path, folder), found) for path, found in checksums.items())
    catalog.executemany(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
        [
            (name, record_checksum(name, found.size, found.blocks.hex()), found.size, found.blocks)
            for name, found in records
        ],
    )


def seal(catalog: sqlite3.Connection) -> None:
    """Let `meta` cover the records as they are; part of every transaction that changes some."""
    catalog.execute("INSERT OR REPLACE INTO meta VALUES ('checksum', ?)", (_summary(catalog),))


def check_seal(catalog: sqlite3.Connection) -> None:
    """ValueError if records were lost or added behind `meta`'s back, or `meta` was changed."""
    found = catalog.execute("SELECT value FROM meta WHERE key = 'checksum'").fetchone()
    if found is None or found[0] != _summary(catalog):
        raise ValueError("its records are not those that were committed last")


def check_record(checksum: int, *parts: Any) -> None:
    """ValueError if a record is not as it was written."""
    if checksum != record_checksum(*parts):
        raise ValueError(f"the record of {' '.join(map(str, parts[:-1]))} has another checksum")


def _summary(catalog: sqlite3.Connection) -> str:
    """Text, since SQLite keeps no unsigned 64-bit numbers."""
    meta = catalog.execute(
        "SELECT value FROM meta WHERE key IN ('format', 'version') ORDER BY key"
    ).fetchall()
    sums = [
        catalog.execute(f"SELECT count(*), ifnull(sum(checksum), 0) FROM {table}").fetchone()
        for table in ("entries", "segments")
    ]
    return str(record_checksum(meta, sums))
