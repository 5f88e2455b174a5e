"""NumPy arrays from outside: `.npy` files, damaged ones a ValueError, and odd booleans."""

from __future__ import annotations

import tokenize
from pathlib import Path
from typing import Any

import numpy as np

from tensorsql.storage.files.checked_file import ONE_HEADER

MAGIC = b"\x93NUMPY"
ARCHIVE = b"PK"


def load_array(path: Path, mapped: bool = False) -> Any:
    """The array (or `.npz` archive) in a file; `mapped` leaves its content there where it can.

    OSError if the file cannot be read, ValueError if it does not hold what it should.
    """
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start != MAGIC and not start.startswith(ARCHIVE):
        raise ValueError("it is not a .npy file" if start else "it is empty")
    try:
        with ONE_HEADER:
            if mapped:
                try:
                    return np.load(path, mmap_mode="r", allow_pickle=False)
                except ValueError:
                    pass  # arrays without elements cannot be mapped
            return np.load(path, allow_pickle=False)
    except (EOFError, SyntaxError, TypeError, OverflowError, tokenize.TokenError) as error:
        raise ValueError(str(error)) from None


def plain_booleans(array: np.ndarray) -> np.ndarray:
    """Booleans with 1 as every TRUE byte (Pillow's 1-bit images have 255); others as they are."""
    if array.dtype != np.bool_ or array.size == 0:
        return array
    stored = np.ascontiguousarray(array).view(np.uint8)
    return array if stored.max() <= 1 else stored != 0
