"""The Cumulative Histogram Index: bounds enclose, and queries answer as a full scan does."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorsql
from tensorsql.errors import BindError, CatalogError
from tensorsql.operators.indexes import INDEXES
from tensorsql.operators.indexes.chi.blocks import Histogram, build_blocks
from tensorsql.operators.indexes.chi.bounds import (
    BinRange,
    Bounds,
    CellCounts,
    bin_range,
    cell_bounds,
)
from tensorsql.operators.indexes.chi.probe import ChiProbe
from tensorsql.storage.columns.column import Constant, Flat
from tensorsql.storage.columns.masks import StoredMasks, regular_block
from tensorsql.storage.columns.types import BOX, DOUBLE
from tensorsql.storage.masks.counts import Levels, Region, at, count_pixels
from tensorsql.storage.masks.levels import default_scale, lower_level, upper_level
from tensorsql.storage.tables.catalog import IndexEntry, Relation

PAPER = np.array(
    [
        [0.2, 0.2, 0.2, 0.2, 0.2, 0.0],
        [0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
        [0.2, 0.8, 0.2, 0.2, 0.6, 0.2],
        [0.2, 0.2, 0.8, 0.8, 0.8, 0.8],
        [0.2, 0.2, 0.8, 0.8, 0.2, 0.2],
        [0.2, 0.2, 0.2, 0.6, 0.2, 0.2],
    ],
    dtype=np.float32,
)


def level_range(values: list[tuple[Any, Any]], scale: int, element: str) -> Levels:
    dtype: Any = np.dtype(element) if np.dtype(element).kind == "f" else np.int64
    low = [lower_level(low, scale, element) for low, _ in values]
    high = [upper_level(high, scale, element) for _, high in values]
    return Levels(np.array(low, dtype=dtype), np.array(high, dtype=dtype))


def one_mask(pixels: np.ndarray, cell: int, bins: int) -> tuple[Histogram, CellCounts]:
    source = StoredMasks([regular_block(pixels[None])], 1, pixels.dtype.name)
    histogram = Histogram(cell, bins, 1, pixels.dtype.name)
    (block,) = build_blocks(histogram, source, np.arange(1), np.arange(1))
    return histogram, CellCounts(block, np.arange(1))


def region_bounds(cells: CellCounts, region: Region, bins: BinRange) -> Bounds:
    """The published bounds, from the largest grid region inside and the smallest around."""
    down, across = cells.overlap(region)
    around_outer, around_inner = (
        _grid_sum(cells, down, across, each, False) for each in (bins.outer, bins.inner)
    )
    within_outer, within_inner = (
        _grid_sum(cells, down, across, each, True) for each in (bins.outer, bins.inner)
    )
    area = sum(tall.astype(np.int64) for tall in down) * sum(
        wide.astype(np.int64) for wide in across
    )
    whole = (np.zeros(1, dtype=np.int64), np.full(1, cells.block.counts.shape[2] + 1))
    around, within = (_grid_sum(cells, down, across, whole, inside) for inside in (False, True))
    upper = np.minimum(around_outer, within_outer + area - within)
    lower = np.maximum(np.maximum(within_inner, around_inner - (around - area)), 0)
    return lower, upper


def _grid_sum(
    cells: CellCounts,
    down: list[np.ndarray],
    across: list[np.ndarray],
    edges: tuple[np.ndarray, np.ndarray],
    inside: bool,
) -> np.ndarray:
    """Pixels between two edges in the cells inside the region, or in all that touch it."""
    total = np.zeros(cells.count, dtype=np.int64)
    for gy, tall in enumerate(down):
        for gx, wide in enumerate(across):
            overlap = tall * wide
            member = overlap == cells.area(gy, gx) if inside else overlap > 0
            counts = cells.between(gy, gx, edges)
            total += np.where(member & (overlap > 0), counts, 0)
    return total


@pytest.mark.parametrize(
    ("low", "exact", "region", "cells"),
    [("0.7", 5, (0, 7), (0, 6)), ("0.5", 6, (2, 7), (4, 6))],
)
def test_published_example(
    low: str, exact: int, region: tuple[int, int], cells: tuple[int, int]
) -> None:
    """6 × 6 pixels in 2 × 2 cells and 2 bins; the region ((3,3),(5,5)) is not on the grid."""
    histogram, counts = one_mask(PAPER, 2, 2)
    box = np.array([[2.0, 2.0, 5.0, 5.0]])
    levels = level_range([(Fraction(low), Fraction(1))], 1, "float32")
    bins = bin_range(histogram, levels)
    source = StoredMasks([regular_block(PAPER[None])], 1, "float32")
    assert count_pixels(source, np.arange(1), box, levels).tolist() == [exact]
    assert tuple(int(part[0]) for part in region_bounds(counts, box, bins)) == region
    assert tuple(int(part[0]) for part in cell_bounds(counts, box, bins)) == cells


def test_published_cumulative_counts() -> None:
    """H(cx, cy)[bin] of the paper's figure, from sums of cells."""
    _, counts = one_mask(PAPER, 2, 2)
    expected = [[[4, 0], [8, 0], [12, 0]], [[8, 1], [16, 3], [24, 6]], [[12, 1], [24, 6], [36, 9]]]
    for cy in range(3):
        for cx in range(3):
            found = [
                sum(
                    int(counts.reaching(gy, gx, np.array([edge]))[0])
                    for gy in range(cy + 1)
                    for gx in range(cx + 1)
                )
                for edge in (0, 1)
            ]
            assert found == expected[cy][cx]


@dataclasses.dataclass
class Case:
    source: StoredMasks
    histogram: Histogram
    region: np.ndarray | None
    levels: Levels


TWENTIETHS = st.integers(-2, 22).map(lambda number: Fraction(number, 20))
ANY_VALUE = st.one_of(TWENTIETHS, st.integers(-30, 330).map(lambda number: Fraction(number, 300)))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    element = draw(st.sampled_from(["uint8", "uint16", "float32", "float64", "bool"]))
    scale = default_scale(element) or 1
    sizes = draw(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=4))
    if draw(st.booleans()):
        sizes = [sizes[0]] * len(sizes)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    blocks = []
    for height, width in sizes:
        pixels = random.integers(0, 21, (1, height, width)) / 20  # on the edges, mostly
        if element != "float64" and element != "float32":
            pixels = np.ceil(pixels * scale) + random.integers(-1, 2, pixels.shape)
            pixels = pixels.clip(0, scale)
        blocks.append(regular_block(pixels.astype(element)))
    rows = draw(st.sampled_from([1, len(sizes)]))
    ends = st.integers(-2, 10)
    box = st.tuples(ends, ends, ends, ends).map(lambda corners: [float(c) for c in corners])
    region = draw(st.none() | st.lists(box, min_size=rows, max_size=rows).map(np.array))
    value = draw(st.sampled_from([TWENTIETHS, ANY_VALUE]))
    pair = st.one_of(st.tuples(value, value), value.map(lambda one: (one, one)))
    count = draw(st.sampled_from([1, len(sizes)]))
    values = draw(st.lists(pair, min_size=count, max_size=count))
    histogram = Histogram(
        draw(st.sampled_from([0, 1, 2, 3, 20])),
        draw(st.sampled_from([1, 2, 10, 20])),
        scale,
        element,
    )
    source = StoredMasks(blocks, scale, element)
    return Case(source, histogram, region, level_range(values, scale, element))


@settings(max_examples=300, deadline=None)
@given(cases())
def test_bounds_enclose(case: Case) -> None:
    """Rule 1.1: on every edge, for empty ranges and regions that leave the mask."""
    rows = np.arange(case.source.rows)
    exact = count_pixels(case.source, rows, case.region, case.levels)
    for block in build_blocks(case.histogram, case.source, rows, rows):
        counts = CellCounts(block, np.arange(len(block.row_ids)))
        region = None if case.region is None else at(case.region, block.row_ids)
        bins = bin_range(case.histogram, case.levels.take(block.row_ids))
        low, high = cell_bounds(counts, region, bins)
        low_region, high_region = region_bounds(counts, region, bins)
        value = exact[block.row_ids]
        assert (low <= value).all()
        assert (value <= high).all()
        assert (low_region <= low).all()
        assert (high <= high_region).all()


@pytest.mark.parametrize(("cell", "dtype"), [(15, np.uint8), (30, np.int16), (200, np.int32)])
def test_bounds_of_large_masks_do_not_wrap(cell: int, dtype: Any) -> None:
    """90,000 pixels do not fit 16 bits, nor does a cell of 200 × 200."""
    random = np.random.default_rng(cell)
    pixels = random.choice(np.array([0, 128, 255], np.uint8), (3, 300, 300), p=[0.1, 0.1, 0.8])
    source = StoredMasks([regular_block(pixels)], 255, "uint8")
    histogram, rows = Histogram(cell, 20, 255, "uint8"), np.arange(3)
    (block,) = build_blocks(histogram, source, rows, rows)
    assert block.counts.dtype == dtype
    levels = level_range([(Fraction(1, 2), Fraction(1))], 255, "uint8")
    for region in (None, np.array([[7.0, 9.0, 290.0, 280.0]]), np.array([[0.0, 0, 250, 250]] * 3)):
        exact = count_pixels(source, rows, region, levels)
        low, high = cell_bounds(CellCounts(block, rows), region, bin_range(histogram, levels))
        assert (low <= exact).all()
        assert (exact <= high).all()
        if region is None:
            assert low.tolist() == exact.tolist() == high.tolist()


def test_rows_in_any_order_have_the_same_bounds() -> None:
    """Runs of rows, gaps, few rows and rows out of order; rows that are not counted are open."""
    random = np.random.default_rng(6)
    pixels = np.rint(smooth_masks(random, 400, 16) * 255).astype(np.uint8)
    source = StoredMasks([regular_block(pixels)], 255, "uint8")
    histogram, rows = Histogram(4, 10, 255, "uint8"), np.arange(400)
    row_ids = np.sort(random.choice(600, 400, replace=False))
    blocks = [
        *build_blocks(histogram, source, rows[:150], row_ids[:150]),
        *build_blocks(histogram, source, rows[150:], np.arange(250) + 700),
    ]
    ids = [*row_ids[:150].tolist(), *range(700, 950)]
    probe = ChiProbe(histogram, blocks)

    def bounds(asked: np.ndarray) -> list[tuple[float, float, bool]]:
        one = Flat(BOX, torch.tensor([[2.0, 3, 13, 11]], dtype=torch.float64))
        box = Constant(one, len(asked))
        low, high = (
            Constant(Flat(DOUBLE, torch.tensor([value], dtype=torch.float64)), len(asked))
            for value in (0.33, 0.9)
        )
        found = probe.bounds(torch.from_numpy(asked), [box, low, high])
        parts = (found.lower.tolist(), found.upper.tolist(), found.may_be_null.tolist())
        return list(zip(*parts, strict=True))

    known = {id: bounds(np.array([id]))[0] for id in ids}
    assert all(high < np.inf and not null for _, high, null in known.values())
    everything = np.arange(-1, 960)
    for asked in (
        everything,
        np.array(ids),
        everything[::3],
        everything[::50],
        np.sort(random.choice(everything, 300, replace=False)),
        random.choice(everything, 500),
        np.array([], dtype=np.int64),
    ):
        expected = [known.get(int(id), (0.0, np.inf, True)) for id in asked]
        assert bounds(asked) == expected


def smooth_masks(random: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Blobs, some all zero, with values that often tie."""
    coarse = random.random((count, 4, 4)) ** 2
    coarse[random.random(count) < 0.1] = 0
    large = np.repeat(np.repeat(coarse, side // 4, axis=1), side // 4, axis=2)
    noise = random.random(large.shape) * 0.1
    return np.round((large * 0.9 + noise * (large > 0)) * 20) / 20


@pytest.fixture(scope="module")
def connection() -> Iterator[tensorsql.Connection]:
    """Masks of two sizes, a box and numbers beside them, indexed, with changes after the index."""
    random = np.random.default_rng(7)
    con = tensorsql.connect()
    for name, count, side in (("large", 220, 16), ("small", 60, 8)):
        pixels = np.rint(smooth_masks(random, count, side) * 255).astype(np.uint8)
        numbers = np.arange(count)
        columns = {
            "id": numbers + (1000 if name == "small" else 0),
            "image_id": numbers // 3 + (1000 if name == "small" else 0),
            "kind": numbers % 3,
            "x": random.integers(-3, side, count),
            "y": random.integers(-3, side, count),
            "weight": np.round(random.random(count), 2),
        }
        con.register_masks(name, pixels, columns)
    select = (
        "SELECT id, image_id, kind, weight, BOX_XYWH(x, y, 7, 6) AS box, "
        "CASE WHEN id % 11 = 0 THEN NULL ELSE weight END AS low, mask FROM "
    )
    con.execute(f"CREATE TABLE masks AS {select} large UNION ALL {select} small")
    con.execute("CREATE INDEX masks_chi ON masks USING CHI (mask) WITH (cell = 4, bins = 10)")
    con.execute("DELETE FROM masks WHERE id % 17 = 3")
    con.execute(f"INSERT INTO masks {select} large WHERE id % 9 = 0")
    yield con
    con.close()


def both_ways(con: tensorsql.Connection, sql: str) -> tuple[list[Any], list[Any]]:
    """The query's rows with and without index."""
    con.execute("SET use_indexes = true")
    indexed = con.execute(sql).fetchall()
    con.execute("SET use_indexes = false")
    scanned = con.execute(sql).fetchall()
    con.execute("SET use_indexes = true")
    return indexed, scanned


class Queries:
    """Random CP expressions, composed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def region(self) -> str:
        x, y = self.random.randint(1, 12), self.random.randint(1, 12)
        fixed = f"(({x}, {y}), ({x + self.random.randint(0, 12)}, {y + self.random.randint(0, 9)}))"
        return self.random.choice(["-", "box", fixed, fixed])

    def cp(self, mask: str = "mask", region: str | None = None) -> str:
        low, high = sorted(self.random.choices([n / 20 for n in range(21)], k=2))
        if self.random.random() < 0.2:
            high = 1.0
        lower = self.random.choice([str(low), str(low), "low" if mask == "mask" else str(low)])
        return f"CP({mask}, {region or self.region()}, ({lower}, {high}))"

    def number(self, depth: int = 2) -> str:
        roll = self.random.random()
        if depth == 0 or roll < 0.4:
            return self.cp()
        a, b = self.number(depth - 1), self.number(depth - 1)
        return self.random.choice(
            [
                f"({a} + {b})",
                f"({a} - {b})",
                f"({a} / {b})",
                f"({a} * weight)",
                f"({a} * {self.random.randint(-2, 3)})",
                f"(-{a})",
                f"CASE WHEN {self.predicate(0)} THEN {a} ELSE {b} END",
                f"COALESCE({a}, kind)",
                f"CAST({a} AS DECIMAL(18, 2))",
                f"({a} / AREA(mask, box))",
            ]
        )

    def predicate(self, depth: int = 2) -> str:
        roll = self.random.random()
        if depth == 0 or roll < 0.5:
            sign = self.random.choice([">", ">=", "<", "<=", "=", "<>"])
            right = self.random.choice(
                [str(self.random.randint(0, 60)), "kind", self.cp(), "0.25", "id % 50"]
            )
            return f"{self.number(min(depth, 1))} {sign} {right}"
        a, b = self.predicate(depth - 1), self.predicate(depth - 1)
        return self.random.choice(
            [
                f"({a} AND {b})",
                f"({a} OR {b})",
                f"NOT ({a})",
                f"({a} OR kind = 1)",
                f"({a}) IS NULL",
            ]
        )

    def order(self) -> str:
        nulls = self.random.choice(["", "", " NULLS FIRST"])
        return self.random.choice(["", " DESC"]) + nulls

    def limit(self) -> str:
        offset = self.random.choice(["", "", " OFFSET 3"])
        return f" LIMIT {self.random.choice([1, 5, 20])}{offset}"

    def rows(self) -> str:
        where = self.random.choice(["", "", f" WHERE {self.predicate(1)}", " WHERE kind <> 2"])
        then = self.random.choice(["", "", ", kind DESC", f", {self.cp()}"])
        return (
            f"SELECT id, {self.number()} AS val FROM masks{where} "
            f"ORDER BY val{self.order()}{then}{self.limit()}"
        )

    def filter(self) -> str:
        return f"SELECT id, kind FROM masks WHERE {self.predicate()}"

    def groups(self) -> str:
        aggregate = self.random.choice(["SUM", "AVG", "MIN", "MAX"])
        combine = self.random.choice(["INTERSECT", "UNION"])
        condition = self.random.choice(["", " > 0.5", " > 0.33"])
        region = self.region().replace("box", "((2, 2), (7, 9))")
        value = self.random.choice(
            [
                f"{aggregate}({self.cp()})",
                f"{aggregate}({self.cp()}) / (1 + MAX({self.cp()}))",
                f"{aggregate}({self.number(1)})",
                self.cp(f"{combine}(mask{condition})", region),
                f"{self.cp(f'{combine}(mask{condition})', region)} + COUNT(*)",
                self.cp("AVG(mask)", region),
            ]
        )
        having = self.random.choice(["", "", " HAVING val > 10", " HAVING COUNT(*) > 1"])
        where = self.random.choice(["", " WHERE kind < 2"])
        return (
            f"SELECT image_id, {value} AS val FROM masks{where} GROUP BY image_id{having} "
            f"ORDER BY val{self.order()}{self.limit()}"
        )


@pytest.mark.parametrize("shape", ["rows", "filter", "groups"])
@pytest.mark.parametrize("seed", range(30))
def test_same_as_full_scan(connection: tensorsql.Connection, shape: str, seed: int) -> None:
    sql = getattr(Queries(seed), shape)()
    indexed, scanned = both_ways(connection, sql)
    assert repr(indexed) == repr(scanned), sql


@pytest.mark.parametrize(
    ("statement", "error", "words"),
    [
        ("CREATE INDEX i ON masks USING CHI (nope)", BindError, "nope"),
        ("CREATE INDEX i ON masks USING CHI (kind)", BindError, "MASK"),
        ("CREATE INDEX i ON masks USING CHI (mask) WITH (cells = 4)", BindError, '"cell"'),
        ("CREATE INDEX i ON masks USING CHI (mask) WITH (bins = 0)", BindError, "1 to 256"),
        ("CREATE INDEX i ON masks USING CHU (mask)", CatalogError, '"CHI"'),
    ],
)
def test_errors(
    connection: tensorsql.Connection, statement: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        connection.execute(statement)


def explain(con: tensorsql.Connection, sql: str) -> str:
    return "\n".join(str(row[0]) for row in con.execute(f"EXPLAIN {sql}").fetchall())


@pytest.mark.parametrize(
    ("sql", "node"),
    [
        ("SELECT id FROM masks WHERE CP(mask, box, (0.5, 1)) > 9", "IndexFilter"),
        ("SELECT id FROM masks WHERE kind = 1 AND CP(mask, -, (0.5, 1)) > 9", "IndexFilter"),
        ("SELECT id FROM masks ORDER BY CP(mask, box, (0.5, 1)) LIMIT 9", "IndexTopN"),
        (
            "SELECT m.id FROM masks m JOIN masks n ON m.id = n.id "
            "ORDER BY CP(m.mask, -, (0.5, 1)) DESC LIMIT 3",
            "IndexTopN",
        ),
        (
            "SELECT image_id FROM masks GROUP BY image_id "
            "ORDER BY SUM(CP(mask, -, (0.5, 1))) DESC LIMIT 3",
            "IndexTopN",
        ),
    ],
)
def test_the_rules_apply(connection: tensorsql.Connection, sql: str, node: str) -> None:
    assert node in explain(connection, sql)
    indexed, scanned = both_ways(connection, sql)
    assert indexed == scanned


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM masks WHERE kind = 1 ORDER BY id LIMIT 2",
        "SELECT index FROM large WHERE CP(mask, -, (0.5, 1)) > 9",
        "SELECT id FROM masks ORDER BY kind, CP(mask, -, (0.5, 1)) LIMIT 3",
    ],
)
def test_the_rules_leave_alone(connection: tensorsql.Connection, sql: str) -> None:
    assert "Index" not in explain(connection, sql)


def test_bounds_spare_most_masks() -> None:
    """Blobs on a plain ground: a top-10 reads a few masks of hundreds."""
    random = np.random.default_rng(1)
    con = tensorsql.connect()
    pixels = np.rint(smooth_masks(random, 400, 32) * 255).astype(np.uint8)
    con.register_masks("source", pixels, {"id": np.arange(400)})
    con.execute("CREATE TABLE t AS SELECT id, mask FROM source")
    con.execute("CREATE INDEX i ON t USING CHI (mask) WITH (cell = 4)")
    sql = "SELECT id FROM t ORDER BY CP(mask, ((4, 4), (25, 25)), (0.65, 1.0)) DESC LIMIT 10"
    text = "\n".join(str(row[0]) for row in con.execute(f"EXPLAIN ANALYZE {sql}").fetchall())
    verified = int(text.split("verified ")[1].split(",")[0].split(")")[0])
    assert verified < 100
    con.close()


def test_index_survives_reopening(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    pixels = np.rint(smooth_masks(random, 50, 16) * 255).astype(np.uint8)
    path = str(tmp_path / "masks.tsql")
    sql = "SELECT id FROM t WHERE CP(mask, ((3, 3), (12, 12)), (0.4, 1.0)) > 20"
    con = tensorsql.connect(path)
    con.register_masks("source", pixels, {"id": np.arange(50)})
    con.execute("CREATE TABLE t AS SELECT id, mask FROM source")
    con.execute("CREATE INDEX i ON t USING CHI (mask)")
    before = con.execute(sql).fetchall()
    con.close()
    con = tensorsql.connect(path)
    assert "IndexFilter" in explain(con, sql)
    assert con.execute(sql).fetchall() == before
    indexed, scanned = both_ways(con, sql)
    assert indexed == scanned
    con.close()


def test_extend_counts_new_rows_only() -> None:
    random = np.random.default_rng(4)
    pixels = np.rint(smooth_masks(random, 30, 16) * 255).astype(np.uint8)
    con = tensorsql.connect()
    con.register_masks("source", pixels)
    con.execute("CREATE TABLE t AS SELECT mask FROM source WHERE index < 20")
    index = INDEXES["CHI"]
    with con.session.open_transaction() as transaction:
        context = con.session.context(transaction)

    def relation() -> Relation:
        with con.session.open_transaction() as transaction:
            found = transaction.relation("t")
            assert found is not None
            return found

    entry = index.build(IndexEntry("i", "t", "CHI", ("mask",)), relation(), context)
    con.execute("INSERT INTO t SELECT mask FROM source WHERE index >= 20")
    extended = index.extend(entry, relation(), context)
    again = index.extend(extended, relation(), context)
    whole = index.build(IndexEntry("i", "t", "CHI", ("mask",)), relation(), context)
    for found in (extended, again):
        (block,), (expected,) = found.state.values(), whole.state.values()
        assert np.array_equal(block.row_ids, expected.row_ids)
        assert np.array_equal(block.counts, expected.counts)
    con.close()
