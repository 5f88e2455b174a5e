"""Databases with damaged files: the error names the file and all that does not need it works."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzz_statements import WORLD

import tensorsql
from tensorsql import errors
from tensorsql.storage.files import checked_file
from tensorsql.storage.files.checked_file import CheckedFile
from tensorsql.storage.tables.segment import FileSource

EXAMPLES = Path(__file__).parent.parent / "examples"
DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(b"\x01\x7f" * 500),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}
PEOPLE = "SELECT count(*) FROM people"
VISITS = "SELECT count(*) FROM visits"
MAPS = "SELECT count(*) FROM maps WHERE CP(mask, -, (0.5, 1.0)) > 100"
PREDICT = "SELECT count(PREDICT(fashion, image)) FROM images"
HIGHEST = """SELECT * FROM TOPK_HIGHEST(data => images, model => fashion, layer => 'relu3',
    neurons => [3], k => 2, id => rowid)"""
UNREADABLE = (errors.CorruptError, errors.IOError)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "db"
    with tensorsql.connect(folder) as connection:
        connection.execute(WORLD.format(examples=EXAMPLES))
        connection.execute("DELETE FROM visits WHERE id = 1")
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "db")
    return tmp_path / "db"


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "lock" not in path.name}


@pytest.mark.parametrize("damage", DAMAGES)
def test_catalog(folder: Path, damage: str) -> None:
    """Refused, and above all: nothing is swept away."""
    DAMAGES[damage](folder / "catalog.sqlite")
    before = {path for path in files(folder) if "catalog" not in path.name}
    with pytest.raises(errors.CorruptError, match=r"catalog\.sqlite"):
        tensorsql.connect(folder)
    assert {path for path in files(folder) if "catalog" not in path.name} == before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET body = '{'",
        "UPDATE entries SET body = '{}'",
        "UPDATE entries SET body = '[]' WHERE kind = 'model'",
        "UPDATE entries SET kind = 'zzz' WHERE kind = 'view'",
        "UPDATE meta SET value = 'x' WHERE key = 'version'",
        "UPDATE segments SET body = 'null'",
        "UPDATE segments SET body = '{}'",
        "UPDATE meta SET value = '0' WHERE key = 'format'",
        "UPDATE meta SET value = '1' WHERE key = 'format'",
        "UPDATE entries SET name = 'zzz' WHERE kind = 'view'",
        "UPDATE segments SET body = replace(body, '0', '1')",
        "DELETE FROM segments WHERE first_row_id = 0",
        "DELETE FROM entries WHERE kind = 'view'",
        "DELETE FROM meta",
    ],
)
def test_records(folder: Path, sql: str) -> None:
    with sqlite3.connect(folder / "catalog.sqlite") as catalog:
        catalog.execute(sql)
    with pytest.raises(errors.CorruptError, match="db"):
        tensorsql.connect(folder)


def test_a_newer_format_is_refused(folder: Path) -> None:
    with sqlite3.connect(folder / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(errors.IOError, match="newer version of tensorsql"):
        tensorsql.connect(folder)


LOG_DAMAGES: dict[str, Callable[[Path], object]] = {
    **DAMAGES,
    "a bit of the start": lambda path: flip(path, 20),
    "a bit of the first frame": lambda path: flip(path, 100),
    "a bit of the middle": lambda path: flip(path, path.stat().st_size // 2),
    "a bit of the end": lambda path: flip(path, path.stat().st_size - 1),
}


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", LOG_DAMAGES)
def test_the_log_that_a_crash_leaves_holds_nothing_alone(tmp_path: Path, damage: str) -> None:
    """SQLite believes it up to its first damaged byte: later commits would be gone unnoticed."""
    with tensorsql.connect(tmp_path / "db") as connection:
        reader = tensorsql.connect(tmp_path / "db", read_only=True)
        connection.execute("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (0)")
        for number in range(1, 5):
            connection.execute(f"INSERT INTO t VALUES ({number})")
            assert reader.execute("SELECT max(a) FROM t").fetchall() == [(number,)]
        shutil.copytree(tmp_path / "db", tmp_path / "crashed")
        reader.close()
    LOG_DAMAGES[damage](tmp_path / "crashed" / "catalog.sqlite-wal")
    with tensorsql.connect(tmp_path / "crashed") as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(5,)]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("pattern", "broken", "working"),
    [
        ("segments/*.arrow", [PEOPLE.replace("count(*)", "name"), MAPS], []),
        ("segments/*.shapes.npy", [MAPS], [PEOPLE, VISITS, PREDICT, HIGHEST]),
        ("models/*/*", [PREDICT, HIGHEST], [PEOPLE, VISITS, MAPS]),
        ("indexes/*/*", [MAPS, HIGHEST], [PEOPLE, VISITS, PREDICT]),
    ],
)
def test_files(
    folder: Path, damage: str, pattern: str, broken: list[str], working: list[str]
) -> None:
    for path in folder.glob(pattern):
        DAMAGES[damage](path)
    with tensorsql.connect(folder) as connection:
        for sql in broken:
            with pytest.raises(UNREADABLE, match=str(folder)) as found:
                connection.execute(sql).fetchall()
            if pattern.startswith("indexes"):
                assert "drop it and create it again" in str(found.value)
        for sql in working:
            assert connection.execute(sql).fetchall()
        connection.execute("INSERT INTO visits VALUES (9, 9, 'x', NULL)")
        for name in ("INDEX maps_chi", "INDEX images_npi", "MODEL fashion", "TABLE maps"):
            connection.execute(f"DROP {name}")


@pytest.mark.parametrize("damage", DAMAGES)
def test_deletions(folder: Path, damage: str) -> None:
    (bitmap,) = (path for path in folder.glob("segments/*.npy") if path.name.count(".") == 1)
    DAMAGES[damage](bitmap)
    with tensorsql.connect(folder) as connection:
        with pytest.raises(UNREADABLE, match=bitmap.name):
            connection.execute("SELECT * FROM visits").fetchall()
        assert connection.execute(PEOPLE).fetchall() == [(3,)]


def test_an_index_can_be_made_again(folder: Path) -> None:
    for path in folder.glob("indexes/*/*"):
        path.unlink()
    with tensorsql.connect(folder) as connection:
        connection.execute("DROP INDEX maps_chi; CREATE INDEX maps_chi ON maps USING CHI (mask)")
        connection.execute("DROP INDEX images_npi")
        connection.execute("CREATE INDEX images_npi ON images USING NPI (fashion, 'relu3')")
        assert connection.execute(MAPS).fetchone() and connection.execute(HIGHEST).fetchall()


FULL = """
import resource, signal, sys
import tensorsql
from tensorsql import errors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
connection = tensorsql.connect(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
for sql in sys.stdin.read().split(";"):
    try:
        connection.execute(sql)
        print("ran", sql)
    except errors.IOError:
        print("refused")
    except BaseException as error:
        print(type(error).__name__, error)
"""


def test_a_full_disk_changes_nothing(folder: Path) -> None:
    """A limit on the size of files stands for the disk."""
    with tensorsql.connect(folder) as connection:
        connection.execute("CREATE TABLE big AS SELECT range AS i FROM range(340000)")
        connection.execute("CREATE TABLE more AS SELECT mask FROM maps, range(15)")
        before = connection.execute("SHOW TABLES").fetchall()
    statements = [
        "CREATE TABLE t AS SELECT range AS i FROM range(20000)",
        "INSERT INTO big SELECT range FROM range(20000)",
        "CREATE TABLE t AS SELECT mask FROM maps, range(10)",
        "DELETE FROM big WHERE i % 2 = 0",
        "UPDATE big SET i = i + 1",
        "CREATE INDEX c ON more USING CHI (mask)",
        f"CREATE MODEL m FROM '{EXAMPLES}/fashion.pt2'",
        f"COPY big TO '{folder.parent}/big.csv'",
    ]
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(folder)],
        input=";".join(statements), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["refused"] * len(statements), done.stdout + done.stderr
    with tensorsql.connect(folder) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == before
        found = connection.execute("SELECT count(*), max(i) FROM big").fetchall()
        assert found == [(340_000, 339_999)]
    assert not (folder.parent / "big.csv").exists()


KILLED = """
import sys, tensorsql
connection = tensorsql.connect(sys.argv[1])
print("ready", flush=True)
while True:
    connection.execute(sys.argv[2])
    connection.execute(sys.argv[3])
"""


@pytest.mark.parametrize(
    ("create", "drop"),
    [
        ("CREATE INDEX x ON maps USING CHI (mask)", "DROP INDEX x"),
        ("CREATE INDEX x ON images USING NPI (fashion, 'relu2')", "DROP INDEX x"),
        (f"CREATE MODEL x FROM '{EXAMPLES}/fashion.pt2' WITH (scale = 255)", "DROP MODEL x"),
    ],
)
def test_killed_while_creating(folder: Path, create: str, drop: str) -> None:
    """Afterwards it is there whole or not at all, and no file is left over."""
    for wait in (0.03, 0.3):
        command = [sys.executable, "-c", KILLED, str(folder), create, drop]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
            time.sleep(wait)
            os.kill(child.pid, signal.SIGKILL)
        with tensorsql.connect(folder) as connection:
            for sql in (PEOPLE, MAPS, PREDICT, HIGHEST):
                assert connection.execute(sql).fetchall()
            connection.execute(drop.replace("DROP INDEX", "DROP INDEX IF EXISTS").replace(
                "DROP MODEL", "DROP MODEL IF EXISTS"))  # fmt: skip
        kept = {path.parent.name for path in folder.glob("indexes/*/*")}
        assert len(kept) == 2


def test_read_only(folder: Path, tmp_path: Path) -> None:
    with tensorsql.connect(folder, read_only=True) as connection:
        for sql in (
            "INSERT INTO visits VALUES (1, 1, 'x', NULL)",
            "DROP TABLE people",
            "CHECKPOINT",
        ):
            with pytest.raises(errors.TransactionError, match="read-only"):
                connection.execute(sql)
        assert connection.execute(f"COPY people TO '{tmp_path}/p.csv'").rowcount == 3


@pytest.mark.parametrize("path", [5, None, "a\0b", b"db"])
def test_what_is_no_path(path: object) -> None:
    with pytest.raises((errors.InterfaceError, errors.IOError)):
        tensorsql.connect(path)  # type: ignore[arg-type]


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("x")
    for name, message in [("file", "is a file"), ("folder", "not a database")]:
        with pytest.raises(errors.IOError, match=message):
            tensorsql.connect(tmp_path / name)
    with pytest.raises(errors.IOError, match="does not exist"):
        tensorsql.connect(tmp_path / "none", read_only=True)


def test_a_second_scan_pays_no_checksums_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block of a file is compared once; from then on a read looks at its file's size, once."""
    compared: list[int] = []
    seen: dict[str, int] = Counter()

    def counted(kind: Any, name: str) -> None:
        method = getattr(kind, name)

        def call(*given: Any, **named: Any) -> Any:
            seen[name] += 1
            return method(*given, **named)

        monkeypatch.setattr(kind, name, call)

    class Zlib:
        @staticmethod
        def crc32(data: bytes) -> int:
            compared.append(len(data))
            return zlib.crc32(data)

    with tensorsql.connect(tmp_path / "db") as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT range AS a, range / 7 AS b, 'text ' || range AS c"
            " FROM range(200000)"
        )
    counted(CheckedFile, "check_size")
    counted(FileSource, "check")
    monkeypatch.setattr(checked_file, "zlib", Zlib)
    with tensorsql.connect(tmp_path / "db") as connection:
        for first in (True, False):
            compared.clear()
            seen.clear()
            connection.execute("SELECT sum(a), sum(b) FROM t").fetchall()
            assert bool(compared) == first
        assert seen["check_size"] == seen["check"] > 1
