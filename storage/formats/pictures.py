"""Image files through Pillow: what each says of its picture, its pixels, and columns of many."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose

from tensorsql.errors import CorruptError, Error, UnsupportedError
from tensorsql.storage.files.quiet import quietly
from tensorsql.storage.formats.libtiff import last_message, take_messages
from tensorsql.storage.formats.paths import reading
from tensorsql.storage.formats.picture_depth import cut, is_unsigned, raw_mode

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
_MODES = {"uint8": "L", "uint16": "I", "int32": "I", "float32": "F"}  # that Pillow can resize
IMAGE = "image"
NAMED = 3  # files that a warning names
Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]
take_messages()


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
    unsigned: bool = False  # numbers of 32 bits, which Pillow takes for such with a sign

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


def decode_pages(picture: Picture, orient: bool) -> list[Image.Image]:
    """All pages, turned as the file says or not."""
    with _opened(picture.path) as image:
        pages = []
        for page in range(picture.pages):
            with quietly():
                image.seek(page)
            pages.append(_turned(image, picture, orient))
        return pages


@contextmanager
def _opened(path: Path, otherwise: str = "not an image") -> Iterator[Image.Image]:
    """The file as Pillow sees it: whatever Pillow raises over broken content is a CorruptError.

    Warnings on what is odd in a file but its pixels are not shown.
    """
    last_message()
    try:
        # of a path Pillow maps the pixels, and those of turned TIFF files wrongly
        with reading(path), path.open("rb") as file:
            with quietly():
                image = _open(file, path, otherwise)
            yield image
    except CorruptError as error:
        said = last_message()
        raise CorruptError(f"{error.message} ({said})" if said else error.message) from None
    except (Error, MemoryError):
        raise
    except Exception as error:  # each of its readers has its own idea of what to raise
        raise CorruptError(f'file "{path}" cannot be read: {error}') from None


def _open(file: BinaryIO, path: Path, otherwise: str) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        raise CorruptError(f'file "{path}" is {otherwise}') from None


def _turned(image: Image.Image, picture: Picture, orient: bool) -> Image.Image:
    already = image.format == "TIFF"  # Pillow turns these itself, and reads their tags again
    with quietly() if already else nullcontext():
        image.load()
    if picture.unsigned and image.getextrema()[0] < 0:  # type: ignore[operator]
        raise UnsupportedError(
            f'image "{picture.path}" has numbers beyond 31 bits; convert it to a .npy file'
        )
    turns = _BACK if already else _TURNS
    if already != orient and picture.orientation in turns:
        return image.transpose(turns[picture.orientation])
    return image.copy()


def _picture(path: Path, image: Image.Image) -> Picture:
    raw = raw_mode(image)
    mode = "I;16" if image.mode.startswith("I;16") else image.mode
    if mode == "I" and raw.startswith("I;16") and "S" not in raw:  # as older Pillows open them
        mode = "I;16"
    lost = cut(path, image, mode)
    if lost:
        raise UnsupportedError(
            f'image "{path}" has {lost}; convert it to 8 bits, or to a .npy file for read_npy'
        )
    pages = 1 if image.format in _SECOND_IS_PREVIEW else int(getattr(image, "n_frames", 1))
    width, height = image.size
    if image.format == "TIFF":
        width, height = image.tag_v2[256], image.tag_v2[257]  # type: ignore[attr-defined]
    element = _ELEMENTS.get(mode, "uint8")
    turn, unsigned = _orientation(image), is_unsigned(image)
    return Picture(path, str(image.format), width, height, mode, element, pages, turn, unsigned)


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        turn = image.tag_v2.get(ORIENTATION, 1)  # type: ignore[attr-defined]
    elif image.format == "PNG" and "exif" not in image.info:
        return 1  # looking further would decode the pixels
    else:
        turn = image.getexif().get(ORIENTATION, 1)
    return turn if turn in _TURNS else 1


class Images:
    """The files of a relation and what makes their columns. Pickles without pixels."""

    def __init__(
        self,
        name: str,
        pictures: Sequence[Picture],
        shape: tuple[int, int, int],
        element: str,
        orient: bool,
    ) -> None:
        self.name = name
        self.pictures = pictures
        self.shape = shape
        self.element = element
        self.orient = orient

    def __len__(self) -> int:
        return len(self.pictures)

    def column(self, name: str) -> pa.Array:
        """A column of all files but the images, which a reader decodes by rows."""
        sizes = [picture.size(self.orient) for picture in self.pictures]
        match name:
            case "filename":
                return pa.array([str(picture.path) for picture in self.pictures])
            case "width":
                return pa.array([width for width, _ in sizes], pa.int32())
            case "height":
                return pa.array([height for _, height in sizes], pa.int32())
            case "channels":
                return pa.array(np.full(len(sizes), self.shape[0], np.int32))
        raise KeyError(name)

    def pixels(self, row: int) -> Pixels:
        """The image [channels, height, width] of a row, decoded now."""
        channels, height, width = self.shape
        picture = self.pictures[row]
        image = decode(picture, self.orient, _mode(channels == 1, self.element))
        if image.size != picture.size(self.orient):
            raise CorruptError(f'image "{picture.path}" has other pixels than it says')
        if image.size != (width, height):
            image = image.resize((width, height))
        values = np.asarray(image).reshape(height, width, channels)
        if self.element == "uint16":
            values = np.clip(values, 0, 65535)  # resizing may overshoot
        return values.transpose(2, 0, 1).astype(self.element)


def tell_left_out(name: str, left_out: Sequence[str], files: int) -> None:
    """Warn of files, said by their errors, that a query goes without."""
    if left_out:
        named = "; ".join(left_out[:NAMED]) + ("; …" if len(left_out) > NAMED else "")
        text = f"{name} left out {len(left_out)} of {files} files: {named}"
        warnings.warn(text, stacklevel=2)


def _mode(is_grey: bool, element: str) -> str:
    return _MODES[element] if is_grey else "RGB"
