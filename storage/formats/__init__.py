"""The registry of file formats. To add one: a file in this folder and a line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorsql.errors import BindError, UnsupportedError, nearest
from tensorsql.storage.catalog import Relation
from tensorsql.storage.formats.options import Files, Options

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
    untyped: bool = False  # COPY FROM tells the reader the types of the table's columns

    def load(self) -> Any:
        """Its module."""
        return importlib.import_module(f"tensorsql.storage.formats.{self.module}")


FORMATS: tuple[Format, ...] = (
    Format("parquet", ("read_parquet", "parquet_scan"), ("parquet",), writes=True),
    Format("csv", ("read_csv", "read_csv_auto"), ("csv", "tsv"), writes=True, untyped=True),
    Format("json", ("read_json", "read_json_auto"), ("json", "ndjson")),
    Format("npy", ("read_npy",), ("npy",)),
    Format("images", ("read_images",)),
    Format("masks", ("read_masks",)),
)
READERS = {function: item for item in FORMATS for function in item.readers}
SUFFIXES = {suffix: item for item in FORMATS for suffix in item.suffixes}
WRITERS = {suffix: item for suffix, item in SUFFIXES.items() if item.writes}


def file_relation(function: str, files: Files, options: Options) -> Relation:
    """The files of a table function such as `read_csv` as one relation.

    IOError or CorruptError for files that cannot be read, BindError for an unknown option.
    """
    found = READERS.get(function)
    if found is None:
        raise BindError(f'no reader "{function}"{nearest(function, READERS)}')
    relation: Relation = found.load().read_files(function, files, options)
    return relation


def write_file(table: pa.Table, path: str, options: Options) -> int:
    """Write a table in the format that `format`, or else the suffix, says; returns its rows."""
    given = {name.lower(): value for name, value in options.items()}
    suffix = Path(path).suffix.lower().removeprefix(".")
    name = str(given.pop("format", "") or (suffix if suffix in SUFFIXES else "csv")).lower()
    found = WRITERS.get(name)
    if found is None:
        raise UnsupportedError(f'cannot write format "{name}"{nearest(name, WRITERS)}')
    return int(found.load().write_table(table, path, given))
