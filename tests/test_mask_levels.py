"""Thresholds and stored levels: a level always meets its own quotient, written in any way."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor, inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tensorsql
from tensorsql.errors import ConversionError, DataError
from tensorsql.storage.masks.levels import lower_levels, upper_levels

SAMPLED = {"uint8": range(256), "uint16": range(0, 65536, 257), "float32": range(256)}
SCALES = {"uint8": 255, "uint16": 65535, "float32": 255}


@pytest.fixture
def con() -> Iterator[tensorsql.Connection]:
    connection = tensorsql.connect()
    yield connection
    connection.close()


def load_levels(con: tensorsql.Connection, element: str) -> int:
    """A table `m` of 1 × 4 masks, each of one sampled level `k` and its neighbours; the scale."""
    scale, levels = SCALES[element], np.array(SAMPLED[element])
    around = np.stack([levels - 1, levels, levels, levels + 1], 1).clip(0, scale)
    pixels = around.astype(element)[:, None, :]
    con.register_masks("source", pixels, {"k": levels}, scale=scale)
    con.execute("CREATE TABLE m AS SELECT index, k, mask FROM source")
    return scale


QUOTIENTS = [
    "CAST(k AS DOUBLE) / {s}",
    "CAST(CAST(k AS DOUBLE) / {s} AS REAL)",
    "CAST(k AS REAL) / CAST({s} AS REAL)",
    "1.0::DOUBLE * k / {s}",
]


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
@pytest.mark.parametrize("quotient", QUOTIENTS)
@pytest.mark.parametrize("element", SAMPLED)
def test_each_level_meets_its_quotient(
    con: tensorsql.Connection, element: str, quotient: str, indexed: bool
) -> None:
    """At the ends the neighbour is clipped to the level itself."""
    scale = load_levels(con, element)
    if indexed:
        con.execute("CREATE INDEX i ON m USING CHI (mask) WITH (cell = 1, bins = 51)")
    q = quotient.format(s=scale)
    union = f"SELECT CP(UNION(mask > {q}), -, (1, 1)) AS n FROM m GROUP BY k ORDER BY k"
    counts = con.execute(
        f"SELECT k, CP(mask, -, ({q}, {q})), CP(mask, -, ({q}, 1)), CP(mask, -, (0, {q})), "
        f"CAST(round(IOU(mask > {q}, ((1, 1), (4, 1))) * 4) AS BIGINT) FROM m ORDER BY k"
    ).fetchall()
    above = [n for (n,) in con.execute(union).fetchall()]
    for (k, equal, at_least, at_most, over), unioned in zip(counts, above, strict=True):
        lowest, highest = k == 0, k == scale
        assert equal == 2 + lowest + highest
        assert (at_least, at_most) == (3 + lowest, 3 + highest)
        assert over == unioned == 1 - highest
    filtered = f"SELECT count(*) FROM m WHERE CP(mask, -, ({q}, {q})) >= 2"
    assert con.execute(filtered).fetchall() == [(len(SAMPLED[element]),)]


@pytest.mark.parametrize("k", [1, 3, 51, 128, 200, 254])
def test_parameters_and_folded_quotients(con: tensorsql.Connection, k: int) -> None:
    con.register_masks("m", np.array([[[k - 1, k, k + 1]]], np.uint8))
    sql = (
        f"SELECT CP(mask, -, ({k}/255, {k}/255)), CP(mask, -, (?, ?)), CP(mask, -, ({k / 255}, 1))"
    )
    assert con.execute(f"{sql} FROM m", [k / 255, k / 255]).fetchall() == [(1, 1, 2)]


@pytest.mark.parametrize(("element", "scale"), [("uint8", 255), ("uint16", 65535), ("int32", 1000)])
def test_decimals_compare_as_their_exact_values(element: str, scale: int) -> None:
    """Every decimal of up to four places, against rounding of the exact product."""
    exact = [Fraction(i, 10_000) for i in range(10_001)]
    thresholds = np.array([float(each) for each in exact])
    lower, upper = (rule(thresholds, scale, element) for rule in (lower_levels, upper_levels))
    assert lower.tolist() == [ceil(each * scale) for each in exact]
    assert upper.tolist() == [floor(each * scale) for each in exact]


@pytest.mark.parametrize("element", ["uint8", "uint16", "uint32", "float16", "float32", "float64"])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_levels_enclose_what_passes(element: str, precision: Any) -> None:
    """The level is the first (last) that passes the comparison it stands for."""
    scale = 10_000 if element == "float16" else 255
    drawn = np.random.default_rng(1).random(200) * 1.2 - 0.1
    thresholds = np.array([*drawn, 0.0, 1.0, 0.5, -0.0, inf, -inf, nan]).astype(precision)
    kind = np.dtype(element)
    step = [lambda x: x - 1, lambda x: x + 1]
    if kind.kind == "f":
        step = [
            lambda x: np.nextafter(x, -kind.type(inf)),
            lambda x: np.nextafter(x, kind.type(inf)),
        ]
    coarse = min(np.dtype(precision), kind, key=lambda d: d.itemsize) if kind.kind == "f" else None

    def value(level: Any) -> Any:
        return np.dtype(coarse or precision).type(np.float64(level) / scale)

    def passes(level: Any, threshold: Any) -> tuple[bool, bool]:
        wanted = np.dtype(coarse or precision).type(threshold)
        return bool(value(level) >= wanted), bool(value(level) <= wanted)

    lower, upper = (rule(thresholds, scale, element) for rule in (lower_levels, upper_levels))
    for threshold, low, high in zip(thresholds, lower, upper, strict=True):
        if not np.isfinite(threshold):
            above_all = threshold != -inf
            assert (low > scale) == above_all and (high < 0) == (not above_all)
            continue
        if low <= scale:
            assert passes(low, threshold)[0]
        if low > 0:
            assert not passes(step[0](low), threshold)[0]
        if high >= 0:
            assert passes(high, threshold)[1]
        if high < scale:
            assert not passes(step[1](high) if high >= 0 else 0, threshold)[1]


def test_booleans_count_whatever_byte_means_true(con: tensorsql.Connection, tmp_path: Path) -> None:
    """1-bit images through Pillow hold 255, other programs anything that is not 0."""
    odd = np.array([[[0, 255, 1], [2, 0, 0]]], np.uint8).view(np.bool_)
    np.save(tmp_path / "odd.npy", odd)
    Image.fromarray((odd[0].view(np.uint8) > 0) * np.uint8(255)).convert("1").save(
        tmp_path / "a.png"
    )
    con.register_masks("m", odd)
    con.register_masks("listed", list(odd))
    con.execute("CREATE TABLE t AS SELECT index, mask FROM m")
    con.execute("CREATE INDEX i ON t USING CHI (mask) WITH (cell = 2, bins = 2)")
    for source in ("m", "listed", "t", f"read_masks('{tmp_path}/odd.npy')"):
        counts = "CP(mask, -, (1, 1)), CP(mask, -, (0, 0)), IOU(mask > 0, mask > 0)"
        assert con.execute(f"SELECT {counts} FROM {source}").fetchall() == [(3, 3, 1.0)], source
    image = f"SELECT CP(mask, -, (0.5, 1)) FROM read_masks('{tmp_path}/a.png')"
    assert con.execute(image).fetchall() == [(3,)]
    ((value,),) = con.execute(f"SELECT value FROM read_npy('{tmp_path}/odd.npy')").fetchall()
    assert value.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_masks_of_two_sizes_do_not_compare(con: tensorsql.Connection) -> None:
    masks = [np.full((2, 3), 255, np.uint8), np.full((3, 2), 255, np.uint8)]
    con.register_masks("m", masks)
    pairs = "FROM m a, m b WHERE a.index <= b.index"
    with pytest.raises(DataError, match="different sizes, 3 × 2 and 2 × 3 pixels"):
        con.execute(f"SELECT IOU(a.mask > 0.5, b.mask > 0.5) {pairs}").fetchall()
    same = f"SELECT IOU(a.mask > 0.5, b.mask > 0.5) {pairs} AND a.index = b.index"
    assert con.execute(same).fetchall() == [(1.0,), (1.0,)]
    guarded = f"SELECT CASE WHEN a.index = b.index THEN IOU(a.mask > 0, b.mask > 0) END {pairs}"
    assert sorted(con.execute(guarded).fetchall(), key=str) == [(1.0,), (1.0,), (None,)]


@pytest.mark.parametrize("other", ["1.0", "0.25", "1", "'inf'::DOUBLE", "0.5::REAL", "2::HUGEINT"])
def test_nan_is_an_end_like_any_other(con: tensorsql.Connection, other: str) -> None:
    """NaN is greater than every number: beyond all pixels below, no limit above."""
    con.register_masks("m", np.array([[[0.0, 0.25, 0.5, 1.0]]]))
    for greatest in ("'nan'::DOUBLE", "'nan'::REAL"):
        ends = f"{other}, {greatest}", f"{other}, 'inf'::DOUBLE"
        above = f"SELECT CP(mask, -, ({ends[0]})) = CP(mask, -, ({ends[1]})) FROM m"
        assert con.execute(above).fetchall() == [(True,)]
        for ends in ((greatest, other), (greatest, greatest)):
            below = f"SELECT CP(mask, -, ({ends[0]}, {ends[1]})) FROM m"
            assert con.execute(below).fetchall() == [(0,)]
        region = f"SELECT CP(mask, ((1, 1), ({greatest}, 1.0)), (0, 1)) FROM m"
        assert con.execute(region).fetchall() == [(0,)]


def test_thresholds_written_as_text_are_numbers(con: tensorsql.Connection) -> None:
    con.register_masks("m", np.array([[[0.0, 0.3, 0.7, 1.0]]]))
    single = "SELECT CP(mask, -, ({0}, 1)), CP(mask, -, (0, {0})), IOU(mask > {0}, mask > 0) FROM m"
    assert con.execute(single.format("'0.5'")).fetchall() == [(2, 2, 2 / 3)]
    assert con.execute(single.format("?"), ["0.5"] * 3).fetchall() == [(2, 2, 2 / 3)]
    union = "SELECT CP(UNION(mask > '0.5'), -, (1, 1)) FROM m"
    assert con.execute(union).fetchall() == [(2,)]


def test_booleans_have_no_other_scale(con: tensorsql.Connection, tmp_path: Path) -> None:
    """TRUE of scale 255 would be 1/255 and count nowhere."""
    Image.new("1", (3, 2), 1).save(tmp_path / "a.png")
    with pytest.raises(ConversionError, match=r"are booleans.*leave the scale out"):
        con.execute(f"SELECT mask FROM read_masks('{tmp_path}/a.png', scale => 255)")
    with pytest.raises(ConversionError, match="are booleans"):
        con.register_masks("m", np.ones((1, 2, 2), np.bool_), scale=2)
    con.register_masks("m", np.ones((1, 2, 2), np.bool_), scale=1)


def test_masked_arrays_do_not_lose_what_they_hide(con: tensorsql.Connection) -> None:
    hidden = np.ma.masked_array(np.ones((2, 2, 2)), mask=np.eye(2) * np.ones((2, 1, 1)))
    for masks in (hidden, list(hidden)):
        with pytest.raises(ConversionError, match="a pixel cannot be NULL"):
            con.register_masks("m", masks)
    con.register_masks("m", np.ma.masked_array(np.ones((1, 2, 2))))
    assert con.execute("SELECT CP(mask, -, (1, 1)) FROM m").fetchall() == [(4,)]
    assert con.execute("SELECT ?", [np.ma.masked]).fetchall() == [(None,)]
