"""Images through Pillow: `read_images` as rows (filename, width, height, channels, image)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorsql.errors import BindError, CorruptError, IOError, UnsupportedError
from tensorsql.storage.columns import types
from tensorsql.storage.columns.analyze import analyze
from tensorsql.storage.columns.physical import physical
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.formats.options import Files, Option, Options, flag, option_fields
from tensorsql.storage.formats.paths import expand
from tensorsql.storage.formats.pictures import GREY, IMAGE, Images, Picture, look, tell_left_out
from tensorsql.storage.tables.catalog import ColumnSchema, Relation, TableSchema
from tensorsql.storage.tables.lazy import lazy_relation
from tensorsql.storage.tables.segment import LazyStatistics

if TYPE_CHECKING:
    from tensorsql.storage.formats.late_images import ImagesReader

LARGEST_SIDE = 1 << 16  # pixels


def read_files(function: str, files: Files, options: Options) -> Relation:
    """`relation` of a call of the table function; BindError for an unknown option."""
    return relation(function, files, **option_fields(function, options, OPTIONS))


OPTIONS = {
    "size": Option("size", "[width, height] in pixels", lambda _: True),  # `relation` checks it
    "orient": flag("orient"),
    "ignore_errors": flag("ignore_errors"),
}


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(type(side) is int and 0 < side <= LARGEST_SIDE for side in value)
    )


def relation(
    name: str,
    files: str | Sequence[str],
    size: tuple[int, int] | None = None,
    orient: bool = True,
    ignore_errors: bool = False,
) -> Relation:
    """One row per image; `image` is a TENSOR [channels, height, width] of what the files hold.

    Channels are 1 if every image is grey, else 3. Images of different sizes need `size`
    (width, height), to which all are resized; `width` and `height` say what the file had. Images
    are turned as their EXIF data say unless `orient` is false. Only images that a query asks for
    are decoded; with `ignore_errors` all are whose rows are left by other conditions, and files
    that cannot be decoded are left out, with a warning.
    """
    if size is not None and not _is_size(size):
        raise BindError(f"size is [width, height] in pixels, not {size}")
    paths = expand(files)
    pictures = _good(name, paths) if ignore_errors else [_single(path) for path in paths]
    shape, element = _common(pictures, size, orient)
    columns = (
        ColumnSchema("filename", types.VARCHAR),
        ColumnSchema("width", types.INTEGER),
        ColumnSchema("height", types.INTEGER),
        ColumnSchema("channels", types.INTEGER),
        ColumnSchema(IMAGE, types.tensor(shape, element)),
    )
    images = Images(name, pictures, shape, element, orient)
    kinds = {column.name: column.type for column in columns}
    statistics = LazyStatistics(tuple(kinds), partial(_measure, images, kinds))
    made = lazy_relation(TableSchema(name, columns), len(pictures), images.column, statistics)
    doubtful = IMAGE if ignore_errors else ""
    return replace(made, open=partial(_open, made, images), doubtful=doubtful)


def _open(made: Relation, images: Images) -> ImagesReader:
    from tensorsql.storage.formats.late_images import ImagesReader

    return ImagesReader(made.open(), images, made.schema.columns[-1].type)


def _good(name: str, paths: Sequence[Path]) -> list[Picture]:
    """The pictures of files that are images; their pixels may still turn out to be damaged."""
    good, left_out = [], []
    for path in paths:
        try:
            good.append(_single(path))
        except (CorruptError, IOError, UnsupportedError) as error:
            left_out.append(error.message)
    if not good:
        raise CorruptError(f"{name} can read none of {len(paths)} files: {left_out[0]}")
    tell_left_out(name, left_out, len(paths))
    return good


def _single(path: Path) -> Picture:
    picture = look(path)
    if picture.pages > 1:
        raise UnsupportedError(
            f'file "{path}" has {picture.pages} pages; read_images takes files of one image'
        )
    return picture


def _common(
    pictures: Sequence[Picture], size: tuple[int, int] | None, orient: bool
) -> tuple[tuple[int, int, int], str]:
    """Shape and element type that all images have, or are brought to."""
    first = pictures[0]
    for other in pictures:
        if _element(other) != _element(first):
            raise UnsupportedError(
                f'"{other.path}" holds {_element(other)} and "{first.path}" {_element(first)};'
                " read them apart"
            )
        if size is None and other.size(orient) != first.size(orient):
            here, there = ("{} x {}".format(*each.size(orient)) for each in (other, first))
            raise UnsupportedError(
                f'"{other.path}" is {here} and "{first.path}" {there};'
                " give a size => (width, height) for all"
            )
    width, height = size or first.size(orient)
    channels = 1 if all(picture.mode in GREY for picture in pictures) else 3
    return (channels, height, width), _element(first)


def _element(picture: Picture) -> str:
    return "uint8" if picture.element == "bool" else picture.element


def _measure(images: Images, kinds: Mapping[str, types.Type], name: str) -> ColumnStatistics:
    """Of the images only that none is NULL, which needs no pixels."""
    if name == IMAGE:
        return ColumnStatistics(non_null=True)
    return analyze(physical(images.column(name), kinds[name], stored=True), kinds[name])
