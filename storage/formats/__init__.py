"""File formats, one file each; here is which table function and which suffix means which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tensorsql.errors import BindError, UnsupportedError, nearest
from tensorsql.storage.catalog import Relation

Files = str | Sequence[str]
Options = Mapping[str, Any]


def file_relation(function: str, files: Files, options: Options) -> Relation:
    """The files of a table function such as `read_csv` as one relation.

    IOError or CorruptError for files that cannot be read, BindError for an unknown option.
    """
    reader = READERS.get(function)
    if reader is None:
        raise BindError(f'no reader "{function}"{nearest(function, READERS)}')
    return reader(function, files, options)


def write_file(table: pa.Table, path: str, options: Options) -> int:
    """Write a table in the format that `format`, or else the suffix, says; returns its rows."""
    given = {name.lower(): value for name, value in options.items()}
    suffix = Path(path).suffix.lower().removeprefix(".")
    name = str(given.pop("format", "") or (suffix if suffix in WRITERS else "csv")).lower()
    writer = WRITERS.get(name)
    if writer is None:
        raise UnsupportedError(f'cannot write format "{name}"{nearest(name, WRITERS)}')
    return writer(table, path, given)


def check_options(function: str, options: Options, known: Sequence[str]) -> None:
    """Raise BindError for an option that the function does not have."""
    for name in options:
        if name not in known:
            raise BindError(f'{function} has no option "{name}"{nearest(name, known)}')


def _parquet(function: str, files: Files, options: Options) -> Relation:
    from tensorsql.storage.formats import parquet

    check_options(function, options, ())
    return parquet.relation(function, files)


def _csv(function: str, files: Files, options: Options) -> Relation:
    from tensorsql.storage.formats import csv

    return csv.relation(function, files, csv.options_of(options))


def _json(function: str, files: Files, options: Options) -> Relation:
    from tensorsql.storage.formats import json

    check_options(function, options, ())
    return json.relation(function, files)


def _npy(function: str, files: Files, options: Options) -> Relation:
    from tensorsql.storage.formats import npy

    check_options(function, options, ())
    return npy.relation(function, files)


def _images(function: str, files: Files, options: Options) -> Relation:
    from tensorsql.storage.formats import images

    check_options(function, options, ("size",))
    size = options.get("size")
    return images.relation(function, files, None if size is None else tuple(size))


def _masks(function: str, files: Files, options: Options) -> Relation:
    from tensorsql.storage.formats import masks

    check_options(function, options, ("scale",))
    return masks.relation(function, files, options.get("scale"))


def _write_parquet(table: pa.Table, path: str, options: Options) -> int:
    from tensorsql.storage.formats import parquet

    check_options("parquet", options, ("compression",))
    compression = str(options.get("compression", parquet.COMPRESSION))
    return parquet.write(path, table.schema, [table], compression)


def _write_csv(table: pa.Table, path: str, options: Options) -> int:
    from tensorsql.storage.formats import csv

    defaults = {"delimiter": "\t"} if path.lower().endswith(".tsv") else {}
    return csv.write(path, table.schema, [table], csv.options_of({**defaults, **options}))


READERS: dict[str, Callable[[str, Files, Options], Relation]] = {
    "read_parquet": _parquet,
    "parquet_scan": _parquet,
    "read_csv": _csv,
    "read_csv_auto": _csv,
    "read_json": _json,
    "read_json_auto": _json,
    "read_npy": _npy,
    "read_images": _images,
    "read_masks": _masks,
}
WRITERS: dict[str, Callable[[pa.Table, str, Options], int]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "tsv": _write_csv,
}
