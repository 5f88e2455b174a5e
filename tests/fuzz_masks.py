"""Hypothesis strategies that make tables of masks and compose questions about them.

Every part of a question is a `Term`: SQL text and what it means, computed pixel by pixel in NumPy
and row by row in Python, with the NULL and NaN of SQL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cmp_to_key
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
SOURCES = (
    "masks",
    "masks",
    "masks",
    "seen",
    "joined",
    "(SELECT * FROM masks ORDER BY id)",
)


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


@dataclass(frozen=True)
class MaskTable:
    """Rows in the order of their row ids, all of one dtype."""

    element: str
    scale: int
    uniform: bool
    rows: tuple[MaskRow, ...] = field(repr=False)

    def load(self, con: tensorsql.Connection) -> None:
        """Make the table `masks`, `images` with a name for each image, and views over both."""
        self._run(con, "CREATE OR REPLACE TABLE masks AS " + TEMPLATE, self.rows)
        con.execute("CREATE OR REPLACE VIEW seen AS SELECT *, kind AS sort FROM masks")
        con.execute(
            "CREATE OR REPLACE VIEW joined AS "
            "SELECT m.*, i.name FROM masks m JOIN images i USING (image_id)"
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


# Values: None is NULL; NaN equals itself and is greater than every number.


def compare(a: Any, b: Any) -> int:
    """-1, 0 or 1; neither is NULL."""
    a_nan, b_nan = (isinstance(v, float) and math.isnan(v) for v in (a, b))
    if a_nan or b_nan:
        return int(a_nan) - int(b_nan)
    return (a > b) - (a < b)


def divide(a: Any, b: Any) -> float:
    """DOUBLE division."""
    with np.errstate(all="ignore"):
        return float(np.float64(a) / np.float64(b))


def strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """NULL if any argument is."""
    return lambda *values: None if None in values else function(*values)


def truth_and(a: Any, b: Any) -> Any:
    """Three-valued AND."""
    return False if a is False or b is False else None if None in (a, b) else True


def truth_or(a: Any, b: Any) -> Any:
    """Three-valued OR."""
    return True if a is True or b is True else None if None in (a, b) else False


def truth_not(a: Any) -> Any:
    """Three-valued NOT."""
    return None if a is None else not a


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: compare(a, b) < 0,
    "<=": lambda a, b: compare(a, b) <= 0,
    ">": lambda a, b: compare(a, b) > 0,
    ">=": lambda a, b: compare(a, b) >= 0,
    "=": lambda a, b: compare(a, b) == 0,
    "<>": lambda a, b: compare(a, b) != 0,
}


@dataclass(frozen=True)
class Term:
    """SQL and its value for a row, or for the rows of a group; `exact` sums in any order."""

    sql: str
    of: Callable[[Any], Any]
    exact: bool = True


def combined(sql: str, function: Callable[..., Any], *parts: Term, exact: bool = True) -> Term:
    """A function of terms; `sql` has a {} for each."""
    return Term(
        sql.format(*(part.sql for part in parts)),
        lambda row: function(*(part.of(row) for part in parts)),
        exact and all(part.exact for part in parts),
    )


def constant(sql: str, value: Any) -> Term:
    """The same for every row."""
    return Term(sql, lambda row: value)


@dataclass(frozen=True)
class Question:
    """A query; `answer` gives its rows from the table's, `ordered` if their order counts."""

    sql: str
    answer: Callable[[Sequence[MaskRow]], list[tuple[Any, ...]]]
    ordered: bool


class Composer:
    """Draws terms. `grouped`: over groups of rows, where every leaf is an aggregate."""

    def __init__(self, draw: Draw, grouped: bool = False, uniform: bool = False) -> None:
        self._draw = draw
        self._grouped = grouped
        self._uniform = uniform

    def pick(self, *choices: Any) -> Any:
        """One of these; the first is the simplest."""
        return self._draw(st.sampled_from(choices))

    def number(self, depth: int) -> Term:
        """A number."""
        if depth == 0:
            return self.aggregate() if self._grouped else self.leaf()
        a = self.number(depth - 1)
        make = self.pick(
            *(
                None,
                None,
                None,
                self._sum,
                self._difference,
                self._ratio,
                self._scaled,
                self._times,
            ),
            *(self._negated, self._chosen, self._filled, self._as_double, self._largest),
        )
        return a if make is None else make(a, depth - 1)

    def _sum(self, a: Term, depth: int) -> Term:
        return combined("({} + {})", strict(lambda x, y: x + y), a, self.number(depth))

    def _difference(self, a: Term, depth: int) -> Term:
        return combined("({} - {})", strict(lambda x, y: x - y), a, self.number(depth))

    def _ratio(self, a: Term, depth: int) -> Term:
        return combined("({} / {})", strict(divide), a, self.number(depth), exact=False)

    def _scaled(self, a: Term, depth: int) -> Term:
        factor = self.pick(2, 3, 0, -1, -2)
        return combined("({} * {})", strict(lambda x, y: x * y), a, constant(str(factor), factor))

    def _times(self, a: Term, depth: int) -> Term:
        if self._grouped:
            return combined("({} * {})", strict(lambda x, y: x * y), a, COUNT)
        return combined("({} * {})", strict(lambda x, y: x * y), a, WEIGHT)

    def _negated(self, a: Term, depth: int) -> Term:
        return combined("(-{})", strict(lambda x: -x), a)

    def _chosen(self, a: Term, depth: int) -> Term:
        condition, other = self.predicate(0), self.number(depth)

        def choose(wanted: Any, x: Any, y: Any) -> Any:
            return x if wanted is True else y

        return combined("CASE WHEN {} THEN {} ELSE {} END", choose, condition, a, other)

    def _filled(self, a: Term, depth: int) -> Term:
        fill = constant("7", 7) if self._grouped else KIND
        return combined("COALESCE({}, {})", lambda x, y: y if x is None else x, a, fill)

    def _as_double(self, a: Term, depth: int) -> Term:
        return combined("CAST({} AS DOUBLE)", strict(float), a)

    def _largest(self, a: Term, depth: int) -> Term:
        word, sign = self.pick(("GREATEST", 1), ("LEAST", -1))

        def largest(*values: Any) -> Any:
            known = [value for value in values if value is not None]
            return max(known, key=cmp_to_key(lambda x, y: sign * compare(x, y)), default=None)

        return combined(word + "({}, {})", largest, a, self.number(depth))

    def leaf(self) -> Term:
        """A count, mostly; or an area or a column."""
        return self.pick(*(self.cp,) * 6, self.area, lambda: WEIGHT, lambda: KIND)()

    def area(self) -> Term:
        """AREA(mask, roi)."""
        region = self.region()

        def value(row: MaskRow) -> Any:
            box = region.of(row)
            if row.mask is None or (box is None and region.sql not in WHOLE):
                return None
            return int(inside(row.mask, box).sum())

        return Term(f"AREA(mask, {region.sql})", value)

    def cp(self) -> Term:
        """CP(mask, roi, (lv, uv)) of a row."""
        region, (low, high) = self.region(), self.ends()

        def value(row: MaskRow) -> Any:
            box, ends = region.of(row), (low.of(row), high.of(row))
            if row.mask is None or None in ends or (box is None and region.sql not in WHOLE):
                return None
            return row.count(box, *ends)

        return Term(f"CP(mask, {region.sql}, ({low.sql}, {high.sql}))", value)

    def region(self) -> Term:
        """The box of a row, or None for the whole mask."""
        make = self.pick(
            *(
                lambda: constant("-", None),
                lambda: constant("FULL", None),
                lambda: BOX,
                lambda: BOX,
            ),
            *(self.corners, self.corners, self.fixed_box, lambda: SOME_BOX, self.moving),
        )
        found: Term = make()
        return found

    def corners(self) -> Term:
        """((x1, y1), (x2, y2)): pixels from 1, both included."""
        x, y = self._draw(st.integers(-1, 11)), self._draw(st.integers(-1, 11))
        right, down = x + self._draw(st.integers(0, 9)), y + self._draw(st.integers(0, 9))
        return constant(f"(({x}, {y}), ({right}, {down}))", (x - 1, y - 1, right, down))

    def fixed_box(self) -> Term:
        """A detector's box, perhaps empty or with corners between pixels."""
        x0, y0, x1, y1 = (self._draw(st.integers(-2, 22)) / 2 for _ in range(4))
        return constant(f"BOX_XYXY({x0}, {y0}, {x1}, {y1})", (x0, y0, x1, y1))

    def moving(self) -> Term:
        """Corners that depend on the row, sometimes reversed."""
        width = self.pick(3, 1, -1)
        return Term(
            f"((kind + 1, 2), (kind + {width}, 5))",
            lambda row: (row.kind, 1, row.kind + width, 5),
        )

    def ends(self, columns: bool = True) -> tuple[Term, Term]:
        """A closed range: on edges and off them, a single value, from columns."""
        parts = self.pick(20, 20, 10, 4, 3, 255)
        low, high = (self._draw(st.integers(-1, parts + 1)) for _ in range(2))
        form = self.pick("range", "range", "upwards", "point", "columns", "half", "null")
        if form == "columns" and columns:
            return LOW, HIGH
        if form == "half" and columns:
            return LOW, constant("1", Fraction(1))
        if form == "null" and columns:
            return constant("CAST(NULL AS DOUBLE)", None), constant("1.0", Fraction(1))
        low, high = min(low, high), max(low, high)
        if form == "point":
            return threshold(low, parts), threshold(low, parts)
        return threshold(low, parts), threshold(
            max(parts, low) if form == "upwards" else high, parts
        )

    def predicate(self, depth: int) -> Term:
        """A condition."""
        if depth == 0:
            return self.pick(self._compared, self._compared, self._between, self._null_test)()
        a = self.predicate(depth - 1)
        form = self.pick("plain", "and", "or", "not", "cheap and", "cheap or")
        if form == "plain":
            return a
        if form == "not":
            return combined("NOT ({})", truth_not, a)
        b = self._cheap() if form.startswith("cheap") else self.predicate(depth - 1)
        function = truth_and if form.endswith("and") else truth_or
        word = "AND" if form.endswith("and") else "OR"
        return combined(f"({{}} {word} {{}})", function, a, b)

    def _cheap(self) -> Term:
        number = COUNT if self._grouped else self.pick(KIND, WEIGHT)
        return self._comparison(number, constant("1", 1))

    def _compared(self) -> Term:
        left, right = self.number(1), self.bound()
        return self._comparison(left, right)

    def _comparison(self, a: Term, b: Term) -> Term:
        sign = self.pick(*COMPARISONS)
        return combined(f"({{}} {sign} {{}})", strict(COMPARISONS[sign]), a, b)

    def _between(self) -> Term:
        def between(x: Any, low: Any, high: Any) -> Any:
            at_least, at_most = strict(COMPARISONS[">="]), strict(COMPARISONS["<="])
            return truth_and(at_least(x, low), at_most(x, high))

        return combined(
            "({} BETWEEN {} AND {})", between, self.number(1), self.bound(), self.bound()
        )

    def _null_test(self) -> Term:
        word, wanted = self.pick(("IS NULL", True), ("IS NOT NULL", False))
        return combined(f"({{}} {word})", lambda x: (x is None) == wanted, self.number(1))

    def bound(self) -> Term:
        """What a number is compared with."""
        number = self._draw(st.integers(0, 40))
        plain = constant(str(number), number)
        decimal = self.pick(constant("0.5", 0.5), constant("0.1", 0.1), constant("2.5", 2.5))
        column = COUNT if self._grouped else self.pick(KIND, WEIGHT)
        return self.pick(
            lambda: plain, lambda: plain, lambda: decimal, lambda: column, self.cp_bound
        )()

    def cp_bound(self) -> Term:
        """Another count."""
        return self.aggregate() if self._grouped else self.cp()

    def aggregate(self) -> Term:
        """An aggregate of counts, or a count over an aggregate of masks."""
        if self._uniform and self.pick(False, True):
            return self.mask_aggregate()
        name = self.pick("SUM", "AVG", "MIN", "MAX")
        rows = Composer(self._draw)
        inner = rows.number(1)
        if name in ("SUM", "AVG") and not inner.exact:
            inner = rows.cp()
        return Term(
            f"{name}({inner.sql})",
            lambda group: AGGREGATES[name]([v for v in map(inner.of, group) if v is not None]),
            name != "AVG",
        )

    def mask_aggregate(self) -> Term:
        """CP(INTERSECT | UNION | AVG …) of a group."""
        low, high = self.ends(columns=False)
        region = self.pick(
            lambda: constant("-", None),
            self.corners,
            self.fixed_box,
            lambda: Term(
                "((image_id, 1), (image_id + 3, 4))",
                lambda row: (row.image_id - 1, 0, row.image_id + 3, 4),
            ),
        )()
        name = self.pick("INTERSECT", "UNION", "AVG")
        cut = None if name == "AVG" else self.pick(None, 6, 10, 15, 0, 20)
        shown = "" if cut is None else f" > {cut / 20}"

        def value(group: Sequence[MaskRow]) -> Any:
            found = pixelwise(name, group, None if cut is None else Fraction(cut, 20))
            if found is None:
                return None
            pixels, scale = found
            counted = within(pixels, scale, low.of(None), high.of(None))
            return int((counted & inside(pixels, region.of(group[0]))).sum())

        return Term(f"CP({name}(mask{shown}), {region.sql}, ({low.sql}, {high.sql}))", value)


def pixelwise(
    name: str, group: Sequence[MaskRow], cut: Fraction | None
) -> tuple[np.ndarray, int] | None:
    """The group's masks put together, and the scale of the result; None where there are none."""
    rows = [row for row in group if row.mask is not None]
    if not rows:
        return None
    scale = rows[0].scale
    masks = np.stack([row.mask for row in rows if row.mask is not None])
    if name == "AVG":
        total = masks.sum(axis=0, dtype=np.float64 if masks.dtype.kind == "f" else np.int64)
        return total / (len(masks) * scale), 1
    if cut is not None:
        top = np.float32(float(cut)) if masks.dtype.kind == "f" else math.floor(cut * scale)
        masks, scale = (masks > top).astype(np.uint8), 1
    return (masks.min(axis=0) if name == "INTERSECT" else masks.max(axis=0)), scale


def threshold(number: int, parts: int) -> Term:
    """number / parts as a decimal of six digits at most."""
    text = f"{number / parts:.6f}".rstrip("0").rstrip(".") or "0"
    text = "0" if text == "-0" else text
    return constant(text, Fraction(text))


def _extreme(values: list[Any], sign: int) -> Any:
    return max(values, key=cmp_to_key(lambda a, b: sign * compare(a, b)), default=None)


AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "SUM": lambda values: sum(values) if values else None,
    "AVG": lambda values: divide(sum(values), len(values)) if values else None,
    "MIN": lambda values: _extreme(values, -1),
    "MAX": lambda values: _extreme(values, 1),
}
WHOLE = ("-", "FULL")
WEIGHT = Term("weight", lambda row: row.weight)
KIND = Term("kind", lambda row: row.kind)
COUNT = Term("COUNT(*)", len)
BOX = Term("box", lambda row: row.box)
SOME_BOX = Term("CASE WHEN kind = 1 THEN box END", lambda row: row.box if row.kind == 1 else None)
LOW = Term("low", lambda row: exact(row.low))
HIGH = Term("high", lambda row: exact(row.high))


@dataclass(frozen=True)
class Order:
    """ORDER BY one value."""

    descending: bool
    nulls_first: bool

    def sql(self) -> str:
        """DESC and NULLS FIRST where they hold."""
        return " DESC" * self.descending + " NULLS FIRST" * self.nulls_first

    def sorted(self, items: Sequence[Any], value: Callable[[Any], Any]) -> list[Any]:
        """Stable: ties keep their order."""

        def before(a: Any, b: Any) -> int:
            x, y = value(a), value(b)
            if x is None or y is None:
                return ((y is None) - (x is None)) * (1 if self.nulls_first else -1)
            return -compare(x, y) if self.descending else compare(x, y)

        return sorted(items, key=cmp_to_key(before))


@st.composite
def orders(draw: Draw) -> Order:
    """Any order."""
    return Order(draw(st.booleans()), draw(st.sampled_from((False, False, True))))


@st.composite
def spans(draw: Draw) -> tuple[str, slice]:
    """LIMIT and OFFSET."""
    count, offset = draw(st.sampled_from((3, 1, 8, 0, 100))), draw(st.sampled_from((0, 0, 2, 50)))
    text = f" LIMIT {count}" + (f" OFFSET {offset}" if offset else "")
    return text, slice(offset, offset + count)


@st.composite
def filters(draw: Draw) -> Question:
    """WHERE."""
    condition = Composer(draw).predicate(2)
    source = draw(st.sampled_from(SOURCES))
    return Question(
        f"SELECT id, kind FROM {source} WHERE {condition.sql}",
        lambda rows: [(row.id, row.kind) for row in rows if condition.of(row) is True],
        ordered=False,
    )


@st.composite
def counts(draw: Draw) -> Question:
    """COUNT(*) and a sum of the rows that pass."""
    composer = Composer(draw)
    condition, value = composer.predicate(1), composer.cp()

    def answer(rows: Sequence[MaskRow]) -> list[tuple[Any, ...]]:
        kept = [row for row in rows if condition.of(row) is True]
        values = [found for row in kept if (found := value.of(row)) is not None]
        return [(len(kept), AGGREGATES["SUM"](values))]

    sql = f"SELECT COUNT(*), SUM({value.sql}) FROM masks WHERE {condition.sql}"
    return Question(sql, answer, ordered=True)


@st.composite
def top_rows(draw: Draw) -> Question:
    """[WHERE] ORDER BY … LIMIT; ties by a stated key or by row id."""
    composer = Composer(draw)
    value = composer.number(2)
    condition = composer.predicate(1) if draw(st.booleans()) else None
    order, (limit, span) = draw(orders()), draw(spans())
    source = draw(st.sampled_from(SOURCES))
    tie = ", id" if source != "masks" else draw(st.sampled_from(("", ", id DESC", ", kind")))
    where = "" if condition is None else f" WHERE {condition.sql}"

    def answer(rows: Sequence[MaskRow]) -> list[tuple[Any, ...]]:
        kept = [row for row in rows if condition is None or condition.of(row) is True]
        if tie:
            name, _, down = tie.removeprefix(", ").partition(" ")
            kept = Order(bool(down), False).sorted(kept, lambda row: getattr(row, name))
        first = order.sorted([(row.id, value.of(row)) for row in kept], lambda pair: pair[1])
        return first[span]

    sql = (
        f"SELECT id, {value.sql} AS val FROM {source}{where} ORDER BY val{order.sql()}{tie}{limit}"
    )
    return Question(sql, answer, ordered=True)


@st.composite
def top_groups(draw: Draw, uniform: bool) -> Question:
    """GROUP BY [HAVING] ORDER BY … LIMIT; tied groups by their first row."""
    composer = Composer(draw, grouped=True, uniform=uniform)
    value = composer.number(draw(st.sampled_from((0, 0, 1))))
    where = Composer(draw).predicate(0) if draw(st.booleans()) else None
    having = composer.predicate(0) if draw(st.booleans()) else None
    order, (limit, span) = draw(orders()), draw(spans())

    def answer(rows: Sequence[MaskRow]) -> list[tuple[Any, ...]]:
        groups: dict[int, list[MaskRow]] = {}
        for row in rows:
            if where is None or where.of(row) is True:
                groups.setdefault(row.image_id, []).append(row)
        kept = [
            (key, value.of(group))
            for key, group in groups.items()
            if having is None or having.of(group) is True
        ]
        return order.sorted(kept, lambda pair: pair[1])[span]

    sql = f"SELECT image_id, {value.sql} AS val FROM masks"
    sql += "" if where is None else f" WHERE {where.sql}"
    sql += " GROUP BY image_id" + ("" if having is None else f" HAVING {having.sql}")
    return Question(f"{sql} ORDER BY val{order.sql()}{limit}", answer, ordered=True)


def questions(table: MaskTable) -> st.SearchStrategy[Question]:
    """Any of them."""
    groups = top_groups(table.uniform)
    return st.one_of(filters(), top_rows(), groups, top_rows(), groups, counts())


def same(found: Sequence[Any], expected: Sequence[Any], ordered: bool) -> bool:
    """Equal rows; NaN equals itself."""
    if not ordered:
        found, expected = sorted(found), sorted(expected)
    return len(found) == len(expected) and all(
        _same_value(a, b)
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def _same_value(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return compare(a, b) == 0
