"""Compressed text files: gzip and zstd, by content or name when read, by name when written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorsql.errors import CorruptError, UnsupportedError

CODECS = {".gz": "gzip", ".zst": "zstd"}
METHODS = ("auto", "none", *CODECS.values())
OTHERS = (".bz2", ".xz", ".lz4", ".br", ".zip", ".7z", ".lzma", ".z", ".snappy")
# no UTF-8 text begins like this, so that there is no mistaking one for the other
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def plain_name(path: str) -> str:
    """The path without the suffix of a compression."""
    name = Path(path)
    return str(name.with_suffix("")) if name.suffix.lower() in CODECS else path


def read_bytes(path: Path, method: str = "auto") -> bytes:
    """The content of a file, decompressed; "auto" goes by how it begins."""
    content = path.read_bytes()
    actual = next((name for magic, name in _MAGIC.items() if content.startswith(magic)), "none")
    suffix = path.suffix.lower()
    if suffix in OTHERS:
        raise UnsupportedError(f'file "{path}": {suffix} is not read; only gzip and zstd are')
    wanted = CODECS.get(suffix, actual) if method == "auto" else method
    if method == "auto" and actual != wanted and content:
        raise CorruptError(
            f'file "{path}" is not compressed by {wanted} as its name says; '
            "rename it or say compression => 'none'"
        )
    if wanted == "none":
        return content
    if actual != wanted:
        raise CorruptError(f'file "{path}" is not compressed by {wanted}')
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(content), wanted) as stream:
        return bytes(stream.read())


def written_method(path: str, method: str = "auto") -> str:
    """How a file of this name is compressed; UnsupportedError for a suffix we do not write."""
    suffix = Path(path).suffix.lower()
    if suffix in OTHERS and method == "auto":
        raise UnsupportedError(f'cannot write "{path}": text is compressed as .gz or .zst')
    return CODECS.get(suffix, "none") if method == "auto" else method


@contextmanager
def writer(target: str, method: str) -> Iterator[Any]:
    """A stream that takes bytes into the file."""
    import pyarrow as pa

    with pa.OSFile(target, "wb") as file:
        if method == "none":
            yield file
        else:
            with pa.CompressedOutputStream(file, method) as stream:
                yield stream
