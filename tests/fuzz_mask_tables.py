"""Tables of masks for random questions: a model in Python and the SQL that makes the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tensorsql

Draw = Callable[[st.SearchStrategy[Any]], Any]

ELEMENTS = (("uint8", 255), ("uint8", 20), ("uint16", 65535), ("float32", 1), ("bool", 1))
SIZES = ((8, 8), (5, 7), (1, 1), (4, 4), (9, 6), (12, 3))
TEMPLATE = """SELECT id, image_id, kind, weight,
    CASE WHEN boxed THEN BOX_XYXY(x0, y0, x1, y1) END AS box, low, high,
    CASE WHEN present THEN mask END AS mask FROM {source} WHERE used"""


@dataclass(frozen=True)
class MaskRow:
    """One row of the table `masks`; `scale` is the stored pixel that means 1."""

    id: int
    image_id: int
    kind: int
    weight: float
    box: tuple[float, ...] | None
    low: float | None
    high: float | None
    mask: np.ndarray | None
    scale: int

    def count(self, box: tuple[float, ...] | None, low: Any, high: Any) -> int:
        """CP of a mask that is there: pixels of a 0-based half-open box within a closed range."""
        assert self.mask is not None
        return int((within(self.mask, self.scale, low, high) & inside(self.mask, box)).sum())


def within(pixels: np.ndarray, scale: int, low: Any, high: Any) -> np.ndarray:
    """bool per pixel: low <= value <= high, by exact fractions; floats at the pixels' precision."""
    if pixels.dtype.kind == "f":
        kind = pixels.dtype.type
        result: np.ndarray = (pixels >= kind(float(low))) & (pixels <= kind(float(high)))
        return result
    stored = pixels.astype(np.int64)
    return (stored >= math.ceil(low * scale)) & (stored <= math.floor(high * scale))


def inside(pixels: np.ndarray, box: tuple[float, ...] | None) -> np.ndarray:
    """bool per pixel: its 0-based column and row lie in the half-open box."""
    if box is None:
        return np.ones(pixels.shape, dtype=bool)
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    x0, y0, x1, y1 = box
    result: np.ndarray = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
    return result


def exact(value: float | None) -> Fraction | None:
    """A DOUBLE as a threshold: the decimal that its shortest text says."""
    return None if value is None else Fraction(repr(value))


@dataclass(frozen=True, repr=False)
class MaskTable:
    """Rows in the order of their row ids, all of one dtype."""

    element: str
    scale: int
    uniform: bool
    rows: tuple[MaskRow, ...]

    def __repr__(self) -> str:
        return f"{len(self.rows)} masks of {self.element}, scale {self.scale}"

    def load(self, con: tensorsql.Connection) -> None:
        """Make the table `masks`, `images` with a name for each image, and views over both."""
        self._run(con, "CREATE OR REPLACE TABLE masks AS " + TEMPLATE, self.rows)
        con.execute("CREATE OR REPLACE VIEW seen AS SELECT *, kind AS sort FROM masks")
        con.execute(
            "CREATE OR REPLACE VIEW joined AS "
            "SELECT m.*, i.name FROM masks m JOIN images i USING (image_id)"
        )
        con.execute(
            "CREATE OR REPLACE VIEW split AS SELECT m.id, m.image_id, m.kind, b.weight, b.box, "
            "m.low, b.high, m.mask FROM masks m JOIN masks b ON b.id = m.id"
        )
        con.execute(
            "CREATE OR REPLACE VIEW sparse AS SELECT a.id, a.image_id, a.kind, a.weight, m.box, "
            "m.low, m.high, m.mask FROM masks a LEFT JOIN masks m ON m.id = a.id AND m.kind <> 1"
        )

    def insert(self, con: tensorsql.Connection, rows: Sequence[MaskRow]) -> MaskTable:
        """More rows, at the end."""
        self._run(con, "INSERT INTO masks " + TEMPLATE, rows)
        return replace(self, rows=(*self.rows, *rows))

    def _run(self, con: tensorsql.Connection, sql: str, rows: Sequence[MaskRow]) -> None:
        """One statement over a registered array; a row left out keeps it from being empty."""
        blank = np.zeros((1, 1), dtype=self.element)
        spare = MaskRow(-1, 0, 0, 0.0, None, None, None, None, self.scale)
        everything = (*rows, spare)
        masks = [blank if row.mask is None else row.mask for row in everything]
        boxes = np.array([row.box or (0.0,) * 4 for row in everything])
        columns = {
            name: [getattr(row, name) for row in everything]
            for name in ("id", "image_id", "kind", "weight", "low", "high")
        }
        columns["boxed"] = [row.box is not None for row in everything]
        columns["present"] = [row.mask is not None for row in everything]
        columns["used"] = [row is not spare for row in everything]
        columns |= {
            name: boxes[:, place].tolist() for place, name in enumerate(("x0", "y0", "x1", "y1"))
        }
        columns["low"] = np.array([np.nan if v is None else v for v in columns["low"]])
        columns["high"] = np.array([np.nan if v is None else v for v in columns["high"]])
        con.register_masks("source", masks, columns, scale=self.scale)
        text = sql.format(source="source")
        for name in ("low", "high"):
            text = text.replace(f" {name},", f" NULLIF({name}, 'nan'::DOUBLE) AS {name},")
        con.execute(text)
        con.unregister("source")


def _pixels(random: np.random.Generator, size: tuple[int, int], element: str, scale: int) -> Any:
    """All zero, one blob or noise; values on twentieths, sometimes beside them."""
    height, width = size
    style = random.integers(0, 5)
    values = random.integers(0, 21, size) / 20
    if style == 0:
        values[:] = 0
    elif style in (1, 2):
        rows, columns = np.mgrid[:height, :width]
        y, x = random.integers(0, height), random.integers(0, width)
        far = np.maximum(np.abs(rows - y), np.abs(columns - x))
        values = np.round(np.clip(1 - far / random.integers(2, 6), 0, 1) * 20) / 20
    if element == "float32":
        return values.astype(np.float32)
    stored = np.ceil(values * scale - 1e-9).astype(np.int64)
    if style == 4 and scale > 20:
        stored += random.integers(-1, 2, size)
    return stored.clip(0, scale).astype(element)


def _row(random: np.random.Generator, id: int, element: str, scale: int, size: Any) -> MaskRow:
    corner, extent = random.integers(-3, 9, 2), random.integers(0, 9, 2)
    box = tuple(float(value) for value in (*corner, *(corner + extent)))
    if random.random() < 0.2:
        box = tuple(value + 0.5 for value in box)
    low, high = (random.integers(-2, 23, 2) / 20).tolist()
    return MaskRow(
        id,
        int(random.integers(0, 6)),
        int(random.integers(0, 3)),
        float(random.integers(-2, 7)) / 4,
        None if random.random() < 0.1 else box,
        None if random.random() < 0.1 else low,
        None if random.random() < 0.1 else max(low, high) if random.random() < 0.8 else high,
        None if random.random() < 0.07 else _pixels(random, size, element, scale),
        scale,
    )


@st.composite
def rows_like(draw: Draw, table: MaskTable, first: int) -> tuple[MaskRow, ...]:
    """New rows for a table, their ids from `first` on."""
    random = np.random.default_rng(draw(st.integers(0, 2**20)))
    size = draw(st.sampled_from((1, 3, 9)))
    known = [row.mask.shape for row in table.rows if row.mask is not None]
    sizes = known if table.uniform and known else SIZES[:1] if table.uniform else SIZES
    return tuple(
        _row(random, first + n, table.element, table.scale, sizes[random.integers(len(sizes))])
        for n in range(size)
    )


@st.composite
def mask_tables(draw: Draw) -> MaskTable:
    """A table of 0 to 40 masks."""
    element, scale = draw(st.sampled_from(ELEMENTS))
    count = draw(st.sampled_from((40, 25, 12, 3, 1, 0)))
    uniform = draw(st.booleans())
    sizes = [draw(st.sampled_from(SIZES))] if uniform else list(SIZES)
    random = np.random.default_rng(draw(st.integers(0, 2**20)))
    rows = tuple(
        _row(random, id, element, scale, sizes[random.integers(len(sizes))]) for id in range(count)
    )
    return MaskTable(element, scale, uniform, rows)
