"""Checksums: of a file, block by block, and of a record of the catalog. Torch-free."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 1 << 18  # bytes; what is read of a file is checked in whole blocks
WORD = np.dtype("<u4")


@dataclass(frozen=True)
class Checksum:
    """The size of a file and the CRC-32 of each of its blocks, four bytes each."""

    size: int
    blocks: bytes

    def expected(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """The checksum of each block."""
        return np.frombuffer(self.blocks, WORD)


def file_checksum(path: Path, check: Callable[[], None] = lambda: None) -> Checksum:
    """The checksum of what a file holds now; `check` is called now and then and may raise."""
    blocks, size = [], 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            check()
            blocks.append(zlib.crc32(block))
            size += len(block)
    return Checksum(size, np.array(blocks, WORD).tobytes())


def folder_checksums(folder: Path) -> dict[Path, Checksum]:
    """The checksums of all files below a folder."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path: file_checksum(path) for path in paths}


def record_checksum(*parts: Any) -> int:
    """The CRC-32 of a record: its key and what is kept under it."""
    return zlib.crc32(json.dumps(parts).encode())


def relative(path: str | os.PathLike[str], folder: Path) -> str:
    """How the catalog names a file of the database in `folder`."""
    return Path(path).relative_to(folder).as_posix()
