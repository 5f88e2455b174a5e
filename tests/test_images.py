"""Images and masks of files: their range, their orientation, pages, palettes and damage."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Transpose

import tensorsql
from tensorsql import Connection, errors
from tensorsql.storage.formats import pictures


@pytest.fixture
def connection() -> Iterator[Connection]:
    with tensorsql.connect() as opened:
        yield opened


def images(connection: Connection, path: Path, options: str = "") -> list[np.ndarray]:
    """The images of a path, in order of their names, as nested lists made arrays."""
    rows = connection.execute(
        f"SELECT image FROM read_images('{path}'{options}) ORDER BY filename"
    ).fetchall()
    return [np.array(row[0]) for row in rows]


def grey(dtype: str) -> np.ndarray:
    return np.array([[0, 3, 200], [255, 256, 40000]]).astype(dtype)


# Range


@pytest.mark.parametrize(
    ("file", "pixels"),
    [
        ("a.png", grey("uint16")),
        ("a.tif", grey("uint16")),
        ("a.pgm", grey("uint16")),
        ("a.tif", np.array([[-5, 0], [70000, 2**31 - 1]], np.int32)),
        ("a.tif", np.array([[-0.5, 0.25], [1e9, 1.5]], np.float32)),
        ("a.png", np.array([[0, 7], [255, 128]], np.uint8)),
    ],
)
def test_images_keep_their_range(
    connection: Connection, tmp_path: Path, file: str, pixels: np.ndarray
) -> None:
    Image.fromarray(pixels).save(tmp_path / file)
    (found,) = images(connection, tmp_path / file)
    assert np.array_equal(found[0], pixels)
    (smaller,) = images(connection, tmp_path / file, ", size => [1, 1]")
    assert pixels.min() <= smaller[0, 0, 0] <= pixels.max()


def test_images_of_several_ranges_are_read_apart(connection: Connection, tmp_path: Path) -> None:
    Image.fromarray(grey("uint16")).save(tmp_path / "a.png")
    Image.fromarray(grey("uint8")).save(tmp_path / "b.png")
    with pytest.raises(errors.UnsupportedError, match=r"uint8 and .* uint16; read them apart"):
        images(connection, tmp_path / "*.png")


def deep_colour_png() -> bytes:
    """A PNG of 16 bits a colour, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = zlib.compress(b"\0" + bytes(12))
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_deep_colours_are_refused_rather_than_cut(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(deep_colour_png())
    (tmp_path / "a.ppm").write_bytes(b"P6 2 1 65535\n" + bytes(12))
    for name in ("a.png", "a.ppm"):
        with pytest.raises(errors.UnsupportedError, match=f"{name}.*16 bits a colour"):
            images(connection, tmp_path / name)


# Orientation

TURNS = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_is_applied_or_left(
    connection: Connection, tmp_path: Path, suffix: str, orientation: int
) -> None:
    plain = Image.fromarray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10)
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    path = tmp_path / f"a.{suffix}"
    lossless: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    plain.save(path, exif=exif, **lossless)
    turn = TURNS[orientation]
    turned = plain if turn is None else plain.transpose(turn)
    for options, wanted in (("", turned), (", orient => false", plain)):
        (found,) = images(connection, path, options)
        assert np.array_equal(found, np.asarray(wanted).transpose(2, 0, 1))
        sizes = connection.execute(
            f"SELECT width, height FROM read_images('{path}'{options})"
        ).fetchall()
        assert sizes == [wanted.size]


def test_a_nonsensical_orientation_is_none(connection: Connection, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 99
    Image.new("RGB", (3, 2)).save(tmp_path / "a.jpg", exif=exif)
    assert images(connection, tmp_path / "a.jpg")[0].shape == (3, 2, 3)


# Damage


def some_jpegs(folder: Path) -> list[str]:
    """Ten images, of which the fourth is cut short and the seventh is none."""
    names = [f"{number}.jpg" for number in range(10)]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:700])
    (folder / "6.jpg").write_bytes(b"no image")
    return names


def test_broken_images_can_be_left_out_and_are_named(
    connection: Connection, tmp_path: Path
) -> None:
    some_jpegs(tmp_path)
    with pytest.raises(errors.CorruptError, match=r"6\.jpg"):
        images(connection, tmp_path / "*.jpg")
    with pytest.warns(UserWarning) as told:
        found = images(connection, tmp_path / "*.jpg", ", ignore_errors => true")
    assert len(found) == 8
    for warning, pattern in zip(told, (r"1 of 10 .*6\.jpg", r"1 of 9 .*3\.jpg"), strict=True):
        assert re.search(f"left out {pattern}", str(warning.message))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(images(connection, tmp_path / "[01].jpg", ", ignore_errors => true")) == 2
    with pytest.raises(errors.CorruptError, match="none of 1 files"):
        images(connection, tmp_path / "[6].jpg", ", ignore_errors => true")
    with pytest.warns(UserWarning):
        assert not images(connection, tmp_path / "[36].jpg", ", ignore_errors => true")
        broken = f"read_images('{tmp_path}/*.jpg', ignore_errors => true)"
        assert connection.execute(f"SELECT count(*) FROM {broken}").fetchall() == [(8,)]
        sql = f"SELECT filename FROM {broken} WHERE right(filename, 5) IN ('3.jpg', '4.jpg')"
        assert connection.execute(sql).fetchall() == [(f"{tmp_path}/4.jpg",)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded, as they are."""
    from tensorsql.storage.formats import pictures as module

    names: list[str] = []
    decode = module.decode

    def counted(picture: pictures.Picture, orient: bool, mode: str) -> Image.Image:
        names.append(picture.path.name)
        return decode(picture, orient, mode)

    monkeypatch.setattr(module, "decode", counted)
    return names


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT image FROM {} WHERE filename LIKE '%/4.jpg'", ["4.jpg"]),
        ("SELECT filename, width, height, channels FROM {}", []),
        ("SELECT count(*), max(filename) FROM {}", []),
        ("SELECT image FROM {} ORDER BY filename LIMIT 2", ["0.jpg", "1.jpg"]),
        ("SELECT image FROM {} ORDER BY filename DESC LIMIT 1 OFFSET 1", ["8.jpg"]),
        ("SELECT i.image FROM {} i JOIN wanted w ON i.filename LIKE w.pattern", ["2.jpg", "9.jpg"]),
        ("SELECT a.image, b.image FROM {} a, {} b WHERE a.filename = b.filename LIMIT 0", []),
        (
            "SELECT CASE WHEN filename LIKE '%5.jpg' THEN PREDICT(m, image) END FROM {}",
            ["5.jpg"],
        ),
    ],
)
def test_only_images_that_are_used_are_decoded(
    connection: Connection,
    tmp_path: Path,
    decoded: list[str],
    query: str,
    expected: list[str],
) -> None:
    some_jpegs(tmp_path)
    (tmp_path / "6.jpg").write_bytes((tmp_path / "5.jpg").read_bytes())
    if expected is None:
        pytest.skip("no such function")
    connection.execute(
        "CREATE TABLE wanted AS SELECT * FROM (VALUES ('%2.jpg'), ('%9.jpg')) w(pattern)"
    )
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4800, 3))
    connection.register_model("m", module, input=[3, 40, 40], scale=255)
    source = f"read_images('{tmp_path}/*.jpg')"
    connection.execute(query.replace("{}", source)).fetchall()
    assert sorted(decoded) == expected


def test_images_answer_as_a_table_of_them_does(connection: Connection, tmp_path: Path) -> None:
    """References in every operator give what values give."""
    for number in range(6):
        pixels = np.full((2, 2), number % 4, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    source = f"read_images('{tmp_path}/*.png')"
    connection.execute(f"CREATE TABLE t AS SELECT * FROM {source}")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    connection.register_model("m", module, input=[1, 2, 2], scale=255)
    for query in (
        "SELECT * FROM {} ORDER BY filename DESC",
        "SELECT DISTINCT image FROM {} ORDER BY ALL",
        "SELECT image, count(*) FROM {} GROUP BY image ORDER BY ALL",
        "SELECT any_value(image), list(filename ORDER BY filename) FROM {} GROUP BY width",
        "SELECT list(image ORDER BY filename) FROM {}",
        "SELECT first(image ORDER BY filename DESC) FROM {}",
        "SELECT lag(image) OVER (ORDER BY filename) FROM {} ORDER BY filename",
        "SELECT a.filename FROM {} a JOIN {} b ON a.image = b.image ORDER BY ALL",
        "SELECT filename FROM {} WHERE image = (SELECT image FROM t ORDER BY filename LIMIT 1)",
        "SELECT image::INTEGER[] FROM {} ORDER BY filename",
        "SELECT image::VARCHAR FROM {} ORDER BY filename",
        "SELECT CASE WHEN filename LIKE '%3.png' THEN image END FROM {} ORDER BY filename",
        "SELECT coalesce(image, image) FROM {} ORDER BY filename",
        "SELECT image FROM {} UNION ALL SELECT image FROM t ORDER BY ALL",
        "SELECT image FROM {} EXCEPT SELECT image FROM t WHERE filename LIKE '%3.png'",
        "SELECT {'a': image} FROM {} ORDER BY filename",
        "SELECT [image, image] FROM {} ORDER BY filename",
        "SELECT image IS NULL, image IS NOT DISTINCT FROM image FROM {}",
        "SELECT PREDICT(m, image), image FROM {} ORDER BY filename",
        "SELECT s.image FROM (SELECT image, row_number() OVER () AS n FROM {}) s WHERE n > 2",
        "SELECT min(image), max(image) FROM {}",
    ):
        answers = []
        for relation in ("t", source):
            text = query.replace("FROM {}", f"FROM {relation}").replace(
                "JOIN {}", f"JOIN {relation}"
            )
            try:
                answers.append(repr(connection.execute(text).fetchall()))
            except errors.Error as error:
                assert not isinstance(error, errors.InternalError), error
                answers.append(type(error).__name__)
        assert answers[0] == answers[1], query


def test_files_of_several_pages_are_no_image(connection: Connection, tmp_path: Path) -> None:
    page = Image.new("L", (3, 2))
    other = Image.new("L", (3, 2), 9)
    for name in ("a.tif", "a.gif", "a.webp", "a.png"):
        page.save(tmp_path / name, save_all=True, append_images=[other])
        with pytest.raises(errors.UnsupportedError, match=f"{name}.*has 2 pages"):
            images(connection, tmp_path / name)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("size => 3", "size is .width, height. in pixels"),
        ("orient => 1", "orient of read_images is true or false"),
        ("ignore_errors => 'x'", "ignore_errors of read_images is true or false"),
        ("oriented => true", "no option.*orient"),
    ],
)
def test_options_are_checked(
    connection: Connection, tmp_path: Path, option: str, message: str
) -> None:
    Image.new("L", (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(errors.BindError, match=message):
        images(connection, tmp_path / "a.png", f", {option}")


# Masks


def masks(connection: Connection, path: Path, options: str = "") -> list[tuple[int, np.ndarray]]:
    rows = connection.execute(
        f"SELECT index, mask FROM read_masks('{path}'{options}) ORDER BY filename, index"
    ).fetchall()
    return [(index, np.array(mask)) for index, mask in rows]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "bool"])
def test_every_page_of_a_tiff_file_is_a_mask(
    connection: Connection, tmp_path: Path, dtype: str
) -> None:
    numbers = np.random.default_rng(1).random((3, 4, 5))
    scale = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    pages = (numbers * scale).astype(dtype) if dtype != "bool" else numbers > 0.5
    first, *others = (Image.fromarray(page) for page in pages)
    others.append(Image.fromarray(pages[0, :2, :3]))  # pages may differ in size
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    first.save(tmp_path / "b.tiff")
    found = masks(connection, tmp_path / "*.tif*")
    assert [index for index, _ in found] == [0, 1, 2, 3, 0]
    for (_, mask), page in zip(found, (*pages, pages[0, :2, :3], pages[0]), strict=True):
        assert np.array_equal(mask, page)
    counted = connection.execute(
        f"SELECT CP(mask, -, (0.5, 1.0)) FROM read_masks('{tmp_path / 'a.tif'}')"
    ).fetchall()
    wanted = [int((page.astype("float64") / scale >= 0.5).sum()) for page in pages]
    assert [row[0] for row in counted[:3]] == wanted


def test_other_files_of_several_pages_are_refused(connection: Connection, tmp_path: Path) -> None:
    grey = [Image.new("L", (3, 2), value) for value in (0, 9)]
    for name in ("a.gif", "a.png", "a.webp"):
        grey[0].save(tmp_path / name, save_all=True, append_images=grey[1:])
        with pytest.raises(errors.ConversionError, match=name):
            masks(connection, tmp_path / name)
    Image.new("L", (3, 2)).save(
        tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (3, 2))]
    )
    with pytest.raises(errors.ConversionError, match=r"page 1 of .* has mode RGB, the first L"):
        masks(connection, tmp_path / "a.tif")


def palette(indices: np.ndarray) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette([200, 10, 10, 0, 0, 0, 9, 9, 9, 255, 255, 255] + [7] * (252 * 3))
    return image


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_are_read_as_classes_when_asked(
    connection: Connection, tmp_path: Path, bits: int
) -> None:
    classes = 2**bits
    indices = np.random.default_rng(bits).integers(0, classes, (6, 7))
    palette(indices).save(tmp_path / "a.png", bits=bits)
    with pytest.raises(errors.ConversionError, match=r"a\.png.*palette.*k / 255.*'classes'"):
        masks(connection, tmp_path / "a.png")
    ((_, mask),) = masks(connection, tmp_path / "a.png", ", scale => 'classes'")
    assert np.array_equal(mask, indices)
    for number in (0, 1, classes - 1):
        found = connection.execute(
            f"SELECT CP(mask, -, (?, ?)) FROM read_masks('{tmp_path / 'a.png'}',"
            " scale => 'classes')",
            [number / 255, number / 255],
        ).fetchone()
        assert found == (int((indices == number).sum()),)


def test_classes_of_grey_images_and_of_wider_numbers(
    connection: Connection, tmp_path: Path
) -> None:
    Image.fromarray(np.array([[0, 3]], np.uint8)).save(tmp_path / "a.png")
    ((_, mask),) = masks(connection, tmp_path / "a.png", ", scale => 'Classes'")
    assert mask.tolist() == [[0, 3]]
    np.save(tmp_path / "a.npy", np.zeros((1, 2, 2), np.uint16))
    with pytest.raises(errors.ConversionError, match="uint16; classes are bytes"):
        masks(connection, tmp_path / "a.npy", ", scale => 'classes'")
    with pytest.raises(errors.BindError, match="scale of a mask is a whole number"):
        masks(connection, tmp_path / "a.png", ", scale => 'colours'")


def test_one_bit_masks_and_images_are_zeros_and_ones(
    connection: Connection, tmp_path: Path
) -> None:
    Image.fromarray(np.array([[True, False, True]])).save(tmp_path / "a.png")
    found = connection.execute(
        f"SELECT CP(mask, -, (1.0, 1.0)), IOU(mask > 0.5, mask > 0.5)"
        f" FROM read_masks('{tmp_path / 'a.png'}')"
    ).fetchall()
    assert found == [(2, 1.0)]
    assert images(connection, tmp_path / "a.png")[0].tolist() == [[[255, 0, 255]]]


def test_what_is_left_out_is_found_when_it_is_asked_for(
    connection: Connection, tmp_path: Path, decoded: list[str]
) -> None:
    """Other conditions come first, nothing is decoded twice, and binding decodes nothing."""
    some_jpegs(tmp_path)
    (tmp_path / "6.jpg").unlink()
    read = f"read_images('{tmp_path}/*.jpg', ignore_errors => true)"
    connection.execute(f"EXPLAIN SELECT image FROM {read}")
    assert decoded == []
    sql = f"SELECT image FROM {read} WHERE filename LIKE '%/4.jpg'"
    assert len(connection.execute(sql).fetchall()) == 1
    assert decoded == ["4.jpg"]
    with pytest.warns(UserWarning, match=r"left out 1 of 9 files.*3\.jpg"):
        assert len(connection.execute(f"SELECT image FROM {read}").fetchall()) == 8
    assert sorted(decoded) == sorted(
        [f"{number}.jpg" for number in range(10) if number != 6] + ["4.jpg"]
    )
