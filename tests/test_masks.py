"""Masks: reading them, CP and its relatives, compared with brute force over pixels."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tensorsql
from tensorsql.errors import BindError, ConversionError, CorruptError, DataError

FIGURE_2 = """
.1 .2 .4 .1 .1
.4 .8 .5 .1 .1
.5 .9 .5 .1 .1
.1 .9 .6 .1 .1
.3 .3 .5 .1 .1
"""
FIGURE_4 = """
.1 .2 .4 .1 .1
.4 .3 .5 .1 .1
.5 .8 .8 .6 .6
.1 .8 .8 .6 .4
.3 .3 .4 .2 .2
"""


def figure(text: str) -> np.ndarray:
    return np.array([line.split() for line in text.split("\n") if line], dtype=np.float32)


def rows(con: tensorsql.Connection, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
    return con.execute(sql, parameters).fetchall()


@pytest.fixture
def con() -> Iterator[tensorsql.Connection]:
    connection = tensorsql.connect()
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("text", "low", "high", "count"), [(FIGURE_2, 0.85, 1.0, 2), (FIGURE_4, 0.6, 0.8, 7)]
)
def test_published_figures(
    con: tensorsql.Connection, text: str, low: float, high: float, count: int
) -> None:
    con.register_masks("m", figure(text)[None])
    assert rows(con, f"SELECT CP(mask, -, ({low}, {high})) FROM m") == [(count,)]
    assert rows(con, "SELECT CP(mask, FULL, (?, ?)) FROM m", (low, high)) == [(count,)]


def brute(pixels: np.ndarray, box: Any, low: Fraction, high: Fraction, scale: int) -> int:
    """CP by definition, pixel by pixel, for integer masks."""
    height, width = pixels.shape
    return sum(
        box[0] <= x < box[2]
        and box[1] <= y < box[3]
        and low <= Fraction(int(pixels[y, x]), scale) <= high
        for y in range(height)
        for x in range(width)
    )


ENDS = ["0", "0.2", "0.25", "0.6", "0.8", "0.85", "1", "1.0", "-0.5", "1.5", "0.333333"]


@pytest.mark.parametrize(("element", "scale"), [("uint8", 255), ("uint16", 65535), ("bool", 1)])
def test_exact_for_integers(con: tensorsql.Connection, element: str, scale: int) -> None:
    """Thresholds between two stored values and on them; boxes that leave the mask."""
    random = np.random.default_rng(3)
    near = np.array([int(Fraction(end) * scale) for end in ENDS]).clip(0, scale)
    pixels = (random.choice(near, (6, 5, 7)) + random.integers(-1, 2, (6, 5, 7))).clip(0, scale)
    con.register_masks("m", pixels.astype(element))
    for number in range(40):
        low, high = random.choice(ENDS, 2)
        if Fraction(low) > Fraction(high):
            low, high = high, low
        x, y = random.integers(-2, 8, 2).tolist()
        width, height = random.integers(0, 9, 2).tolist()
        box = (x, y, x + width, y + height)
        ends = "?, ?" if number % 2 else f"{low}, {high}"
        given = (float(low), float(high)) if number % 2 else ()
        sql = f"SELECT CP(mask, BOX_XYWH({x}, {y}, {width}, {height}), ({ends})) FROM m"
        expected = [brute(mask, box, Fraction(low), Fraction(high), scale) for mask in pixels]
        assert [count for (count,) in rows(con, sql, given)] == expected


def test_float_masks_round_the_threshold(con: tensorsql.Connection) -> None:
    """0.6 in a float32 mask is the float32 nearest to 0.6, which a double comparison would miss."""
    con.register_masks("m", np.full((1, 2, 3), 0.6, dtype=np.float32))
    assert rows(con, "SELECT CP(mask, -, (0.6, 0.6)), CP(mask, -, (0.61, 1.0)) FROM m") == [(6, 0)]


def test_regions(con: tensorsql.Connection) -> None:
    """Corner pixels count from 1 and are included; detectors' boxes from 0, half-open."""
    con.register_masks("m", np.full((1, 10, 20), 255, dtype=np.uint8))
    sql = """SELECT CP(mask, ((2, 3), (4, 3)), (1, 1)), CP(mask, BOX_XYXY(1, 2, 4, 3), (1, 1)),
        CP(mask, BOX_XYXY(1.5, 2.5, 3.5, 3.5), (1, 1)), CP(mask, ((15, 9), (99, 99)), (1, 1)),
        CP(mask, BOX_XYXY(5, 5, 5, 9), (1, 1)), CP(mask, BOX_XYXY(30, 30, 40, 40), (0, 1)),
        AREA(mask, ((15, 9), (99, 99))), AREA(mask, -), AREA(BOX_XYXY(1, 2, 4, 3.5)),
        CP(mask, ((CAST(index AS INTEGER) + 2, 3), (4, 3)), (1, 1)) FROM m"""
    assert rows(con, sql) == [(3, 3, 2, 12, 0, 0, 12, 200, 4.5, 3)]


def test_null_gives_null(con: tensorsql.Connection) -> None:
    con.register_masks("m", np.ones((2, 2, 2), dtype=np.uint8), {"low": [0.0, 1.0]})
    con.execute(
        "CREATE TABLE t AS SELECT CASE WHEN index = 0 THEN mask END AS mask, "
        "CASE WHEN index = 1 THEN BOX_XYXY(0, 0, 1, 1) END AS box, NULLIF(low, 0.0) AS low FROM m"
    )
    sql = "SELECT CP(mask, -, (0, 1)), CP(mask, box, (0, 1)), CP(mask, -, (low, 1)) FROM t"
    assert rows(con, sql) == [(4, None, None), (None, None, None)]


def test_levels_from_columns(con: tensorsql.Connection) -> None:
    """An empty range counts nothing; NaN is greater than every number."""
    nan = float("nan")
    columns = {"low": [0.5, 0.9, -3.0, nan, 0.0], "high": [1.0, 0.1, 9.0, 1.0, nan]}
    con.register_masks("m", np.full((5, 2, 2), 128, dtype=np.uint8), columns)
    sql = "SELECT CP(mask, -, (low, high)) FROM m ORDER BY index"
    assert rows(con, sql) == [(4,), (0,), (4,), (0,), (4,)]


def test_iou(con: tensorsql.Connection) -> None:
    pixels = np.zeros((3, 4, 4), dtype=np.uint8)
    pixels[0, :2], pixels[1, :, :2] = 255, 255
    con.register_masks("m", pixels)
    sql = "SELECT IOU(a.mask > 0.5, b.mask > 0.5) FROM m a, m b WHERE a.index = 0 ORDER BY b.index"
    assert rows(con, sql) == [(1.0,), (4 / 12,), (0.0,)]
    sql = "SELECT IOU(mask > 0.5, ((1, 1), (2, 2))) FROM m ORDER BY index"
    assert rows(con, sql) == [(0.5,), (0.5,), (0.0,)]
    sql = "SELECT IOU(a.mask > 0.5, b.mask > 0.5) FROM m a, m b WHERE a.index = 2 AND b.index = 2"
    assert rows(con, sql) == [(None,)]


def test_aggregates(con: tensorsql.Connection) -> None:
    random = np.random.default_rng(5)
    pixels = random.integers(0, 256, (12, 4, 5), dtype=np.uint8)
    con.register_masks("m", pixels, {"g": np.arange(12) % 4})
    sql = """SELECT g, CP(INTERSECT(mask > 0.3), -, (1, 1)), CP(UNION(mask > 0.7), -, (1, 1)),
        CP(INTERSECT(mask), -, (0.2, 0.6)), CP(UNION(mask), -, (0.2, 0.9)),
        CP(AVG(mask), -, (0.4, 0.6)), CP(INTERSECT(mask > 0.3), -, (0, 0))
        FROM m GROUP BY g ORDER BY g"""
    expected = []
    for group in range(4):
        own = pixels[group::4]
        low, high, mean = own.min(0), own.max(0), own.sum(0) / (3 * 255)
        above = (own > 0.3 * 255).all(0)
        expected.append(
            (
                group,
                int(above.sum()),
                int((own > 0.7 * 255).any(0).sum()),
                int(((low >= 51) & (low <= 153)).sum()),
                int(((high >= 51) & (high <= 229)).sum()),
                int(((mean >= 0.4) & (mean <= 0.6)).sum()),
                int((~above).sum()),
            )
        )
    assert rows(con, sql) == expected


def test_one_group_has_one_size(con: tensorsql.Connection) -> None:
    con.register_masks("m", [np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)])
    with pytest.raises(DataError, match="different sizes"):
        rows(con, "SELECT CP(UNION(mask), -, (0, 1)) FROM m")


def test_sizes_mix_in_one_table(con: tensorsql.Connection) -> None:
    masks = [np.full((height, 3), 255, np.uint8) for height in (1, 4, 2, 4)]
    con.register_masks("m", masks)
    assert rows(con, "SELECT CP(mask, ((1, 1), (2, 3)), (1, 1)) FROM m") == [(2,), (6,), (4,), (6,)]


def test_read_masks(con: tensorsql.Connection, tmp_path: Path) -> None:
    first, second = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.full((2, 2), 255, np.uint8)
    np.save(tmp_path / "a.npy", first)
    np.save(tmp_path / "b.npy", second)
    Image.fromarray(second).save(tmp_path / "c.png")
    sql = f"SELECT filename, index, CP(mask, -, (0, 1)) FROM read_masks('{tmp_path}/*')"
    names = [str(tmp_path / name) for name in ("a.npy", "a.npy", "b.npy", "c.png")]
    assert rows(con, sql) == list(zip(names, [0, 1, 0, 0], [12, 12, 4, 4], strict=True))
    sql = f"SELECT CP(mask, -, (0.5, 1)) FROM read_masks('{tmp_path}/a.npy', scale => 23)"
    assert rows(con, sql) == [(0,), (12,)]


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.array([[0.5, np.nan]], np.float32), ConversionError, "NaN"),
        (np.array([[0.5, 1.5]], np.float32), ConversionError, "outside 0 … 1"),
        (np.array([[-1, 3]], np.int32), ConversionError, "no usual scale"),
        (np.zeros(3, np.uint8), ConversionError, r"\[n, h, w\]"),
        (np.zeros((2, 2), np.complex64), ConversionError, "complex64"),
    ],
)
def test_bad_files_are_named(
    con: tensorsql.Connection, tmp_path: Path, array: np.ndarray, error: Any, words: str
) -> None:
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(error, match=words) as caught:
        rows(con, f"SELECT CP(mask, -, (0, 1)) FROM read_masks('{tmp_path}/bad.npy')")
    assert "bad.npy" in str(caught.value)


def test_files_that_are_no_masks(con: tensorsql.Connection, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "rgb.png")
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "text.png").write_text("hello")
    for name, error in (
        ("rgb.png", ConversionError),
        ("text.npy", CorruptError),
        ("text.png", CorruptError),
    ):
        with pytest.raises(error, match=name):
            rows(con, f"SELECT index FROM read_masks('{tmp_path}/{name}')")


def test_bad_scales(con: tensorsql.Connection) -> None:
    pixels = np.zeros((1, 2, 2), np.uint8)
    for scale in (0, -3, 1.5):
        with pytest.raises(BindError, match="whole number from 1 to"):
            con.register_masks("m", pixels, scale=scale)  # type: ignore[arg-type]
    with pytest.raises(BindError, match="2 rows, not 1"):
        con.register_masks("m", pixels, {"x": [1, 2]})


def test_literal_ranges_must_not_be_empty(con: tensorsql.Connection) -> None:
    con.register_masks("m", np.zeros((1, 2, 2), np.uint8))
    for call in ("CP(mask, -, (0.9, 0.1))", "CP(mask, ((3, 1), (1, 1)), (0, 1))"):
        with pytest.raises(BindError, match="is empty"):
            rows(con, f"SELECT {call} FROM m")


def test_decimal_columns_compare_exactly(con: tensorsql.Connection) -> None:
    """0.6 * 255 = 153 exactly, which doubles miss by one."""
    con.register_masks("m", np.full((1, 1, 1), 153, np.uint8))
    sql = "SELECT CP(mask, -, (CAST(? AS DECIMAL(4, 2)), 1)) FROM m"
    assert rows(con, sql, (Decimal("0.60"),)) == [(1,)]
    assert rows(con, sql, (Decimal("0.61"),)) == [(0,)]
