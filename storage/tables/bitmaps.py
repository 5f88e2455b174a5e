"""Deletion bitmaps on disk: one bit a row, in a `.npy` file. Torch-free."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tensorsql.storage.tables.database_files import DatabaseFiles
from tensorsql.storage.tables.snapshot import Deletion


def save_bitmap(path: Path, flags: NDArray[np.bool_]) -> None:
    """Write the flags of a segment's rows."""
    np.save(path, np.packbits(flags, bitorder="little"))


def stored_deletion(files: DatabaseFiles, name: str, count: int, rows: int) -> Deletion:
    """The deletion of so many of a segment's rows, read from its file when it is asked for."""
    path = files.folder / "segments" / name
    return Deletion(count, partial(_load, files, path, count, rows), name)


def _load(files: DatabaseFiles, path: Path, count: int, rows: int) -> NDArray[np.bool_]:
    stored = files.open(path).array()
    packed = stored.whole()
    if packed.dtype != np.uint8 or packed.shape != ((rows + 7) // 8,):
        raise stored.file.damaged(f"it is no bitmap of {rows} rows")
    flags = np.unpackbits(packed, count=rows, bitorder="little").view(np.bool_)
    if int(flags.sum()) != count:
        raise stored.file.damaged(f"it does not mark {count} rows")
    return flags
