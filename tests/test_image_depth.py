"""Pictures that Pillow would cut, what libtiff says, and masks turned as their images."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

import tensorsql
from tensorsql import Connection, errors
from tensorsql.storage.formats import pictures

GREY = (np.arange(32 * 32) % 251).reshape(32, 32).astype(np.uint8)


@pytest.fixture
def connection() -> Connection:
    return tensorsql.connect()


def encoded(pixels: np.ndarray, format: str, **options: object) -> bytearray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return bytearray(file.getvalue())


def jpeg2000(bits: int, channels: int, signed: bool = False) -> bytes:
    """A file that says so many bits a channel; only its head is true."""
    deep = GREY.astype(np.uint16) * 16
    content = encoded(deep if channels == 1 else np.stack([GREY] * 3, 2), "JPEG2000")
    start = content.find(b"\xff\x4f\xff\x51")
    for channel in range(channels):
        content[start + 42 + 3 * channel] = bits - 1 + 128 * signed
    return bytes(content)


def tiff(pixels: np.ndarray, kind: int) -> bytes:
    """An uncompressed file of one strip; Pillow writes few of the formats that it reads."""
    (height, width), data = pixels.shape, pixels.tobytes()
    tags = [(256, 4, width), (257, 4, height), (258, 3, pixels.itemsize * 8), (259, 3, 1)]
    tags += [(262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(data))]
    entries = b"".join(
        struct.pack("<HHII", tag, type, 1, v) for tag, type, v in [*tags, (339, 3, kind)]
    )
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return head + data + struct.pack("<H", len(tags) + 1) + entries + bytes(4)


def avif(flags: int) -> bytes:
    content = encoded(GREY, "AVIF")
    content[content.find(b"av1C") + 6] |= flags
    return bytes(content)


DEEP = {
    "a.jp2": (lambda: jpeg2000(12, 3), "has 12 bits a colour, of which only 8"),
    "b.jp2": (lambda: jpeg2000(16, 3), "has 16 bits a colour"),
    "c.jp2": (lambda: jpeg2000(12, 1), "has 12 bits, which would be stretched to 16"),
    "d.jp2": (lambda: jpeg2000(8, 3, signed=True), "numbers with a sign"),
    "a.sgi": (lambda: encoded(GREY, "SGI", bpc=2), "has 16 bits a colour"),
    "a.tif": (lambda: tiff(np.array([[1, -1]], np.int8), 2), "8 bits with a sign"),
    "b.tif": (lambda: tiff(np.array([[1, 2**31]], np.uint32), 1), "numbers beyond 31 bits"),
    "c.tif": (lambda: tiff(np.array([[1, 0.1]]), 3), "floats of 64 bits|not an image|neither"),
}
KEPT = {
    "a.jp2": (lambda: jpeg2000(16, 1), GREY.astype(np.uint16) * 16),
    "b.tif": (lambda: tiff(np.array([[1, 2**31 - 1]], np.uint32), 1), [[1, 2**31 - 1]]),
    "c.tif": (lambda: tiff(np.array([[1, -(2**31)]], np.int32), 2), [[1, -(2**31)]]),
    "d.tif": (lambda: tiff(np.array([[1, -5]], np.int16), 2), [[1, -5]]),
    "e.tif": (lambda: tiff(np.array([[0.1, -5]], np.float32), 3), np.float32([[0.1, -5]])),
    "a.sgi": (lambda: encoded(GREY, "SGI"), GREY),
}


def skip_without_codec(name: str) -> None:
    if name.endswith("jp2") and not features.check("jpg_2000"):
        pytest.skip("this Pillow does not read JPEG 2000")


@pytest.mark.parametrize("name", DEEP)
def test_what_would_be_cut_is_refused_by_name(
    connection: Connection, tmp_path: Path, name: str
) -> None:
    skip_without_codec(name)
    make, message = DEEP[name]
    (tmp_path / name).write_bytes(make())
    path = tmp_path / name
    for query in (
        f"SELECT image FROM read_images('{path}')",
        f"SELECT CP(mask, -, (0, 1)) FROM read_masks('{path}', scale => 255)",
    ):
        with pytest.raises(errors.Error, match=f"{name}.*({message}|mode RGB)"):
            connection.execute(query).fetchall()


@pytest.mark.parametrize("name", KEPT)
def test_what_can_be_kept_is_kept(connection: Connection, tmp_path: Path, name: str) -> None:
    skip_without_codec(name)
    make, expected = KEPT[name]
    (tmp_path / name).write_bytes(make())
    ((found,),) = connection.execute(
        f"SELECT image FROM read_images('{tmp_path / name}')"
    ).fetchall()
    assert np.array_equal(found[0], expected)


@pytest.mark.parametrize(("flags", "bits"), [(64, 10), (96, 12)])
def test_avif_says_its_depth(tmp_path: Path, flags: int, bits: int) -> None:
    """Files of more than 8 bits cannot be written here, so only their heads are read."""
    if not features.check("avif"):
        pytest.skip("this Pillow does not read AVIF")
    from tensorsql.storage.formats import picture_depth

    path = tmp_path / "a.avif"
    path.write_bytes(avif(0))
    with Image.open(path) as image:
        assert picture_depth.cut(path, image, "RGB") == ""
        path.write_bytes(avif(flags))
        assert picture_depth.cut(path, image, "RGB").startswith(f"{bits} bits a colour")


def test_libtiff_speaks_through_the_error(
    connection: Connection, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = encoded(GREY, "TIFF", compression="tiff_adobe_deflate")
    content[40:80] = bytes(40)
    (tmp_path / "a.tif").write_bytes(content)
    for query in ("SELECT image FROM read_images", "SELECT CP(mask, -, (0, 1)) FROM read_masks"):
        with pytest.raises(errors.CorruptError, match=r"a\.tif.*Decoding error"):
            connection.execute(f"{query}('{tmp_path}/a.tif')").fetchall()
    (tmp_path / "b.tif").write_bytes(encoded(GREY, "TIFF"))
    assert connection.execute(f"SELECT image FROM read_images('{tmp_path}/b.tif')").fetchall()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_turned_as_their_images(
    connection: Connection, tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for name in ("a.png", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
        for option in ("", ", orient => true", ", orient => false"):
            path = f"'{tmp_path / name}'{option}"
            ((image,),) = connection.execute(f"SELECT image FROM read_images({path})").fetchall()
            ((mask,),) = connection.execute(f"SELECT mask FROM read_masks({path})").fetchall()
            assert np.array_equal(np.asarray(mask), image[0])
        assert np.array_equal(np.asarray(mask), pixels)
    with pytest.raises(errors.BindError, match="orient of read_masks is true or false"):
        connection.execute(f"FROM read_masks('{tmp_path}/a.png', orient => 3)")


def test_iou_with_the_whole_mask_says_what_to_write(connection: Connection) -> None:
    connection.register_masks("m", np.array([[[0, 255], [255, 255]]], np.uint8))
    for call in ("IOU(mask > 0.5, -)", "IOU(-, mask > 0.5)"):
        with pytest.raises(errors.BindError, match=r"CP\(mask, -, \(threshold, 1\.0\)\) / AREA"):
            connection.execute(f"SELECT {call} FROM m")
    sql = "SELECT CP(mask, -, (0.5, 1.0)) / AREA(mask) FROM m"
    assert connection.execute(sql).fetchall() == [(0.75,)]


def test_the_shell_says_warnings_as_it_says_errors(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    sql = f"SELECT count(*) FROM read_images('{tmp_path}/*.png', ignore_errors => true);"
    command = [sys.executable, "-m", "tensorsql", "-csv", "-c", sql * 2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    said = done.stderr.splitlines()
    assert len(said) == 2
    assert all(line.startswith("Warning: read_images left out 1 of 2 files: ") for line in said)
