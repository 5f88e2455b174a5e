"""Files that are missing, empty, cut short or something else: the error names them."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import tensorsql
from tensorsql import Connection, errors

EXAMPLES = Path(__file__).parent.parent / "examples"
Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "head": lambda content: content[:20],
    "text": lambda content: b"this is no such file\n" * 50,
    "noise": lambda content: np.random.default_rng(1).bytes(max(len(content), 100)),
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with tensorsql.connect(tmp_path / "db") as opened:
        opened.execute("CREATE TABLE kept AS SELECT 1 AS a")
        yield opened


def content(kind: str, folder: Path) -> bytes:
    """A good file of the kind."""
    path = folder / f"good.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"a": list(range(500)), "b": ["x"] * 500}), path)
    elif kind == "npy":
        np.save(path, np.zeros((5, 4, 4), np.uint8))
    elif kind == "png":
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (20, 20), np.uint8)).save(path)
    elif kind == "json":
        path.write_text("[" + '{"a": 1},' * 50 + '{"a": 2}]')
    else:
        return (EXAMPLES / f"fashion.{kind}").read_bytes()
    return path.read_bytes()


def refused(connection: Connection, sql: str, path: Path) -> None:
    """Alone and in a transaction; the file is named and nothing has changed."""
    for begin in ("", "BEGIN"):
        connection.execute(begin)
        with pytest.raises((errors.IOError, errors.CorruptError, errors.UnsupportedError)) as found:
            connection.execute(sql).fetchall()
        assert path.name in str(found.value)
        assert connection.execute("SELECT a FROM kept").fetchall() == [(1,)]
        connection.rollback()
    assert connection.execute("SHOW TABLES").fetchall() == [("kept",)]
    assert connection.execute("SHOW MODELS").fetchall() == []


READERS = [
    ("parquet", "read_parquet"),
    ("npy", "read_npy"),
    ("npy", "read_masks"),
    ("png", "read_images"),
    ("png", "read_masks"),
    ("json", "read_json"),
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("kind", "function"), READERS)
def test_damaged_data(
    connection: Connection, tmp_path: Path, kind: str, function: str, damage: str
) -> None:
    path = tmp_path / f"bad.{kind}"
    path.write_bytes(DAMAGES[damage](content(kind, tmp_path)))
    if (kind, damage) == ("json", "empty"):  # a text of no rows
        assert connection.execute(f"SELECT * FROM {function}('{path}')").fetchall() == []
        return
    refused(connection, f"SELECT * FROM {function}('{path}')", path)
    refused(connection, f"CREATE TABLE t AS SELECT * FROM {function}('{path}')", path)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["pt2", "safetensors"])
def test_damaged_models(connection: Connection, tmp_path: Path, kind: str, damage: str) -> None:
    path = tmp_path / f"bad.{kind}"
    path.write_bytes(DAMAGES[damage](content(kind, tmp_path)))
    refused(connection, f"CREATE MODEL m FROM '{path}'", path)


def test_flipped_weights_are_noticed(connection: Connection, tmp_path: Path) -> None:
    damaged = bytearray(content("pt2", tmp_path))
    middle = len(damaged) // 2
    damaged[middle : middle + 50] = bytes(byte ^ 255 for byte in damaged[middle : middle + 50])
    path = tmp_path / "flipped.pt2"
    path.write_bytes(damaged)
    refused(connection, f"CREATE MODEL m FROM '{path}'", path)


@pytest.mark.parametrize(
    ("array", "function", "message"),
    [
        (np.array(3), "read_npy", "0-D int64, not rows of numbers"),
        (np.array(["a"]), "read_npy", "not rows of numbers"),
        (np.zeros(3, complex), "read_npy", "not rows of numbers"),
        (np.zeros((2, 3), np.longdouble), "read_npy", "not rows of numbers"),
        (np.zeros((3, 0, 4)), "read_npy", "no numbers"),
        (np.zeros(3), "read_masks", r"masks are \[n, h, w\]"),
        (np.zeros((2, 3, 3, 3)), "read_masks", r"masks are \[n, h, w\]"),
        (np.full((2, 3, 3), np.nan, np.float32), "read_masks", "contain NaN"),
        (np.full((2, 3, 3), 7.5, np.float32), "read_masks", "outside 0 … 1"),
        (np.zeros((2, 3, 3), np.int32), "read_masks", "has no usual scale"),
    ],
)
def test_arrays_of_the_wrong_kind(
    connection: Connection, tmp_path: Path, array: np.ndarray, function: str, message: str
) -> None:
    path = tmp_path / "wrong.npy"
    np.save(path, array)
    with pytest.raises(errors.Error, match=message) as found:
        connection.execute(f"SELECT * FROM {function}('{path}')").fetchall()
    assert "wrong.npy" in str(found.value)
    assert not isinstance(found.value, errors.InternalError)


@pytest.mark.parametrize("function", ["read_npy", "read_masks"])
def test_arrays_without_rows(connection: Connection, tmp_path: Path, function: str) -> None:
    np.save(tmp_path / "none.npy", np.zeros((0, 4, 4), np.uint8))
    sql = f"SELECT * FROM {function}('{tmp_path}/none.npy')"
    assert connection.execute(sql).fetchall() == []
    assert connection.execute(f"CREATE TABLE t AS {sql}").rowcount == 0


def test_files_that_do_not_go_together(connection: Connection, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    pq.write_table(pa.table({"b": [1]}), tmp_path / "3.parquet")
    for names, message in [("12", "2.parquet"), ("21", "1.parquet"), ("13", '3.parquet" lacks')]:
        paths = ", ".join(f"'{tmp_path}/{name}.parquet'" for name in names)
        sql = f"SELECT * FROM read_parquet([{paths}])"
        if names == "21":  # every integer is a text
            assert connection.execute(sql).fetchall() == [("x",), ("1",)]
        else:
            with pytest.raises(errors.Error, match=message):
                connection.execute(sql)


def test_text_that_is_no_text(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes("a\ncafé\n".encode("latin-1"))
    refused(connection, f"SELECT * FROM read_csv('{path}')", path)
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    refused(connection, f"SELECT * FROM read_json('{deep}')", deep)


def test_a_failed_copy_keeps_what_was_there(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "kept.csv"
    path.write_text("precious")
    connection.register_masks("masks", np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(errors.UnsupportedError):
        connection.execute(f"COPY (SELECT 1 AS a, mask FROM masks) TO '{path}'")
    assert path.read_text() == "precious"
    connection.execute(f"COPY kept TO '{path}'")
    assert path.read_text() == "a\n1\n" or path.read_text() == '"a"\n1\n'
    assert [name for name in os.listdir(tmp_path) if name.endswith(".part")] == []


def test_a_full_disk_is_told(connection: Connection) -> None:
    if os.path.exists("/dev/full"):
        with pytest.raises(errors.IOError, match='"/dev/full" cannot be written: No space left'):
            connection.execute("COPY kept TO '/dev/full' (FORMAT csv)")


def test_objects_that_are_no_tables(connection: Connection) -> None:
    for value in (object(), None, 5, {"a": [1, 2], "b": [1]}, {"a": [object()]}):
        with pytest.raises(errors.UnsupportedError):
            connection.register("t", value)
    with pytest.raises(errors.InterfaceError):
        connection.register(5, {"a": [1]})  # type: ignore[arg-type]


def pictures() -> list[tuple[str, bytes]]:
    """A small image in each format that Pillow writes here, by suffix."""
    pixels = np.random.default_rng(1).integers(0, 255, (6, 5), np.uint8)
    grey = Image.fromarray(pixels)
    made = [grey, grey.convert("1"), grey.convert("RGB"), grey.convert("P"), grey.convert("F")]
    found = []
    for suffix in ("png", "bmp", "gif", "tif", "jpg", "webp", "ppm", "tga", "jp2", "dds", "avif"):
        for image in made:
            file = io.BytesIO()
            with contextlib.suppress(OSError, KeyError, ValueError):
                name = Image.registered_extensions().get(f".{suffix}", "")
                image.save(file, name, save_all=suffix == "gif", append_images=[grey])
                found.append((suffix, file.getvalue()))
    return found


@pytest.mark.filterwarnings("error")
def test_damaged_pictures_are_read_or_refused_in_our_words(
    connection: Connection, tmp_path: Path
) -> None:
    """Cut short and with bytes exchanged: whatever Pillow raises or warns of."""
    random = np.random.default_rng(1)
    refusals = 0
    for suffix, whole in pictures():
        path = tmp_path / f"a.{suffix}"
        for turn in range(16):
            bytes_ = np.frombuffer(whole, np.uint8).copy()
            if turn % 2:
                bytes_ = bytes_[: random.integers(len(bytes_))]
            else:
                places = random.integers(0, len(bytes_), 1 + turn // 4)
                bytes_[places] = random.integers(0, 256, len(places))
            path.write_bytes(bytes_.tobytes())
            for function in ("read_images", "read_masks"):
                try:
                    connection.execute(f"SELECT * FROM {function}('{path}')").fetchall()
                except errors.InternalError:
                    raise
                except errors.Error:
                    refusals += 1
    assert refusals > 400
