"""NumPy files: `read_npy` as rows (filename, index, value), memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tensorsql.errors import CorruptError, UnsupportedError
from tensorsql.storage.columns import types
from tensorsql.storage.columns.arrow_types import type_of_arrow
from tensorsql.storage.columns.places import Places
from tensorsql.storage.columns.python_arrays import numpy_array
from tensorsql.storage.files.array_file import load_array
from tensorsql.storage.formats.options import Files, Options, check_options
from tensorsql.storage.formats.paths import expand, reading
from tensorsql.storage.tables.catalog import ColumnSchema, Relation, TableSchema
from tensorsql.storage.tables.lazy import lazy_relation


def read_files(function: str, files: Files, options: Options) -> Relation:
    """`relation` of a call of the table function; BindError for an unknown option."""
    check_options(function, options, ())
    return relation(function, files)


def relation(name: str, files: str | Sequence[str]) -> Relation:
    """Rows of the files' first dimension: numbers of 1-D files, TENSORs beyond.

    Files need one dtype and one shape of a row.
    """
    paths = expand(files)
    arrays = [load(path) for path in paths]
    for path, array in zip(paths, arrays, strict=True):
        if (array.dtype, array.shape[1:]) != (arrays[0].dtype, arrays[0].shape[1:]):
            raise CorruptError(
                f'file "{path}" holds {array.dtype} rows of shape {array.shape[1:]}, '
                f'"{paths[0]}" {arrays[0].dtype} of {arrays[0].shape[1:]}'
            )
    value = type_of_arrow(numpy_array(arrays[0][:0]).type)
    columns = (
        ColumnSchema("filename", types.VARCHAR),
        ColumnSchema("index", types.BIGINT),
        ColumnSchema("value", value),
    )
    rows = sum(len(array) for array in arrays)
    counts = tuple((path, len(array)) for path, array in zip(paths, arrays, strict=True))
    column = partial(_column, paths, arrays)
    places = Places(counts, "TRY_CAST of the column gives NULL")
    return lazy_relation(TableSchema(name, columns), rows, column, places=places)


def _column(paths: Sequence[Path], arrays: Sequence[NDArray[Any]], name: str) -> pa.Array:
    counts = [len(array) for array in arrays]
    match name:
        case "filename":
            return filenames(paths, counts)
        case "index":
            return pa.array(np.concatenate([np.arange(count) for count in counts]))
        case _:
            return numpy_array(arrays[0] if len(arrays) == 1 else np.concatenate(arrays))


def load(path: Path) -> NDArray[Any]:
    """A file as a memory-mapped array of at least one dimension in native byte order."""
    array = map_array(path)
    if not isinstance(array, np.ndarray):
        raise UnsupportedError(f'file "{path}" is an archive of arrays; read_npy takes .npy files')
    if array.ndim == 0 or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise UnsupportedError(
            f'file "{path}" holds {array.ndim}-D {array.dtype}, not rows of numbers'
        )
    if 0 in array.shape[1:]:
        raise UnsupportedError(f'file "{path}" holds rows of shape {array.shape[1:]}, no numbers')
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    loaded: NDArray[Any] = array
    return loaded


def map_array(path: Path) -> Any:
    """The array or archive in a file, memory-mapped; CorruptError for what is neither."""
    with reading(path):
        return load_array(path, mapped=True)


def filenames(paths: Sequence[Path], counts: Sequence[int]) -> pa.Array:
    """Each path repeated for its rows."""
    codes = pa.array(np.repeat(np.arange(len(paths), dtype=np.int32), counts))
    return pa.DictionaryArray.from_arrays(codes, pa.array([str(path) for path in paths]))
