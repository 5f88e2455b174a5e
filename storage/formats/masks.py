"""Masks: `read_masks` as rows (filename, index, mask), and arrays registered as such.

Files are `.npy` of shape [n, h, w] or [h, w], or single-channel images, TIFF of several pages among
them. All of a relation share one dtype and scale; sizes may differ. Pixels are read, and checked,
when a query first needs them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tensorsql.errors import BindError, ConversionError
from tensorsql.storage.columns import types
from tensorsql.storage.columns.analyze import analyze
from tensorsql.storage.columns.arrow_types import type_of_arrow
from tensorsql.storage.columns.physical import physical
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.files.array_file import plain_booleans
from tensorsql.storage.formats.npy import map_array
from tensorsql.storage.formats.objects import arrow_table
from tensorsql.storage.formats.options import Files, Option, Options, flag, option_fields
from tensorsql.storage.formats.paths import expand
from tensorsql.storage.formats.pictures import GREY, decode_pages, look
from tensorsql.storage.masks.levels import check_element, check_pixels
from tensorsql.storage.tables.catalog import ColumnSchema, Relation, TableSchema
from tensorsql.storage.tables.lazy import open_segment
from tensorsql.storage.tables.segment import LazyStatistics, RowIds, Segment, Unchecked

if TYPE_CHECKING:
    from tensorsql.storage.columns.masks import MaskBlock
    from tensorsql.storage.formats.pictures import Picture

CLASSES = "classes"  # the scale of pixels that are numbers of classes
CLASS_SCALE = 255
MASK = "mask"

Arrays = list[np.ndarray]  # each [n, h, w]


def read_files(function: str, files: Files, options: Options) -> Relation:
    """`relation` of a call of the table function; BindError for an unknown option."""
    return relation(function, files, **option_fields(function, options, _OPTIONS))


_OPTIONS = {
    "scale": Option("scale", "a whole number or 'classes'", lambda _: True),  # `relation` checks it
    "orient": flag("orient"),
}


def relation(
    name: str,
    files: str | Sequence[str],
    scale: int | str | None = None,
    orient: bool = True,
) -> Relation:
    """Rows (filename, index, mask) of the files, a row per mask, so per page of a TIFF file.

    `scale` is the stored value that means 1; by default 255 for uint8, 65535 for uint16, else 1.
    `classes` reads palettes as their indices: bytes of which class k has the value k / 255. Images
    are turned as their EXIF data say unless `orient` is false, as those of `read_images` are.
    """
    paths = expand(files)
    if not paths:
        raise BindError(f"{name} needs a file or a glob")
    classes = isinstance(scale, str) and scale.lower() == CLASSES
    heads = [_head(path, classes) for path in paths]
    dtype = heads[0][1]
    for path, (_, other) in zip(paths, heads, strict=True):
        if other != dtype:
            raise ConversionError(
                f'masks of "{path}" have dtype {other}, those of "{paths[0]}" {dtype}; '
                "read them apart"
            )
    if classes and dtype != np.uint8:
        raise ConversionError(f'masks of "{paths[0]}" have dtype {dtype}; classes are bytes')
    whole = CLASS_SCALE if classes else _whole_scale(scale)
    chosen = check_element(dtype, whole, str(paths[0]))
    counts = [count for count, _ in heads]

    load = partial(_load, paths, classes, orient, chosen)
    columns = {
        "filename": pa.array(np.repeat([str(path) for path in paths], counts)),
        "index": pa.array(np.concatenate([np.arange(count) for count in counts])),
    }
    return _relation(name, columns, types.mask(chosen, dtype.name), load)


def _load(paths: Sequence[Path], classes: bool, orient: bool, scale: int) -> Arrays:
    arrays = [(path, array) for path in paths for array in _read(path, classes, orient)]
    for path, array in arrays:
        check_pixels(array, scale, str(path))
    return [plain_booleans(array) for _, array in arrays]


def array_relation(
    name: str,
    masks: Any,
    columns: Any = None,
    scale: int | None = None,
) -> Relation:
    """Rows (filename, index, mask) of an [n, h, w] array or of a sequence of [h, w] ones.

    `columns` (a mapping or a table) come beside them, n values each, and may replace filename
    and index.
    """
    arrays = [plain_booleans(np.ascontiguousarray(each)) for each in _arrays(name, masks)]
    dtype = arrays[0].dtype if arrays else np.dtype(np.uint8)
    if any(array.dtype != dtype for array in arrays):
        raise ConversionError(f'masks of "{name}" have different dtypes; give them one')
    chosen = check_element(dtype, _whole_scale(scale), name)
    rows = sum(len(array) for array in arrays)
    beside = _columns(name, columns, rows)
    for array in arrays:
        check_pixels(array, chosen, name)
    return _relation(name, beside, types.mask(chosen, dtype.name), partial(list, arrays))


def _columns(name: str, columns: Any, rows: int) -> dict[str, pa.ChunkedArray]:
    named: dict[str, pa.ChunkedArray] = {}
    if isinstance(columns, Mapping):
        columns = {field: _array(values) for field, values in columns.items()} or None
    if columns is not None:
        table = arrow_table(columns)
        named = {field: table[field] for field in table.column_names}
    for field, values in named.items():
        if field.lower() == MASK:
            raise BindError(f'column "{field}" of "{name}" would hide the masks; rename it')
        if len(values) != rows:
            raise BindError(f'column "{field}" of "{name}" has {len(values)} rows, not {rows}')
    taken = {field.lower() for field in named}
    usual = {"filename": pa.array([name] * rows, pa.string()), "index": pa.array(np.arange(rows))}
    return {field: values for field, values in usual.items() if field not in taken} | named


def _array(values: Any) -> Any:
    return np.asarray(values.detach().cpu()) if hasattr(values, "detach") else values


class MaskFiles(Unchecked):
    """A segment's columns: `load` gives the pixels when they are first needed."""

    def __init__(
        self, columns: Mapping[str, pa.Array], rows: int, load: Callable[[], Arrays]
    ) -> None:
        self._columns = columns
        self._rows = rows
        self._load = load
        self._block: MaskBlock | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return MaskFiles, (self._columns, self._rows, self._load)

    def array(self, column: str) -> pa.Array:
        """The physical column; for the masks only that none is NULL."""
        if column == MASK:
            return pa.array(np.zeros(self._rows, np.uint8))
        return self._columns[column]

    def masks(self, column: str, type: types.Type) -> MaskBlock:
        """All pixels in one block."""
        from tensorsql.storage.columns.masks import joined_block

        with self._lock:
            if self._block is None:
                self._block = joined_block(self._load())
            return self._block

    def row_ids(self) -> RowIds | None:
        """They count up."""
        return None


def _relation(
    name: str,
    columns: Mapping[str, pa.Array | pa.ChunkedArray],
    kind: types.Type,
    load: Callable[[], Arrays],
) -> Relation:
    kinds = {field: type_of_arrow(values.type) for field, values in columns.items()}
    schema = TableSchema(
        name, tuple(ColumnSchema(field, type) for field, type in {**kinds, MASK: kind}.items())
    )
    count = max(map(len, columns.values()))
    stored = {
        field: physical(values, kinds[field], stored=True) for field, values in columns.items()
    }
    statistics = LazyStatistics(tuple(kinds), partial(_analyze, stored, kinds))
    segment = Segment(count, MaskFiles(stored, count, load), statistics, 0, count - 1)
    return Relation(name, schema, count, count, partial(open_segment, schema, segment), statistics)


def _analyze(
    stored: Mapping[str, pa.Array], kinds: Mapping[str, types.Type], name: str
) -> ColumnStatistics:
    return analyze(stored[name], kinds[name])


def _whole_scale(scale: Any) -> int | None:
    if scale is None:
        return None
    try:
        whole = int(scale)
    except (TypeError, ValueError, OverflowError):
        whole = 0
    if whole != scale or not 1 <= whole <= types.LARGEST_SCALE:
        raise BindError(
            f"the scale of a mask is a whole number from 1 to {types.LARGEST_SCALE}, not {scale}"
        )
    return whole


def _head(path: Path, classes: bool) -> tuple[int, np.dtype[Any]]:
    """How many masks a file has, and their dtype, without reading the pixels."""
    if path.suffix.lower() == ".npy":
        array = _map(path)
        return (1 if array.ndim == 2 else len(array)), array.dtype.newbyteorder("=")
    picture = _picture(path, classes)
    return picture.pages, np.dtype(picture.element)


def _read(path: Path, classes: bool, orient: bool) -> Arrays:
    """The masks of a file, each [n, h, w] in native byte order."""
    if path.suffix.lower() == ".npy":
        array = _map(path)
        array = array[None] if array.ndim == 2 else array
        return [np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))]

    picture = _picture(path, classes)
    pages = decode_pages(picture, orient)
    for number, page in enumerate(pages):
        if page.mode != pages[0].mode:
            raise ConversionError(
                f'page {number} of "{path}" has mode {page.mode}, the first {pages[0].mode};'
                " save them apart"
            )
    return [np.ascontiguousarray(np.asarray(page).astype(picture.element))[None] for page in pages]


def _picture(path: Path, classes: bool) -> Picture:
    """What an image says of its masks; ConversionError if it is not of numbers."""
    picture = look(path, "neither a .npy file nor an image")
    if picture.pages > 1 and picture.format != "TIFF":
        raise ConversionError(
            f'image "{path}" has {picture.pages} pages, which may share pixels; masks of several'
            " pages come from TIFF and .npy files"
        )
    if picture.mode == "P" and not classes:
        raise ConversionError(
            f'image "{path}" has a palette: its pixels are numbers of colours; to read them as'
            f" classes, class k with the value k / {CLASS_SCALE}, say scale => '{CLASSES}'"
        )
    if picture.mode not in (*GREY, "P"):
        raise ConversionError(
            f'image "{path}" has mode {picture.mode}; a mask has a single channel'
        )
    return picture


def _map(path: Path) -> np.ndarray:
    array = map_array(path)
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3):
        shape = array.shape if isinstance(array, np.ndarray) else "an archive"
        raise ConversionError(f'"{path}" holds {shape}; masks are [n, h, w] or [h, w]')
    return array


def _arrays(name: str, masks: Any) -> Arrays:
    """The masks as [n, h, w] arrays."""
    if hasattr(masks, "detach"):
        masks = masks.detach().cpu().numpy()
    masks = masks if isinstance(masks, np.ndarray) else list(masks)
    parts = [masks] if isinstance(masks, np.ndarray) else masks
    if any(map(np.ma.is_masked, parts)):
        raise ConversionError(
            f'masks of "{name}" come in a masked array, and a pixel cannot be NULL; '
            "fill it first, for example with .filled(0)"
        )
    if isinstance(masks, np.ndarray) and masks.dtype != np.object_:
        if masks.ndim != 3:
            raise ConversionError(f'masks of "{name}" have shape {masks.shape}, not [n, h, w]')
        return [masks]
    each = [np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask) for mask in masks]
    for array in each:
        if array.ndim != 2:
            raise ConversionError(f'a mask of "{name}" has shape {array.shape}, not [h, w]')
    return [array[None] for array in each]
