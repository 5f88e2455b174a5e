"""Masks through SQL: where the index is used, what it saves, what it costs to be wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorsql
from tensorsql import errors

COUNT, SIDE = 600, 24


def blobs(count: int, side: int) -> np.ndarray:
    """uint8 maps with one bright spot each, near the corner that the number says; some all zero."""
    random = np.random.default_rng(11)
    rows, columns = np.mgrid[:side, :side]
    result = np.zeros((count, side, side), np.uint8)
    for number in range(count):
        if number % 20 == 7:
            continue
        corner = number % 4
        y = random.integers(2, side // 2 - 2) + (side // 2) * (corner // 2)
        x = random.integers(2, side // 2 - 2) + (side // 2) * (corner % 2)
        far = np.hypot(rows - y, columns - x) / random.uniform(2, 9)
        result[number] = np.rint(255 * np.clip(1 - far, 0, 1)).astype(np.uint8)
    return result


PIXELS = blobs(COUNT, SIDE)
BOXES = np.tile([[0, 0, 12, 12], [12, 0, 24, 12], [6, 6, 18, 18]], (COUNT // 3, 1))
LABELS = np.arange(COUNT) % 5


def bright(low: int, boxes: np.ndarray | None = None) -> np.ndarray:
    """Pixels of at least this level, inside the boxes or everywhere."""
    inside = np.ones(PIXELS.shape, bool)
    if boxes is not None:
        rows, columns = np.mgrid[:SIDE, :SIDE]
        x0, y0, x1, y1 = (boxes[:, i, None, None] for i in range(4))
        inside = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
    result: np.ndarray = ((low <= PIXELS) & inside).sum((1, 2))
    return result


@pytest.fixture(scope="module")
def con() -> Iterator[tensorsql.Connection]:
    connection = tensorsql.connect()
    columns = {"id": np.arange(COUNT), "label": LABELS}
    columns |= {name: BOXES[:, i] for i, name in enumerate(("x0", "y0", "x1", "y1"))}
    connection.register_masks("source", PIXELS, columns)
    connection.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, label INTEGER, box BOX)")
    connection.execute(
        "INSERT INTO images SELECT id, label, BOX_XYXY(x0, y0, x1, y1) FROM source ORDER BY id"
    )
    connection.execute(
        "CREATE TABLE masks AS SELECT id AS mask_id, id AS image_id, mask FROM source"
    )
    connection.execute(
        "CREATE VIEW seen AS SELECT m.*, i.label, i.box FROM masks m "
        "JOIN images i ON i.id = m.image_id"
    )
    connection.execute(
        "CREATE INDEX masks_chi ON masks USING CHI (mask) WITH (cell = 4, bins = 20)"
    )
    yield connection
    connection.close()


def analyzed(con: tensorsql.Connection, sql: str) -> str:
    """EXPLAIN ANALYZE on one line."""
    return " ".join(str(con.execute(f"EXPLAIN ANALYZE {sql}").fetchall()[0][0]).split())


def number(text: str, what: str) -> int:
    found = re.search(rf"{what} (-?\d+)", text)
    assert found is not None, text
    return int(found.group(1))


def answer(con: tensorsql.Connection, sql: str, node: str) -> tuple[list[Any], str]:
    """The rows, the same without an index, and what EXPLAIN ANALYZE says of the index node."""
    rows = con.execute(sql).fetchall()
    con.execute("SET use_indexes = false")
    assert con.execute(sql).fetchall() == rows
    assert node not in analyzed(con, sql)
    con.execute("SET use_indexes = true")
    text = analyzed(con, sql)
    assert node in text and "using masks_chi" in text
    return rows, text


def test_filter_through_the_table(con: tensorsql.Connection) -> None:
    rows, text = answer(
        con, "SELECT mask_id FROM masks WHERE CP(mask, -, (0.47, 1)) > 60", "IndexFilter"
    )
    assert [id for (id,) in rows] == np.flatnonzero(bright(120) > 60).tolist()
    parts = [number(text, what) for what in ("accepted", "rejected", "verified")]
    assert sum(parts) == COUNT and min(parts) >= 0
    assert 0 < parts[2] < COUNT / 4
    assert number(text, "bytes") == parts[2] * SIDE * SIDE


def test_decided_by_the_index_alone(con: tensorsql.Connection) -> None:
    """A constant region on the grid and thresholds on edges: nothing is read, and it says so."""
    sql = "SELECT COUNT(*) FROM masks WHERE CP(mask, ((1, 1), (12, 12)), (0.5, 1)) > 0"
    rows, text = answer(con, sql, "IndexFilter")
    quarter = np.tile([[0, 0, 12, 12]], (COUNT, 1))
    assert rows == [(int((bright(128, quarter) > 0).sum()),)]
    assert number(text, "verified") == 0
    assert number(text, "accepted") == rows[0][0]
    assert "bytes" not in text


def test_several_conditions(con: tensorsql.Connection) -> None:
    sql = """SELECT mask_id FROM masks WHERE (CP(mask, ((1, 1), (12, 12)), (0.5, 1)) > 20
        OR CP(mask, -, (0.25, 1)) BETWEEN 100 AND 140) AND NOT CP(mask, -, (0.8, 1)) <= 4"""
    rows, text = answer(con, sql, "IndexFilter")
    quarter = bright(128, np.tile([[0, 0, 12, 12]], (COUNT, 1)))
    wide = bright(64)
    kept = ((quarter > 20) | ((wide >= 100) & (wide <= 140))) & (bright(204) > 4)
    assert [id for (id,) in rows] == np.flatnonzero(kept).tolist()
    assert number(text, "verified") < COUNT / 2


def test_filter_by_the_object_box_through_view_and_join(con: tensorsql.Connection) -> None:
    """The mask is of one side of the join, the box of the other."""
    sql = "SELECT mask_id FROM seen WHERE CP(mask, box, (0.5, 1)) > 20 AND label <> 1"
    rows, text = answer(con, sql, "IndexFilter")
    kept = (bright(128, BOXES) > 20) & (LABELS != 1)
    assert sorted(id for (id,) in rows) == np.flatnonzero(kept).tolist()
    assert number(text, "verified") < COUNT / 4


@pytest.mark.parametrize("source", ["masks", "seen", "(SELECT * FROM seen WHERE label < 9)"])
def test_top_rows(con: tensorsql.Connection, source: str) -> None:
    """Through a view with a join, as the demo's, and a subquery."""
    sql = (
        f"SELECT mask_id, CP(mask, -, (0.5, 1)) AS n FROM {source} ORDER BY n DESC, mask_id LIMIT 9"
    )
    rows, text = answer(con, sql, "IndexTopN")
    counts = bright(128)
    best = np.lexsort((np.arange(COUNT), -counts))[:9]
    assert rows == [(int(id), int(counts[id])) for id in best]
    assert number(text, "verified") < COUNT / 5
    assert number(text, "verified") + number(text, "rejected") == COUNT
    assert number(text, "accepted") == 0


def test_ratio_through_view_and_join(con: tensorsql.Connection) -> None:
    sql = """SELECT mask_id, CP(mask, box, (0.5, 1)) / CP(mask, -, (0.5, 1)) AS inside FROM seen
        WHERE CP(mask, -, (0.5, 1)) > 0 AND label = 2 ORDER BY inside, mask_id LIMIT 7"""
    rows, text = answer(con, sql, "IndexTopN")
    whole, inside = bright(128), bright(128, BOXES)
    asked = np.flatnonzero((LABELS == 2) & (whole > 0))
    share = inside[asked] / whole[asked]
    best = np.lexsort((asked, share))[:7]
    assert rows == [(int(asked[i]), float(share[i])) for i in best]
    assert number(text, "verified") < COUNT / 5


def test_groups(con: tensorsql.Connection) -> None:
    sql = """SELECT label, SUM(CP(mask, box, (0.5, 1))) AS n FROM seen GROUP BY label
        ORDER BY n DESC LIMIT 2"""
    rows, text = answer(con, sql, "IndexTopN")
    sums = np.bincount(LABELS, bright(128, BOXES)).astype(int)
    best = np.lexsort((np.arange(5), -sums))[:2]
    assert rows == [(int(label), int(sums[label])) for label in best]
    assert number(text, "verified") + number(text, "rejected") == 5
    assert number(text, "members") <= COUNT


def test_having_over_pixelwise_aggregates(con: tensorsql.Connection) -> None:
    sql = """SELECT mask_id // 4 AS g, CP(UNION(mask > 0.5), -, (1, 1)) AS n FROM masks
        GROUP BY g HAVING n > 300 ORDER BY n DESC, g LIMIT 5"""
    rows, text = answer(con, sql, "IndexTopN")
    union = (PIXELS > 127).reshape(-1, 4, SIDE, SIDE).any(1).sum((1, 2))
    asked = np.flatnonzero(union > 300)
    best = asked[np.lexsort((asked, -union[asked]))][:5]
    assert rows == [(int(g), int(union[g])) for g in best]
    assert number(text, "verified") < len(union)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT mask_id FROM masks WHERE CP(mask, -, (0.5, 1)) > mask_id", "IndexFilter"),
        ("SELECT mask_id FROM masks WHERE CP(mask, -, (mask_id / 600, 1)) = 3", "IndexFilter"),
        ("SELECT COUNT(*) FROM seen WHERE CP(mask, box, (0.5, 1)) IS NULL", "IndexFilter"),
        ("SELECT mask_id FROM seen ORDER BY AREA(mask, box) LIMIT 3", "TopN"),
        ("SELECT mask_id FROM masks ORDER BY CP(mask, -, (0.5, 1))", "Sort"),
    ],
)
def test_plans(con: tensorsql.Connection, sql: str, says: str) -> None:
    """An index where it bounds the call, and only there."""
    text = str(con.execute(f"EXPLAIN {sql}").fetchall()[0][0])
    assert says in text
    assert says.startswith("Index") == ("Index" in text)


def test_counts_print_when_nothing_came(con: tensorsql.Connection) -> None:
    sql = "SELECT mask_id FROM masks WHERE mask_id < 0 AND CP(mask, -, (0.5, 1)) > 60"
    text = analyzed(con, sql)
    if "IndexFilter" in text:
        assert "accepted 0, rejected 0, verified 0" in text


def test_a_dropped_index_is_not_used(con: tensorsql.Connection) -> None:
    con.execute("BEGIN")
    con.execute("DROP INDEX masks_chi")
    sql = "SELECT COUNT(*) FROM masks WHERE CP(mask, -, (0.5, 1)) > 60"
    assert "Index" not in str(con.execute(f"EXPLAIN {sql}").fetchall())
    assert con.execute(sql).fetchall() == [(int((bright(128) > 60).sum()),)]
    con.execute("ROLLBACK")
    assert "IndexFilter" in str(con.execute(f"EXPLAIN {sql}").fetchall())


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        (
            "SELECT CP(mask, -, (0.9, 0.1)) FROM seen",
            errors.BindError,
            "the range (0.9, 0.1) of CP is empty: 0.9 > 0.1",
        ),
        (
            "SELECT CP(mask, ((3, 3), (1, 1)), (0, 1)) FROM seen",
            errors.BindError,
            "the region ((3, 3), (1, 1)) is empty: "
            "its second corner must not lie left of or above its first",
        ),
        (
            "SELECT CP(label, -, (0, 1)) FROM seen",
            errors.TypeMismatchError,
            "CP counts the pixels of a MASK; label is INTEGER",
        ),
        (
            "SELECT CP(mask, label, (0, 1)) FROM seen",
            errors.TypeMismatchError,
            "a region is ((x1, y1), (x2, y2)), a BOX, or - for all; label is INTEGER",
        ),
        (
            "SELECT CP(mask, ((1, 1), (2)), (0, 1)) FROM seen",
            errors.BindError,
            "a region is ((x1, y1), (x2, y2)), a BOX, or - for all",
        ),
        (
            "SELECT CP(mask, -) FROM seen",
            errors.BindError,
            "CP takes a mask, a region and a range of values; write CP(mask, roi, (low, high))",
        ),
        (
            "SELECT CP(msk, -, (0, 1)) FROM seen",
            errors.BindError,
            'column "msk" not found in seen; did you mean "mask"',
        ),
        (
            "SELECT CP(mask, -, ('a', 1)) FROM seen",
            errors.ConversionError,
            "could not convert string 'a' to DOUBLE",
        ),
        (
            "SELECT IOU(mask, box) FROM seen",
            errors.TypeMismatchError,
            "mask is a mask; write mask > threshold",
        ),
        (
            "SELECT CP(INTERSECT(mask), -, (0, 1)) FROM seen WHERE CP(UNION(mask), -, (0, 1)) > 1",
            errors.BindError,
            "WHERE cannot contain an aggregate; use HAVING",
        ),
        (
            "SELECT mask_id FROM seen ORDER BY mask",
            errors.UnsupportedError,
            "masks cannot be compared, grouped or sorted by; compare what CP counts in them",
        ),
        (
            "SELECT COUNT(*) FROM seen WHERE mask = mask",
            errors.UnsupportedError,
            "masks cannot be compared, grouped or sorted by; compare what CP counts in them",
        ),
        (
            "SELECT mask, COUNT(*) FROM seen GROUP BY mask",
            errors.UnsupportedError,
            "masks cannot be compared, grouped or sorted by; compare what CP counts in them",
        ),
        (
            "UPDATE masks SET mask = 3",
            errors.BindError,
            'column "mask" is MASK(255), the value INTEGER',
        ),
        (
            "CREATE INDEX other ON images USING CHI (label)",
            errors.BindError,
            'a CHI index is over a MASK column, "label" is INTEGER',
        ),
        (
            "CREATE INDEX masks_chi ON masks USING CHI (mask)",
            errors.CatalogError,
            'index "masks_chi" already exists; drop it first, or write CREATE OR REPLACE INDEX',
        ),
        (
            "CREATE INDEX other ON masks USING CHY (mask)",
            errors.CatalogError,
            'index method "chy" not found; did you mean "CHI"?',
        ),
        (
            "CREATE INDEX other ON masks USING BTREE (mask)",
            errors.CatalogError,
            'index method "btree" not found; there is "CHI", "NPI"',
        ),
        (
            "CREATE INDEX other ON masks USING CHI (msk)",
            errors.BindError,
            'column "msk" not found in masks; did you mean "mask"?',
        ),
        (
            "CREATE INDEX other ON masks USING CHI (mask, mask_id)",
            errors.BindError,
            'a CHI index is over one MASK column; there is "mask"',
        ),
        (
            "CREATE INDEX other ON mask USING CHI (mask)",
            errors.CatalogError,
            'table "mask" not found; did you mean "masks"',
        ),
        (
            "CREATE INDEX other ON seen USING CHI (mask)",
            errors.CatalogError,
            '"seen" is a view, not a table',
        ),
        (
            "CREATE INDEX other ON masks USING CHI (mask) WITH (cell = -1)",
            errors.BindError,
            "option cell of a CHI index is a whole number from 0 to 4096, not -1",
        ),
        (
            "CREATE INDEX other ON masks USING CHI (mask) WITH (bins = -1)",
            errors.BindError,
            "option bins of a CHI index is a whole number from 1 to 256, not -1",
        ),
        (
            "CREATE INDEX other ON masks USING CHI (mask) WITH (bins = 'many')",
            errors.BindError,
            "option bins of a CHI index is a whole number from 1 to 256, not 'many'",
        ),
        (
            "CREATE INDEX other ON masks USING CHI (mask) WITH (bins = NULL)",
            errors.BindError,
            "option bins of a CHI index is a whole number from 1 to 256, not NULL",
        ),
        (
            "CREATE INDEX other ON masks USING CHI (mask) WITH (cells = 4)",
            errors.BindError,
            'a CHI index has no option "cells"; did you mean "cell"?',
        ),
        ("DROP INDEX mask_chi", errors.CatalogError, 'index "mask_chi" not found'),
    ],
)
def test_errors(
    con: tensorsql.Connection, sql: str, error: type[errors.Error], message: str
) -> None:
    before = con.execute("SHOW INDEXES").fetchall()
    with pytest.raises(error) as caught:
        con.execute(sql).fetchall()
    assert caught.value.message.startswith(message)
    assert con.execute("SHOW INDEXES").fetchall() == before


@pytest.mark.parametrize(
    ("content", "error"),
    [(None, errors.IOError), (b"", errors.CorruptError), (b"junk", errors.CorruptError)],
)
def test_a_bad_file_leaves_no_table(
    con: tensorsql.Connection, tmp_path: Path, content: bytes | None, error: type[errors.Error]
) -> None:
    path = tmp_path / "maps.npy"
    if content is not None:
        path.write_bytes(content)
    before = con.execute("SHOW TABLES").fetchall()
    with pytest.raises(error, match=r"maps\.npy"):
        con.execute(f"CREATE TABLE broken AS SELECT * FROM read_masks('{path}')")
    assert con.execute("SHOW TABLES").fetchall() == before


def test_a_truncated_file_leaves_the_table_as_it_was(
    con: tensorsql.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "maps.npy"
    np.save(path, PIXELS[:4])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(errors.CorruptError, match=r"maps\.npy"):
        con.execute(f"INSERT INTO masks SELECT 0, 0, mask FROM read_masks('{path}')")
    assert con.execute("SELECT COUNT(*) FROM masks").fetchall() == [(COUNT,)]


def test_a_lost_index_file_is_named(tmp_path: Path) -> None:
    """A persistent database whose index file was truncated says which, and answers without it."""
    folder = tmp_path / "kept.tsql"
    with tensorsql.connect(str(folder)) as con:
        con.register_masks("source", PIXELS[:50])
        con.execute("CREATE TABLE masks AS SELECT index AS id, mask FROM source")
        con.execute("CREATE INDEX chi ON masks USING CHI (mask)")
    files = [path for path in folder.rglob("*.npy") if "counts" in path.name]
    assert files
    files[0].write_bytes(b"junk")
    sql = "SELECT COUNT(*) FROM masks WHERE CP(mask, -, (0.5, 1)) > 60"
    with tensorsql.connect(str(folder)) as con:
        with pytest.raises(errors.CorruptError, match=r"kept\.tsql.*drop it and create it again"):
            con.execute(sql).fetchall()
        con.execute("SET use_indexes = false")
        assert con.execute(sql).fetchall() == [(int((bright(128)[:50] > 60).sum()),)]
        con.execute("SET use_indexes = true")
        con.execute("DROP INDEX chi")
        con.execute("CREATE INDEX chi ON masks USING CHI (mask)")
        assert con.execute(sql).fetchall() == [(int((bright(128)[:50] > 60).sum()),)]
