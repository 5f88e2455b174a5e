"""Files and folders that cannot be: an IOError that names them and says why, at every door."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tensorsql
from tensorsql import errors
from tensorsql.dbapi import Connection
from tensorsql.repl.commands import COMMANDS
from tensorsql.repl.runner import Runner
from tensorsql.repl.script import read_text, run_script

LONG = "x" * 300
CASES: dict[str, tuple[Callable[[Path], str], str]] = {
    "long": (lambda folder: str(folder / LONG), "File name too long"),
    "long folder": (lambda folder: str(folder / LONG / "x"), "File name too long"),
    "below a file": (lambda folder: str(folder / "file" / "x"), "Not a directory"),
    "in no folder": (lambda folder: str(folder / "none" / "x"), "No such file|does not exist"),
    "a loop": (lambda folder: str(folder / "loop"), "Too many levels of symbolic links"),
    "NUL": (lambda folder: str(folder / "a\0b"), "NUL character"),
    "surrogate": (lambda folder: str(folder / "a\ud800b"), "not Unicode text"),
    "empty": (lambda folder: "", "is not the path of a file"),
}


def quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def ask(sql: str) -> Callable[[Connection, str], object]:
    return lambda connection, path: connection.execute(sql.replace("PATH", quoted(path)))


READ = [
    "read_csv", "read_parquet", "read_json", "read_npy", "read_images", "read_masks"
]  # fmt: skip
DOORS: dict[str, Callable[[Connection, str], object]] = {
    "COPY TO": ask("COPY t TO PATH (FORMAT csv)"),
    "COPY TO parquet": ask("COPY (SELECT 1 AS a) TO PATH (FORMAT parquet)"),
    "COPY FROM": ask("COPY t FROM PATH (FORMAT csv)"),
    "CREATE MODEL": lambda connection, path: connection.execute(
        f"CREATE MODEL m FROM {quoted(path + '.pt2' if path else path)}"
    ),
    "connect": lambda _, path: tensorsql.connect(path),
    "connect read-only": lambda _, path: tensorsql.connect(path, read_only=True),
    "script": lambda _, path: read_text(path),
    ".read": lambda connection, path: run_script(
        f".read {quoted(path)}", Runner(connection, io.StringIO(), COMMANDS)
    ),
    **{name: ask(f"SELECT count(*) FROM {name}(PATH)") for name in READ},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("i\n1\n")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path


@pytest.fixture
def connection() -> Connection:
    opened = tensorsql.connect()
    opened.execute("CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (1)")
    return opened


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("door", DOORS)
def test_every_door(connection: Connection, folder: Path, door: str, case: str) -> None:
    path, why = CASES[case]
    if (door, case) in {("connect", "in no folder")}:
        return  # makes the folders above it
    before = sorted(folder.iterdir())
    with pytest.raises((errors.IOError, errors.ParseError, errors.UnsupportedError)) as raised:
        DOORS[door](connection, path(folder))
    if isinstance(raised.value, errors.IOError):
        assert "defect" not in str(raised.value)
        said = str(raised.value)
        assert any(word in said for word in why.split("|")) or "model file" in said, said
    assert case not in ("long", "below a file") or isinstance(raised.value, errors.IOError)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("door", DOORS)
def test_a_folder_is_no_file(connection: Connection, folder: Path, door: str) -> None:
    if door.startswith("connect"):
        with pytest.raises(errors.IOError, match=r"is not a database|is a folder but not a"):
            DOORS[door](connection, str(folder))
        return
    (folder / "d.pt2").mkdir()
    with pytest.raises(errors.IOError, match=r"folder|directory|does not exist"):
        DOORS[door](connection, str(folder / "d" if door == "CREATE MODEL" else folder))


@pytest.fixture
def without_rights() -> Iterator[None]:
    """Nobody's rights, if these are root's."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


@pytest.mark.parametrize("door", DOORS)
def test_without_rights(
    connection: Connection, folder: Path, door: str, request: pytest.FixtureRequest
) -> None:
    closed = folder / "closed"
    closed.mkdir()
    for suffix in ("", ".pt2"):
        (closed / f"x{suffix}").write_text("x")
    folder.chmod(0o000)
    request.getfixturevalue("without_rights")
    try:
        with pytest.raises(errors.IOError, match=r"Permission denied|model file .* does not exist"):
            DOORS[door](connection, str(closed / "x"))
    finally:
        if os.geteuid() != 65534:
            folder.chmod(0o755)


def test_a_full_disk(connection: Connection) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with pytest.raises(errors.IOError, match='"/dev/full" cannot be written: No space left'):
        connection.execute("COPY (SELECT * FROM range(100000)) TO '/dev/full' (FORMAT csv)")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_names_as_long_as_they_can_be(connection: Connection, folder: Path, suffix: str) -> None:
    name = "é" * ((255 - len(suffix)) // 2) + suffix
    for _ in range(2):
        connection.execute(f"COPY t TO '{folder / name}'")
        assert connection.execute(f"SELECT * FROM '{folder / name}'").fetchall() == [(1,)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(["file", "loop", name])


def test_what_a_killed_copy_leaves_is_removed_by_the_next(
    connection: Connection, folder: Path
) -> None:
    target = folder / "big.csv"
    script = f"""
import tensorsql
from tensorsql.storage.formats.paths import writing
with writing({str(target)!r}) as part:
    open(part, "w").write("half")
    print(part, flush=True)
    import time
    time.sleep(60)
"""
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    part = Path(writer.stdout.readline().strip())
    assert part.parent == folder and len(part.name) < 30
    connection.execute(f"COPY t TO '{target}'")
    assert part.exists()  # its writer lives
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert part.exists()
    with pytest.raises(errors.IOError):
        connection.execute(f"COPY t TO '{folder / LONG}'")
    connection.execute(f"COPY t TO '{folder / 'other.csv'}'")
    names = {path.name for path in folder.iterdir()}
    assert names == {"file", "loop", "big.csv", "other.csv"}


def test_a_failed_copy_leaves_what_was_there(connection: Connection, folder: Path) -> None:
    connection.execute(f"COPY t TO '{folder / 'a.parquet'}'")
    before = (folder / "a.parquet").read_bytes()
    with pytest.raises(errors.Error):
        connection.execute(f"COPY (SELECT 1 AS a, 2 AS a) TO '{folder / 'a.parquet'}'")
    assert (folder / "a.parquet").read_bytes() == before
    assert not list(folder.glob(".*"))


def test_whatever_the_system_says_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorsql import session

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere/file")

    monkeypatch.setattr(session, "optimize", fail)
    with pytest.raises(errors.IOError, match=r'file "/somewhere/file" .*: No space left'):
        tensorsql.connect().execute("SELECT 1")
