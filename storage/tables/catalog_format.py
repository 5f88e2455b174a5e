"""The tables of the catalog, and what each record's checksum covers.

| table | a row is |
|---|---|
| meta | `format`, `version` and `checksum`, which covers both and the checksums of all records |
| entries | a table, view, model or index |
| segments | a segment of a table, and its deletion bitmap |
| files | a file: its size, the CRC-32 of each block of it, the version it came with |
| replaced | a file that some version has no more (replaced.py) |

A row of `files` or `replaced` stays until its file is removed. Catalogs of older formats are
upgraded where they lie (catalog_upgrade.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorsql.errors import CorruptError, IOError
from tensorsql.storage.files.checksums import Checksum, record_checksum, relative
from tensorsql.storage.tables.replaced import Replaced

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
        " blocks BLOB NOT NULL, version INTEGER NOT NULL"
    ),
    "replaced": (
        "version INTEGER, path TEXT, made INTEGER NOT NULL, size INTEGER NOT NULL,"
        " checksum INTEGER NOT NULL, PRIMARY KEY (version, path)"
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
    record = catalog.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if record is None or not str(record[0]).isdecimal() or int(record[0]) < 1:
        raise CorruptError(f'"{folder}" has a catalog that does not say which format it has')
    if int(record[0]) > FORMAT:
        raise IOError(
            f'database "{folder}" was written by a newer version of tensorsql: its format is '
            f"{record[0]}, this version reads up to {FORMAT}; upgrade tensorsql to open it"
        )
    names = {name for (name,) in catalog.execute("SELECT name FROM sqlite_master")}
    if (int(record[0]) == FORMAT) != names.issuperset(TABLES):
        raise CorruptError(f'"{folder}" has a catalog whose tables are not those of its format')
    return int(record[0])


def put(catalog: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Add or replace records of `entries` or `segments`: two parts of a key and a body."""
    catalog.executemany(
        f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)",
        [(*key, record_checksum(*key, body), body) for *key, body in rows],
    )


def put_files(
    catalog: sqlite3.Connection, folder: Path, checksums: Mapping[Path, Checksum], version: int
) -> None:
    """Keep the checksums of files that come with a version."""
    records = ((relative(path, folder), checksum) for path, checksum in checksums.items())
    catalog.executemany(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
        [
            (name, file_record(name, checksum, version), checksum.size, checksum.blocks, version)
            for name, checksum in records
        ],
    )


def file_record(name: str, checksum: Checksum, version: int) -> int:
    """The checksum of the record of a file."""
    return record_checksum(name, checksum.size, checksum.blocks.hex(), version)


def put_replaced(catalog: sqlite3.Connection, prefixes: Iterable[str], version: int) -> None:
    """Say of all files whose names begin so that a version no longer has them."""
    query = "SELECT path, version, size FROM files WHERE path >= ? AND path < ?"
    for prefix in prefixes:
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = [(version, *row) for row in catalog.execute(query, (prefix, after)).fetchall()]
        catalog.executemany(
            "INSERT OR REPLACE INTO replaced VALUES (?, ?, ?, ?, ?)",
            [(*row, record_checksum(*row)) for row in rows],
        )


def replaced_files(catalog: sqlite3.Connection) -> list[Replaced]:
    """All that `put_replaced` said and is not forgotten; damaged records are left to a sweep."""
    rows = catalog.execute("SELECT * FROM replaced").fetchall()
    return [Replaced(*row) for *row, checksum in rows if checksum == record_checksum(*row)]


def forget_files(catalog: sqlite3.Connection, names: Iterable[str]) -> None:
    """Forget files that were removed."""
    rows = [(name,) for name in names]
    for table in ("files", "replaced"):
        catalog.executemany(f"DELETE FROM {table} WHERE path = ?", rows)


def seal(catalog: sqlite3.Connection) -> None:
    """Let `meta` cover the records as they are; part of every transaction that changes some."""
    catalog.execute("INSERT OR REPLACE INTO meta VALUES ('checksum', ?)", (_summary(catalog),))


def check_seal(catalog: sqlite3.Connection) -> None:
    """ValueError if records were lost or added behind `meta`'s back, or `meta` was changed."""
    record = catalog.execute("SELECT value FROM meta WHERE key = 'checksum'").fetchone()
    if record is None or record[0] != _summary(catalog):
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
