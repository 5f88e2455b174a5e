"""Text files as UTF-8: byte order marks, other encodings, and where a file is no text."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pyarrow as pa

from tensorsql.errors import BindError, CorruptError

# the longer mark first: that of UTF-32 begins like that of UTF-16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

SAMPLE = 64  # bytes


def check_encoding(name: Any) -> str:
    """A value of the option `encoding` as Python calls it; BindError for an unknown one."""
    try:
        # those from bytes to bytes, such as rot13, refuse here
        if isinstance(name, str) and b"".decode(name) == "" and "".encode(name) is not None:
            return codecs.lookup(name).name
    except (LookupError, ValueError, TypeError):
        pass
    raise BindError(f"encoding is one such as 'utf-8', 'utf-16' or 'latin-1', not {name!r}")


def utf8(path: Path, content: bytes, encoding: str | None = None) -> bytes:
    """The text as UTF-8 without a mark; None goes by the mark and otherwise is UTF-8.

    CorruptError that names line and column for bytes that are no text.
    """
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if encoding is None and marked is None:
        _check_unmarked(path, content)
    chosen = encoding or marked or "utf-8"
    if chosen in ("utf-8", "utf-8-sig"):
        text = content.removeprefix(codecs.BOM_UTF8)
        if _is_utf8(text):
            return text
    try:
        return content.decode(chosen).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        raise CorruptError(_reason(path, content, chosen, error)) from None


def _check_unmarked(path: Path, content: bytes) -> None:
    """CorruptError for what is UTF-16 but does not say so: as UTF-8 it is full of NUL bytes."""
    start = content[: len(content[:SAMPLE]) // 2 * 2]
    for place, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        others = start[1 - place :: 2]
        if len(others) > 1 and not any(start[place::2]) and all(others):
            raise CorruptError(
                f"file \"{path}\" has a NUL byte beside each letter; say encoding => '{name}' if "
                "that is what it is, or 'utf-8' to read it as it stands"
            )


def _is_utf8(text: bytes) -> bool:
    ends = pa.py_buffer(len(text).to_bytes(8, "little").rjust(16, b"\0"))
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(text)])
    try:
        whole.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _reason(path: Path, content: bytes, encoding: str, error: UnicodeError) -> str:
    start = getattr(error, "start", 0)
    before = content[:start].decode(encoding, "replace").splitlines() if start else []
    line = content.count(b"\n", 0, start) + 1
    column = start - content.rfind(b"\n", 0, start)
    if encoding not in ("utf-8", "utf-8-sig"):  # lines are of characters there
        line, column = max(len(before), 1), len(before[-1]) + 1 if before else 1
    byte = content[start : start + 1].hex()
    return (
        f'file "{path}" is not {encoding} text: line {line}, column {column} has the byte '
        f"0x{byte}; say its encoding => '…', such as 'latin-1', if it has another"
    )
