"""What Pillow would cut off without a word: numbers of more bits than it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

HEAD = 1 << 16  # bytes
WIDE = ("I;16", "I", "F")  # modes of more than 8 bits
BITS, SAMPLES = 258, 339  # TIFF's tags BitsPerSample and SampleFormat
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # values of the latter


def cut(path: Path, image: Image.Image, mode: str) -> str:
    """What the pixels are and Pillow does not keep, in words; "" if it keeps all."""
    raw = raw_mode(image)
    if mode not in WIDE and ("16" in raw or _is_deep_ppm(image)):
        return _bits(16)
    describe = _SAID.get(str(image.format))
    return "" if describe is None else describe(path, image, mode)


def raw_mode(image: Image.Image) -> str:
    """How pixels lie in the file, as Pillow calls it."""
    arguments = _arguments(image)
    return next((part for part in arguments[:1] if isinstance(part, str)), "")


def is_unsigned(image: Image.Image) -> bool:
    """Whether numbers of 32 bits have no sign, which Pillow gives them."""
    if image.format != "TIFF":
        return False
    bits, kind = _tiff(image)
    return (bits, kind) == (32, UNSIGNED)


def _bits(number: int) -> str:
    return f"{number} bits a colour, of which only 8 would be read"


def _arguments(image: Image.Image) -> tuple[Any, ...]:
    tiles: Any = getattr(image, "tile", None)
    if not tiles:
        return ()
    arguments = tiles[0][3]
    return arguments if isinstance(arguments, tuple) else (arguments,)


def _is_deep_ppm(image: Image.Image) -> bool:
    deep = any(isinstance(part, int) and part > 255 for part in _arguments(image)[1:])
    return image.format == "PPM" and deep


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _jpeg2000(path: Path, image: Image.Image, mode: str) -> str:
    head = _head(path)
    start = head.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return ""
    count = int.from_bytes(head[start + 40 : start + 42], "big")
    sizes = head[start + 42 : start + 42 + 3 * count : 3]
    depth = max(((size & 127) + 1 for size in sizes), default=8)
    if any(size & 128 for size in sizes):
        return "numbers with a sign, which would be lost"
    if depth > 8 and mode not in WIDE:
        return _bits(depth)
    return "" if depth in (8, 16) or depth < 8 else f"{depth} bits, which would be stretched to 16"


def _avif(path: Path, image: Image.Image, mode: str) -> str:
    head = _head(path)
    start = head.find(b"av1C")
    flags = head[start + 6] if 0 <= start < len(head) - 6 else 0
    return "" if not flags & 64 else _bits(12 if flags & 32 else 10)


def _sgi(path: Path, image: Image.Image, mode: str) -> str:
    return _bits(16) if _head(path)[3:4] == b"\2" else ""


def _dds(path: Path, image: Image.Image, mode: str) -> str:
    return "floats, which would be cut to bytes" if _arguments(image)[:1] == (6,) else ""


def _tiff(image: Image.Image) -> tuple[int, int]:
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits, kinds = tags.get(BITS, (1,)), tags.get(SAMPLES, (UNSIGNED,))
    return max(bits, default=1), max(kinds, default=UNSIGNED)


def _tiff_numbers(path: Path, image: Image.Image, mode: str) -> str:
    bits, kind = _tiff(image)
    if kind == FLOAT and bits > 32:
        return f"floats of {bits} bits, of which only 32 would be read"
    return (
        "numbers of 8 bits with a sign, which would be lost" if (bits, kind) == (8, SIGNED) else ""
    )


_SAID: dict[str, Callable[[Path, Image.Image, str], str]] = {
    "AVIF": _avif,
    "DDS": _dds,
    "JPEG2000": _jpeg2000,
    "SGI": _sgi,
    "TIFF": _tiff_numbers,
}
