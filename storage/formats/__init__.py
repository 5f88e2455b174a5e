"""The registry of file formats. To add one: a file in this folder and a line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorsql.cancellation import in_helper
from tensorsql.errors import BindError, UnsupportedError, nearest
from tensorsql.storage.formats.options import Files, Options
from tensorsql.storage.formats.text.compression import plain_name
from tensorsql.storage.tables.catalog import Relation

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Format:
    """A file format: its module in this folder, imported when first used, has

    `read_files(function, files, options)`, which gives a `Relation`, and where it `writes` also
    `write_table(table, path, options)`, which gives the number of rows. Both check their options.
    """

    module: str
    readers: tuple[str, ...]  # table functions; the first also reads FROM 'x.suffix' and COPY FROM
    suffixes: tuple[str, ...] = ()  # in FROM, and the names COPY knows it by
    writes: bool = False
    # text, which .gz and .zst compress: COPY FROM tells the reader the table's columns, for which
    # it leaves the text to be cast; COPY TO is given INTERVAL and BLOB as text
    textual: bool = False
    flat: bool = False  # and so is what is nested: LIST, STRUCT, BOX and TENSOR

    def load(self) -> Any:
        """Its module."""
        return importlib.import_module(f"tensorsql.storage.formats.{self.module}")


FORMATS: tuple[Format, ...] = (
    Format("parquet", ("read_parquet", "parquet_scan"), ("parquet",), writes=True),
    Format(
        "csv",
        ("read_csv", "read_csv_auto"),
        ("csv", "tsv"),
        writes=True,
        textual=True,
        flat=True,
    ),
    Format(
        "json",
        ("read_json", "read_json_auto"),
        ("json", "ndjson", "jsonl"),
        writes=True,
        textual=True,
    ),
    Format("npy", ("read_npy",), ("npy",)),
    Format("images", ("read_images",)),
    Format("masks", ("read_masks",)),
)
READERS = {function: item for item in FORMATS for function in item.readers}
SUFFIXES = {suffix: item for item in FORMATS for suffix in item.suffixes}
WRITERS = {suffix: item for suffix, item in SUFFIXES.items() if item.writes}
# files of these names hold something that we do not write
FOREIGN = (
    *("xlsx", "xls", "ods", "arrow", "feather", "ipc", "orc", "avro", "db", "sqlite", "duckdb"),
    *("h5", "hdf5", "npy", "npz", "pkl", "pickle", "pt", "pt2", "safetensors", "zip", "tar"),
    *("bz2", "xz", "lz4", "7z", "png", "jpg", "jpeg", "gif", "tif", "tiff", "xml", "html"),
)


def file_relation(function: str, files: Files, options: Options) -> Relation:
    """The files of a table function such as `read_csv` as one relation.

    IOError or CorruptError for files that cannot be read, BindError for an unknown option.
    """
    reader = READERS.get(function)
    if reader is None:
        raise BindError(f'no reader "{function}"{nearest(function, READERS)}')
    read = reader.load().read_files
    relation: Relation = in_helper(lambda: read(function, files, options))
    return relation


def suffix_of(path: str) -> str:
    """The suffix that says the format: that of `x.csv.gz` is csv."""
    return Path(plain_name(path)).suffix.lower().removeprefix(".")


def named_format(path: str) -> Format | None:
    """The format of a path whose suffix says it, for FROM; none is compressed but text."""
    by_suffix = SUFFIXES.get(suffix_of(path))
    return by_suffix if by_suffix is None or by_suffix.textual or plain_name(path) == path else None


def reader_of(path: str, format: str) -> Format:
    """The format COPY FROM reads: `format`, or else what the suffix says, or else CSV."""
    suffix = suffix_of(path)
    name = (format or (suffix if suffix in SUFFIXES else "csv")).lower()
    if name not in SUFFIXES or (not format and suffix in FOREIGN and suffix not in SUFFIXES):
        hint = nearest(name, SUFFIXES)
        raise UnsupportedError(f'COPY FROM cannot read format "{format or suffix}"{hint}')
    return SUFFIXES[name]


def writer_of(path: str, format: str) -> Format:
    """The format COPY TO writes: `format`, or else what the suffix says, or else CSV."""
    suffix = suffix_of(path)
    name = (format or (suffix if suffix in SUFFIXES or suffix in FOREIGN else "csv")).lower()
    writer = WRITERS.get(name)
    if writer is None:
        raise UnsupportedError(f'cannot write format "{name}"{nearest(name, WRITERS)}')
    if not writer.textual and not format and plain_name(path) != path:
        raise UnsupportedError(
            f'cannot write "{path}": {name} compresses what it holds; '
            f"name it .{suffix} and say COMPRESSION"
        )
    return writer


def format_option(options: Options) -> str:
    """The value of the option `format`, "" if it is not given."""
    value = options.get("format", "")
    if not isinstance(value, str):
        raise BindError(f"format is a name such as csv, not {value!r}")
    return value


def write_file(table: pa.Table, path: str, options: Options) -> int:
    """Write a table in the format that `format`, or else the suffix, says; returns its rows."""
    folded = {name.lower(): value for name, value in options.items()}
    writer = writer_of(path, format_option(folded))
    folded.pop("format", None)
    return int(writer.load().write_table(table, path, folded))
