"""Masks of groups against NumPy, however many pieces a group's members come in."""

from __future__ import annotations

import numpy as np
import pytest

import tensorsql
from tensorsql.storage.masks import counts as mask_counts

SIDE, MASKS = 6, 90
KINDS = {
    "MASK_INTERSECT(mask)": lambda m: m.min(0),
    "MASK_UNION(mask)": lambda m: m.max(0),
    "MASK_UNION(mask, 0.5)": lambda m: (m >= 128).max(0) * 255.0,
    "MASK_INTERSECT(mask, 0.2)": lambda m: (m > 51).min(0) * 255.0,
    "MASK_AVG(mask)": lambda m: m.astype(np.int64).sum(0) / len(m),
}


@pytest.mark.parametrize("pixels", [1, SIDE * SIDE * 4, 1 << 22])
@pytest.mark.parametrize("kind", KINDS)
def test_pieces(monkeypatch: pytest.MonkeyPatch, kind: str, pixels: int) -> None:
    monkeypatch.setattr(mask_counts, "CHUNK_PIXELS", pixels)
    random = np.random.default_rng(3)
    masks = random.integers(0, 256, (MASKS, SIDE, SIDE), dtype=np.uint8)
    groups = np.concatenate([np.full(40, 7), random.integers(0, 12, MASKS - 40)])
    con = tensorsql.connect()
    con.register_masks("m", masks, columns={"g": groups})
    counts = ", ".join(f"CP({kind}, -, ({low}, 1.0))" for low in (0.1, 0.4, 0.6, 0.9))
    found = con.execute(f"SELECT g, {counts} FROM m GROUP BY g ORDER BY g").fetchall()
    wanted = []
    for group in np.unique(groups):
        combined = KINDS[kind](masks[groups == group]) / 255
        wanted.append((int(group), *(int((combined >= x).sum()) for x in (0.1, 0.4, 0.6, 0.9))))
    assert found == wanted
