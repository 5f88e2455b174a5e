"""Image files through Pillow: what a file says of its picture, and the pixels it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose

from tensorsql.errors import CorruptError, Error, UnsupportedError
from tensorsql.storage.formats.paths import reading
from tensorsql.storage.quiet import quietly

ORIENTATION = 0x0112  # the EXIF and TIFF tag
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_BACK = {**_TURNS, 6: Transpose.ROTATE_90, 8: Transpose.ROTATE_270}
_ELEMENTS = {"1": "bool", "I;16": "uint16", "I": "int32", "F": "float32"}  # others are uint8
GREY = ("1", "L", "I;16", "I", "F")
_SECOND_IS_PREVIEW = ("MPO",)  # cameras' JPEG files


@dataclass(frozen=True)
class Picture:
    """What a file says before its pixels are decoded; sizes are those of the pixels as saved."""

    path: Path
    format: str
    width: int
    height: int
    mode: str
    element: str
    pages: int
    orientation: int

    def size(self, orient: bool) -> tuple[int, int]:
        """Width and height, turned as the file says or not."""
        turned = orient and self.orientation >= 5
        return (self.height, self.width) if turned else (self.width, self.height)


def look(path: Path, otherwise: str = "not an image") -> Picture:
    """The picture of a file; CorruptError or UnsupportedError if it cannot be read as it is.

    `otherwise` is what the error calls a file that is none.
    """
    with _opened(path, otherwise) as image, quietly():
        return _picture(path, image)


def decode(picture: Picture, orient: bool, mode: str) -> Image.Image:
    """The pixels in a mode, turned as the file says or not; CorruptError if they are damaged."""
    with _opened(picture.path) as image:
        turned = _turned(image, picture, orient)
        return turned if turned.mode == mode else turned.convert(mode)


def decode_pages(picture: Picture) -> list[Image.Image]:
    """All pages, turned as the file says."""
    with _opened(picture.path) as image:
        found = []
        for page in range(picture.pages):
            with quietly():
                image.seek(page)
            found.append(_turned(image, picture, orient=True))
        return found


@contextmanager
def _opened(path: Path, otherwise: str = "not an image") -> Iterator[Image.Image]:
    """The file as Pillow sees it: whatever Pillow raises over broken content is a CorruptError.

    Warnings on what is odd in a file but its pixels are not shown.
    """
    try:
        with reading(path):
            with quietly():
                image = _open(path, otherwise)
            with image:
                yield image
    except (Error, MemoryError):
        raise
    except Exception as error:  # each of its readers has its own idea of what to raise
        raise CorruptError(f'file "{path}" cannot be read: {error}') from None


def _open(path: Path, otherwise: str) -> Image.Image:
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        raise CorruptError(f'file "{path}" is {otherwise}') from None


def _turned(image: Image.Image, picture: Picture, orient: bool) -> Image.Image:
    already = image.format == "TIFF"  # Pillow turns these itself, and reads their tags again
    with quietly() if already else nullcontext():
        image.load()
    turns = _BACK if already else _TURNS
    if already != orient and picture.orientation in turns:
        return image.transpose(turns[picture.orientation])
    return image.copy()


def _picture(path: Path, image: Image.Image) -> Picture:
    raw = _raw_mode(image)
    mode = "I;16" if image.mode.startswith("I;16") else image.mode
    if mode == "I" and raw.startswith("I;16") and "S" not in raw:  # as older Pillows open them
        mode = "I;16"
    if mode not in GREY and ("16" in raw or _is_deep_ppm(image)):
        raise UnsupportedError(
            f'image "{path}" has 16 bits a colour, of which only 8 would be read; convert it to 8'
            " bits, or to a .npy file for read_npy"
        )
    pages = 1 if image.format in _SECOND_IS_PREVIEW else int(getattr(image, "n_frames", 1))
    width, height = image.size
    if image.format == "TIFF":
        width, height = image.tag_v2[256], image.tag_v2[257]  # type: ignore[attr-defined]
    element = _ELEMENTS.get(mode, "uint8")
    return Picture(
        path, str(image.format), width, height, mode, element, pages, _orientation(image)
    )


def _raw_mode(image: Image.Image) -> str:
    """How pixels lie in the file, as Pillow calls it."""
    tiles: Any = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _is_deep_ppm(image: Image.Image) -> bool:
    tiles: Any = getattr(image, "tile", None)
    if image.format != "PPM" or not tiles or not isinstance(tiles[0][3], tuple):
        return False
    return any(isinstance(part, int) and part > 255 for part in tiles[0][3][1:])


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        found = image.tag_v2.get(ORIENTATION, 1)  # type: ignore[attr-defined]
    elif image.format == "PNG" and "exif" not in image.info:
        return 1  # looking further would decode the pixels
    else:
        found = image.getexif().get(ORIENTATION, 1)
    return found if found in _TURNS else 1
