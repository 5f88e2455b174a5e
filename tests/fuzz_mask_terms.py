"""Terms over masks, composed at random: SQL text and what it means.

The meaning is computed pixel by pixel in NumPy and row by row in Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cmp_to_key
from typing import Any

import numpy as np
from fuzz_mask_tables import Draw, MaskRow, exact, inside, within
from hypothesis import strategies as st
from sql_values import (
    AGGREGATES,
    COMPARISONS,
    compare,
    divide,
    strict,
    truth_and,
    truth_not,
    truth_or,
)


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


WHOLE = ("-", "FULL")
WEIGHT = Term("weight", lambda row: row.weight)
KIND = Term("kind", lambda row: row.kind)
COUNT = Term("COUNT(*)", len)
BOX = Term("box", lambda row: row.box)
SOME_BOX = Term("CASE WHEN kind = 1 THEN box END", lambda row: row.box if row.kind == 1 else None)
LOW = Term("low", lambda row: exact(row.low))
HIGH = Term("high", lambda row: exact(row.high))
