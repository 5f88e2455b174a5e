"""Time mask queries by their index, by a scan, and in plain NumPy: `python bench/masks.py`.

The masks are synthetic saliency maps: one or two smooth blobs, two models per image, some empty.
The five queries have the published forms, their regions and counts scaled to the masks' size. No
time is printed for a query of which one of the three answers differs.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import tensorsql

CHUNK = 500
MODELS = 2
TOP = 25
PUBLISHED_SIZE = 224
Answer = list[int]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Masks:
    """Pixels [n, size, size] of uint8; masks 2i and 2i + 1 are those of image i."""

    pixels: NDArray[np.uint8]
    boxes: Integers  # [n, 4]: x0, y0, x1, y1, one box per image

    @property
    def size(self) -> int:
        """Pixels per side."""
        return int(self.pixels.shape[1])

    def scaled(self, pixels: int) -> int:
        """A length published for masks of 224 × 224."""
        return round(pixels * self.size / PUBLISHED_SIZE)


def synthetic_masks(count: int, size: int, seed: int) -> Masks:
    """The two models of an image see its object at nearly the same place; 6 % are all zero."""
    random = np.random.default_rng(seed)
    images = count // MODELS
    centers = random.uniform(0.2, 0.8, (images, 2)).repeat(MODELS, axis=0)
    count = len(centers)
    pixels = np.empty((count, size, size), dtype=np.uint8)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        pixels[part] = _blobs(random, centers[part], size)
    pixels[random.random(count) < 0.06] = 0
    half = random.uniform(0.15, 0.4, (images, 2)).repeat(MODELS, axis=0)
    corners = np.hstack([centers - half, centers + half]).clip(0, 1)
    return Masks(pixels, np.rint(corners * size).astype(np.int64))


def _blobs(random: np.random.Generator, centers: np.ndarray, size: int) -> np.ndarray:
    count = len(centers)
    places = np.linspace(0, 1, size, dtype=np.float32)
    total = np.zeros((count, size, size), dtype=np.float32)
    for strength, spread in ((1.0, 0.08), (random.random((count, 1, 1)), 0.25)):
        middle = centers + random.normal(0, spread, centers.shape)
        width = random.uniform(0.08, 0.3, centers.shape)
        bell = np.exp(-(((places - middle[..., None]) / width[..., None]) ** 2)).astype(np.float32)
        total += (strength * bell[:, 1, :, None] * bell[:, 0, None, :]).astype(np.float32)
    largest = total.max(axis=(1, 2), keepdims=True)
    levels: np.ndarray = np.rint(total / np.maximum(largest, 1e-6) * 255)
    return levels


def connect(masks: Masks) -> tensorsql.Connection:
    """A database in memory with the indexed table `masks`."""
    con = tensorsql.connect()
    numbers = np.arange(len(masks.pixels))
    x0, y0, x1, y1 = masks.boxes.T
    columns = {"mask_id": numbers, "image_id": numbers // MODELS, "model_id": numbers % MODELS}
    columns |= {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
    con.register_masks("source", masks.pixels, columns)
    con.execute(
        "CREATE TABLE masks AS SELECT mask_id, image_id, model_id, "
        "BOX_XYWH(x, y, width, height) AS object_box, mask FROM source"
    )
    con.execute("CREATE INDEX masks_chi ON masks USING CHI (mask)")
    return con


@dataclass(frozen=True)
class Query:
    """A query and the same in NumPy; without an order, rows compare as sets."""

    name: str
    sql: str
    numpy: Callable[[], Answer]


def queries(masks: Masks) -> Iterator[Query]:
    """The published five."""
    first, last = masks.scaled(50), masks.scaled(200)
    roi = f"(({first}, {first}), ({last}, {last}))"
    box = np.array([first - 1, first - 1, last, last])
    few, many = (round(n * (masks.size / PUBLISHED_SIZE) ** 2) for n in (5000, 4000))
    scan = NumpyScan(masks)
    yield Query(
        "Q1 filter, constant ROI",
        f"SELECT mask_id FROM masks WHERE CP(mask, {roi}, (0.6, 1.0)) > {few} AND model_id = 1",
        lambda: scan.filter(scan.constant(box, 153, slice(1, None, MODELS)), few, 1, MODELS),
    )
    yield Query(
        "Q2 filter, object box",
        f"SELECT mask_id FROM masks WHERE CP(mask, object_box, (0.8, 1.0)) > {many}",
        lambda: scan.filter(scan.boxes(204), many),
    )
    yield Query(
        "Q3 top 25, constant ROI",
        f"SELECT mask_id FROM masks ORDER BY CP(mask, {roi}, (0.8, 1.0)) DESC LIMIT {TOP}",
        lambda: scan.top(scan.constant(box, 204)),
    )
    yield Query(
        "Q4 top 25 images, AVG(CP)",
        "SELECT image_id FROM masks GROUP BY image_id "
        f"ORDER BY AVG(CP(mask, object_box, (0.8, 1.0))) DESC LIMIT {TOP}",
        lambda: scan.top(scan.boxes(204).reshape(-1, MODELS).sum(axis=1)),
    )
    yield Query(
        "Q5 top 25 images, CP(INTERSECT)",
        "SELECT image_id FROM masks GROUP BY image_id, object_box "
        f"ORDER BY CP(INTERSECT(mask), object_box, (0.8, 1.0)) DESC LIMIT {TOP}",
        lambda: scan.top(scan.intersections(204)),
    )


class NumpyScan:
    """The baseline: count the pixels of every region, a chunk or a mask at a time."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks

    def constant(self, box: Integers, level: int, chosen: slice = slice(None)) -> Integers:
        """Pixels of at least this level in one box, per mask."""
        x0, y0, x1, y1 = box.tolist()
        region = self._masks.pixels[chosen, y0:y1, x0:x1]
        parts = []
        for start in range(0, len(region), CHUNK):
            inside = (region[start : start + CHUNK] >= level).view(np.uint8)
            parts.append(inside.sum(axis=1, dtype=np.uint16).sum(axis=1, dtype=np.int64))
        return np.concatenate(parts)

    def boxes(self, level: int) -> Integers:
        """The same, each mask with its own box."""
        both = zip(self._masks.pixels, self._masks.boxes.tolist(), strict=True)
        counts = [np.count_nonzero(mask[y0:y1, x0:x1] >= level) for mask, (x0, y0, x1, y1) in both]
        return np.array(counts)

    def intersections(self, level: int) -> Integers:
        """The same in the pixelwise minimum of an image's masks."""
        pixels, corners = self._masks.pixels, self._masks.boxes[::MODELS].tolist()
        counts = []
        for image, (x0, y0, x1, y1) in enumerate(corners):
            members = pixels[image * MODELS : (image + 1) * MODELS, y0:y1, x0:x1]
            counts.append(np.count_nonzero(members.min(axis=0) >= level))
        return np.array(counts)

    def filter(self, counts: Integers, limit: int, first: int = 0, step: int = 1) -> Answer:
        """Numbers of the masks that count more; mask i is number first + i * step."""
        numbers: Answer = (np.flatnonzero(counts > limit) * step + first).tolist()
        return numbers

    def top(self, counts: Integers) -> Answer:
        """The first 25 by count, ties in order of their numbers."""
        numbers: Answer = np.argsort(-counts, kind="stable")[:TOP].tolist()
        return numbers


@dataclass(frozen=True)
class Measurement:
    """Median milliseconds with index, without and in NumPy, masks verified; or what is wrong."""

    name: str
    times: Sequence[float] = ()
    verified: int = 0
    wrong: str = ""


def measure(con: tensorsql.Connection, query: Query, repeat: int) -> Measurement:
    """Check the three answers, then time the three in turns."""
    ways: dict[str, Callable[[], tuple[float, Answer]]] = {
        "index": lambda: _run(con, query, True),
        "scan": lambda: _run(con, query, False),
        "numpy": lambda: (time.perf_counter(), query.numpy()),
    }
    answers = {name: way()[1] for name, way in ways.items()}
    if "LIMIT" not in query.sql:
        answers = {name: sorted(answer) for name, answer in answers.items()}
    differing = [name for name in answers if answers[name] != answers["numpy"]]
    if differing:
        return Measurement(query.name, wrong=f"{' and '.join(differing)} not as numpy")
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeat):
        for series, way in zip(times, ways.values(), strict=True):
            started = way()[0]
            series.append(1000 * (time.perf_counter() - started))
    return Measurement(query.name, [statistics.median(t) for t in times], _verified(con, query))


def _run(con: tensorsql.Connection, query: Query, use_indexes: bool) -> tuple[float, Answer]:
    """When the query itself began, and its answer."""
    con.execute(f"SET use_indexes = {str(use_indexes).lower()}")
    started = time.perf_counter()
    rows = con.execute(query.sql).fetchall()
    return started, [row[0] for row in rows]


def _verified(con: tensorsql.Connection, query: Query) -> int:
    """How many masks the indexed query read, as EXPLAIN ANALYZE counts them."""
    con.execute("SET use_indexes = true")
    lines = con.execute(f"EXPLAIN ANALYZE {query.sql}").fetchall()
    text = " ".join(str(line[0]) for line in lines)
    match = re.search(r"members\s+(\d+)", text) or re.search(r"verified\s+(\d+)", text)
    return int(match[1]) if match else 0


def report(measurements: Sequence[Measurement], masks: Masks) -> Table:
    """A table of medians; the ratio says how many times as fast as NumPy the index is.

    "scan" is the same SQL with `SET use_indexes = false`, "verified" the masks whose pixels the
    index could not spare.
    """
    title = f"{len(masks.pixels):,} masks of {masks.size} × {masks.size}, median ms"
    table = Table(title=title)
    table.add_column("query", no_wrap=True)
    for name in ("index", "scan", "numpy", "ratio", "verified"):
        table.add_column(name, justify="right")
    for one in measurements:
        if one.wrong:
            table.add_row(one.name, f"wrong: {one.wrong}")
            continue
        indexed, _, numpy = one.times
        shown = [f"{time:.1f}" for time in one.times]
        table.add_row(one.name, *shown, f"{numpy / indexed:.1f}", f"{one.verified:,}")
    return table


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the exit status is 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="bench/masks.py", description=__doc__)
    parser.add_argument("--masks", type=int, default=20_000, help="how many (default 20000)")
    parser.add_argument("--size", type=int, default=112, help="pixels per side (default 112)")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each (default 7)")
    parser.add_argument("--seed", type=int, default=1, help="of the masks (default 1)")
    options = parser.parse_args(arguments)
    masks = synthetic_masks(options.masks, options.size, options.seed)
    con = connect(masks)
    measurements = [measure(con, query, options.repeat) for query in queries(masks)]
    Console().print(report(measurements, masks))
    return 1 if any(one.wrong for one in measurements) else 0


if __name__ == "__main__":
    sys.exit(main())
