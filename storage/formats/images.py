"""Images through Pillow: `read_images` as rows (filename, width, height, channels, image)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from tensorsql.errors import BindError, CorruptError, UnsupportedError
from tensorsql.storage import types
from tensorsql.storage.catalog import ColumnSchema, Relation, TableSchema
from tensorsql.storage.formats.objects import numpy_array
from tensorsql.storage.formats.options import Files, Options, check_options
from tensorsql.storage.formats.paths import expand, reading
from tensorsql.storage.lazy import lazy_relation

LARGEST_SIDE = 1 << 16  # pixels
GREY_MODES = ("1", "L")


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of its image before its pixels are decoded."""

    width: int
    height: int
    mode: str


def read_files(function: str, files: Files, options: Options) -> Relation:
    """`relation` of a call of the table function; BindError for an unknown option."""
    check_options(function, options, ("size",))
    return relation(function, files, options.get("size"))


def relation(
    name: str, files: str | Sequence[str], size: tuple[int, int] | None = None
) -> Relation:
    """One row per image; `image` is a uint8 TENSOR [channels, height, width].

    Channels are 1 if every image is grey, else 3. Images of different sizes need `size`
    (width, height), to which all are resized; `width` and `height` say what the file had.
    """
    if size is not None and (
        not isinstance(size, tuple)
        or len(size) != 2
        or not all(isinstance(side, int) and 0 < side <= LARGEST_SIDE for side in size)
    ):
        raise BindError(f"size is [width, height] in pixels, not {size}")
    paths = expand(files)
    headers = [_header(path) for path in paths]
    channels = 1 if all(header.mode in GREY_MODES for header in headers) else 3
    width, height = size or _common_size(paths, headers)
    columns = (
        ColumnSchema("filename", types.VARCHAR),
        ColumnSchema("width", types.INTEGER),
        ColumnSchema("height", types.INTEGER),
        ColumnSchema("channels", types.INTEGER),
        ColumnSchema("image", types.tensor((channels, height, width), "uint8")),
    )

    load = partial(_column, paths, headers, columns[-1].type.shape)
    return lazy_relation(TableSchema(name, columns), len(paths), load)


def _column(
    paths: Sequence[Path], headers: Sequence[ImageHeader], shape: tuple[int, ...], name: str
) -> pa.Array:
    channels, height, width = shape
    match name:
        case "filename":
            return pa.array([str(path) for path in paths])
        case "width":
            return pa.array([header.width for header in headers], pa.int32())
        case "height":
            return pa.array([header.height for header in headers], pa.int32())
        case "channels":
            return pa.array(np.full(len(paths), channels, np.int32))
        case _:
            return numpy_array(_pixels(paths, (width, height), channels))


def _header(path: Path) -> ImageHeader:
    with reading(path):
        try:
            with Image.open(path) as image:
                return ImageHeader(image.width, image.height, image.mode)
        except Image.DecompressionBombError as error:
            raise CorruptError(f'file "{path}" cannot be read: {error}') from None
        except UnidentifiedImageError:
            raise CorruptError(f'file "{path}" is not an image') from None


def _common_size(paths: Sequence[Path], headers: Sequence[ImageHeader]) -> tuple[int, int]:
    first = headers[0]
    for path, header in zip(paths, headers, strict=True):
        if (header.width, header.height) != (first.width, first.height):
            raise UnsupportedError(
                f'"{path}" is {header.width} x {header.height} and "{paths[0]}" '
                f"{first.width} x {first.height}; give a size => (width, height) for all"
            )
    return first.width, first.height


def _pixels(
    paths: Sequence[Path], size: tuple[int, int], channels: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    width, height = size
    result = np.empty((len(paths), channels, height, width), np.uint8)
    for number, path in enumerate(paths):
        with reading(path), Image.open(path) as image:
            converted = image.convert("L" if channels == 1 else "RGB")
            if converted.size != size:
                converted = converted.resize(size)
            values = np.asarray(converted).reshape(height, width, channels)
            result[number] = values.transpose(2, 0, 1)
    return result
