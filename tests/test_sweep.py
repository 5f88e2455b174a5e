"""What is swept and when: a damaged or older catalog must never cost a file."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

import tensorsql
from tensorsql import errors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tensorsql.connect(tmp_path / "db") as connection:
        connection.execute("CREATE TABLE a AS SELECT range AS i FROM range(100)")
        connection.execute("CREATE TABLE b AS SELECT range AS i FROM range(10)")
        connection.execute("DELETE FROM a WHERE i < 3")
    return tmp_path / "db"


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "segments").iterdir()}


def open_and_close(folder: Path) -> None:
    with tensorsql.connect(folder):
        pass


def count(folder: Path, table: str) -> int:
    with tensorsql.connect(folder) as connection:
        found: int = connection.execute(f"SELECT count(i) FROM {table}").fetchall()[0][0]
        return found


def catalog_page(folder: Path, name: str) -> None:
    """Flip one bit of a file's name, wherever the catalog has it."""
    path = folder / "catalog.sqlite"
    path.write_bytes(path.read_bytes().replace(name.encode(), name.encode()[:-1] + b"q"))


@pytest.mark.parametrize("suffix", ["arrow", "npy"])
def test_a_flipped_name_costs_no_file(folder: Path, suffix: str) -> None:
    """Whichever file's name it is; and with the catalog restored, all is there again."""
    before = files(folder)
    shutil.copy(folder / "catalog.sqlite", folder.parent / "copy")
    for name in sorted(before):
        if name.endswith(suffix):
            catalog_page(folder, name.partition(".")[0])
            with pytest.raises(errors.CorruptError, match=r"catalog\.sqlite"):
                tensorsql.connect(folder)
            assert files(folder) == before
            shutil.copy(folder.parent / "copy", folder / "catalog.sqlite")
    assert (count(folder, "a"), count(folder, "b")) == (97, 10)


def test_a_record_changed_with_its_checksum_costs_no_file(folder: Path) -> None:
    """As long as the file it should name is missing, nothing is an orphan."""
    before = files(folder)
    segments = sorted(path for path in folder.glob("segments/*.arrow"))
    segments[0].rename(folder.parent / "away")
    (folder / "segments" / "stray.arrow").write_bytes(b"x")
    for _ in range(3):
        open_and_close(folder)
    assert files(folder) == before - {segments[0].name} | {"stray.arrow"}
    (folder.parent / "away").rename(segments[0])
    assert (count(folder, "a"), count(folder, "b")) == (97, 10)
    assert files(folder) == before


def test_an_older_catalog_brings_its_files_back(folder: Path) -> None:
    before = files(folder)
    shutil.copy(folder / "catalog.sqlite", folder.parent / "copy")
    with tensorsql.connect(folder) as connection:
        connection.execute("CHECKPOINT; DROP TABLE b")
    assert len(files(folder)) == 1
    shutil.copy(folder.parent / "copy", folder / "catalog.sqlite")
    assert (count(folder, "a"), count(folder, "b")) == (97, 10)
    assert files(folder) == before


def test_orphans_are_removed_one_opening_later(folder: Path) -> None:
    (folder / "segments" / "stray.arrow").write_bytes(b"x")
    (folder / "indexes" / "stray").mkdir()
    (folder / "indexes" / "stray" / "part.npy").write_bytes(b"x")
    open_and_close(folder)
    assert {p.name for p in folder.glob("swept/*/*")} == {"stray", "stray.arrow"}
    open_and_close(folder)
    assert not (folder / "swept").exists()
    assert (count(folder, "a"), count(folder, "b")) == (97, 10)


def test_only_what_is_known_stays_known(folder: Path) -> None:
    """The catalog forgets the checksums of files that were removed, and of no others."""
    for statement in ("CHECKPOINT", "UPDATE a SET i = i + 1", "DROP TABLE b", "SELECT 1"):
        with tensorsql.connect(folder) as connection:
            connection.execute(statement)
    open_and_close(folder)
    with sqlite3.connect(folder / "catalog.sqlite") as catalog:
        known = {path for (path,) in catalog.execute("SELECT path FROM files")}
    assert known == {f"segments/{name}" for name in files(folder)}
