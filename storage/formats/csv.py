"""CSV: relations over files with sniffed delimiter, quotes, header and types.

Every field is read as text first; `text/inference.py` says what type a column gets, and where this
differs from DuckDB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from tensorsql.errors import BindError, CorruptError
from tensorsql.storage.columns.places import Places
from tensorsql.storage.formats.objects import arrow_relation
from tensorsql.storage.formats.options import (
    Files,
    Option,
    Options,
    character,
    columns_option,
    count,
    flag,
    is_names,
    one_of,
    option_fields,
    text,
)
from tensorsql.storage.formats.paths import expand, reading
from tensorsql.storage.formats.text import compression, inference
from tensorsql.storage.formats.text.csv_sniffing import (
    BadQuotes,
    Dialect,
    Record,
    check_quotes,
    has_header,
    line_of,
    other_width,
    sniff,
    start_of,
)
from tensorsql.storage.formats.text.csv_writing import write_table as write_table
from tensorsql.storage.formats.text.encodings import check_encoding, utf8
from tensorsql.storage.tables.catalog import Relation, distinct_names

TEXT = pa.large_string()
BLOCK = 16 << 20
SHOWN = 80  # characters of a record in an error
CURE = (
    "say nullstr => '…' if that stands for NULL, or read the column as text (all_varchar => true, "
    "or VARCHAR in columns => {…}), where TRY_CAST gives NULL"
)
_SPLIT = (
    "mend that line, or say the delimiter with delim => '…', the quotes with quote => '…', or how "
    "many lines at the top to leave out with skip => …"
)
LARGEST_BLOCK = (1 << 31) - 1


@dataclass(frozen=True)
class CsvReading:
    """How files are read; None is sniffed.

    `names` are the columns in order. Those in `declared` stay text, for the binder to cast.
    """

    delimiter: str | None = None
    header: bool | None = None
    quote: str | None = None
    escape: str | None = None
    null: tuple[str, ...] = ("",)
    quoted_nulls: bool = False
    skip: int = 0
    all_text: bool = False
    names: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    encoding: str | None = None
    compression: str = "auto"


def _is_texts(value: Any) -> bool:
    texts = [value] if isinstance(value, str) else value
    return isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts)


_OPTIONS = {
    **dict.fromkeys(("delim", "sep", "delimiter"), character("delimiter")),
    **dict.fromkeys(("nullstr", "null"), Option("null", "a text or a list of texts", _is_texts)),
    "header": flag("header"),
    "quote": character("quote", may_be_empty=True),
    "escape": character("escape", may_be_empty=True),
    "allow_quoted_nulls": flag("quoted_nulls"),
    "skip": count("skip", "lines"),
    "all_varchar": flag("all_text"),
    "names": Option("names", "a list of different names", is_names),
    "columns": columns_option("columns"),
    "encoding": text("encoding"),
    "compression": one_of("compression", compression.METHODS),
}


def read_files(function: str, files: Files, options: Options) -> Relation:
    """The files end to end as one relation, read at once; BindError for an unknown option.

    `columns` is a mapping or pairs of name and type, which then name the file's columns in order;
    they are read as text, which the types are cast from.
    """
    how = _reading(options)
    parts = _parts(files, how)
    places = Places(
        tuple((part.path, part.table.num_rows) for part in parts), CURE, partial(_line, how, parts)
    )
    return arrow_relation(function, _whole(parts, how), inferred=True, places=places)


def _reading(options: Options) -> CsvReading:
    values = option_fields("a CSV file", options, _OPTIONS)
    if "encoding" in values:
        values["encoding"] = check_encoding(values["encoding"])
    if "null" in values:
        null = values["null"]
        values["null"] = (null,) if isinstance(null, str) else tuple(null)
    if "columns" in values:
        if "names" in values:
            raise BindError("columns names the columns of a CSV file already; leave names away")
        values["names"] = values["declared"] = tuple(dict(values.pop("columns")))
    elif "names" in values:
        values["names"] = tuple(values["names"])
    how = CsvReading(**values)
    if (how.delimiter or ",") in (how.quote, how.escape):
        raise BindError("the delimiter of a CSV file differs from its quote and escape")
    return how


@dataclass(frozen=True)
class _Part:
    """What one file gives: its records as text by name, and how they were told apart."""

    path: Path
    table: pa.Table
    dialect: Dialect
    header: bool


def _parts(files: Files, how: CsvReading) -> list[_Part]:
    """The files that have a byte."""
    parts = []
    for path in expand(files):
        with reading(path):
            part = _part(path, _content(path, how), how)
            parts += [] if part is None else [part]
    return parts


def _content(path: Path, how: CsvReading) -> bytes:
    """The text after the lines to skip."""
    content = utf8(path, compression.read_bytes(path, how.compression), how.encoding)
    return content[start_of(content, how.skip) :] if how.skip else content


def _whole(parts: Sequence[_Part], how: CsvReading) -> pa.Table:
    """The files end to end as an Arrow table; without a file it has no rows."""
    if not parts:
        return pa.table({name: pa.array([], TEXT) for name in how.names or ("column0",)})
    whole = pa.concat_tables([_like(parts[0], part) for part in parts])
    columns = [_typed(whole[name], name in how.declared, how) for name in whole.column_names]
    return pa.table(columns, names=whole.column_names)


def _like(first: _Part, part: _Part) -> pa.Table:
    """The table with the columns in the order of the first file's."""
    places = {name.lower(): i for i, name in enumerate(part.table.column_names)}
    names = first.table.column_names
    if {name.lower() for name in names} != set(places):
        raise CorruptError(f'file "{part.path}" has other columns than "{first.path}"')
    return part.table.select([places[name.lower()] for name in names]).rename_columns(names)


def _line(how: CsvReading, parts: Sequence[_Part], path: Path, row: int) -> int | None:
    """The line of a file on which one of its rows begins."""
    part = next(part for part in parts if part.path == path)
    blanks = part.table.num_columns == 1
    record = row + int(part.header)
    line = line_of(_content(path, how), part.dialect, record, blanks, part.header)
    return None if line is None else how.skip + line


def _part(path: Path, content: bytes, how: CsvReading) -> _Part | None:
    """A file's records; None without any."""
    if not content:
        return None
    dialect, records = _sniffed(path, content, how)
    width = len(records[0])
    # a blank line is a NULL in a file of one column, and nothing beside others
    blank_first = width == 1 and content[:1] in (b"\n", b"\r")
    header = how.header
    if header is None:
        header = not blank_first and has_header(records, how.null, how.names)
    if header and blank_first:
        content = content.lstrip(b"\r\n")
    names = _names(records[0], header, how)
    if names is None:
        raise _other_width(path, content, dialect, len(how.names), how) or CorruptError(
            f'file "{path}" cannot be read: it has other columns'
        )
    table = _parsed(path, content, dialect, len(names), how)
    named = [name for name in names if name is not None]
    columns = [
        column for column, name in zip(table.columns, names, strict=True) if name is not None
    ]
    return _Part(path, pa.table(columns, names=named).slice(int(header)), dialect, header)


def _sniffed(path: Path, content: bytes, how: CsvReading) -> tuple[Dialect, list[Record]]:
    try:
        sniffed = sniff(content, how.delimiter, how.quote, how.escape, len(how.names))
        check_quotes(content, sniffed[0])
    except BadQuotes as error:
        raise CorruptError(
            f'file "{path}" line {how.skip + error.line}: a quote does not close, or closes before '
            "its field ends; mend it, or say quote => '' if quotes mean nothing"
        ) from None
    dialect, records = sniffed
    return dialect, records or [[""]]  # blank lines alone


def _names(first: Sequence[str], header: bool, how: CsvReading) -> Sequence[str | None] | None:
    """The name of each field; None for what follows a delimiter at the end of the lines.

    None instead of all if there are more or fewer fields than names.
    """
    if not how.names:
        return distinct_names(cell.strip() if header else "" for cell in first)
    if len(first) == len(how.names) + 1 and not first[-1]:
        return [*how.names, None]
    return how.names if len(first) == len(how.names) else None


def _other_width(
    path: Path, content: bytes, dialect: Dialect, width: int, how: CsvReading
) -> CorruptError | None:
    """The error that names the first record of another number of fields, if there is one."""
    record = other_width(content, dialect, width)
    if record is None:
        return None
    line, fields = record
    return CorruptError(
        f'file "{path}" line {how.skip + line} has {len(fields)} fields where {width} are '
        f"expected: {dialect.delimiter.join(fields)[:SHOWN]!r}; {_SPLIT}"
    )


def _parsed(path: Path, content: bytes, dialect: Dialect, width: int, how: CsvReading) -> pa.Table:
    """All records, the header too, as text; NULL where a field is empty and not in quotes."""
    try:
        return _parse(content, dialect, width, how, BLOCK)
    except pa.ArrowInvalid as error:
        if "straddling" in str(error) and len(content) <= LARGEST_BLOCK:
            return _parse(content, dialect, width, how, len(content) + 1)
        raise _other_width(path, content, dialect, width, how) or CorruptError(
            f'file "{path}" cannot be read: {error}'
        ) from None


def _parse(content: bytes, dialect: Dialect, width: int, how: CsvReading, block: int) -> pa.Table:
    names = [str(i) for i in range(width)]
    return arrow_csv.read_csv(
        pa.BufferReader(content),
        arrow_csv.ReadOptions(column_names=names, block_size=block),
        arrow_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            double_quote=dialect.escape == dialect.quote,
            escape_char=dialect.escape if dialect.escape not in ("", dialect.quote) else False,
            newlines_in_values=bool(dialect.quote),
            ignore_empty_lines=width > 1,
        ),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, TEXT),
            null_values=list(how.null),
            strings_can_be_null=True,
            quoted_strings_can_be_null=how.quoted_nulls,
        ),
    )


def _typed(text: pa.ChunkedArray, declared: bool, how: CsvReading) -> pa.ChunkedArray:
    """The column with the type its text has; an empty text in quotes is a NULL of other types."""
    if declared or how.all_text:
        return text
    empty = pc.equal(text, pa.scalar("", TEXT)) if "" in how.null else None
    nullable = text
    if empty is not None and pc.any(empty).as_py():
        nullable = pc.if_else(empty, pa.scalar(None, TEXT), text)
    inferred = inference.infer(nullable, inference.CSV)
    return text if inference.is_text(inferred.type) else inferred
