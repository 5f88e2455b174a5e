"""CSV: relations over files with sniffed delimiter, quotes, header and types.

Every field is read as text first; `text/inference.py` says what type a column gets, and where this
differs from DuckDB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from tensorsql.errors import BindError, CorruptError
from tensorsql.storage.catalog import Relation
from tensorsql.storage.formats.names import distinct_names
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
from tensorsql.storage.formats.text.csv_sniffing import Dialect, check_quotes, has_header, sniff
from tensorsql.storage.formats.text.csv_writing import write_table as write_table
from tensorsql.storage.formats.text.encodings import check_encoding, utf8

TEXT = pa.large_string()
BLOCK = 16 << 20
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
    return arrow_relation(function, read(files, _reading(options)), inferred=True)


def _reading(options: Options) -> CsvReading:
    values = option_fields("a CSV file", options, _OPTIONS)
    if "encoding" in values:
        values["encoding"] = check_encoding(values["encoding"])
    if "null" in values:
        given = values["null"]
        values["null"] = (given,) if isinstance(given, str) else tuple(given)
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


def read(files: Files, how: CsvReading) -> pa.Table:
    """The files end to end as an Arrow table; a file without a byte has no rows and no columns."""
    paths = expand(files)
    tables: list[tuple[Path, pa.Table]] = []
    for path in paths:
        with reading(path):
            content = utf8(path, compression.read_bytes(path, how.compression), how.encoding)
            found = _texts(path, _skipped(content, how.skip), how)
            if found is not None:
                tables.append((path, found))
    if not tables:
        return pa.table({name: pa.array([], TEXT) for name in how.names or ("column0",)})
    whole = pa.concat_tables([_like(tables[0], *each) for each in tables])
    columns = [_typed(whole[name], name in how.declared, how) for name in whole.column_names]
    return pa.table(columns, names=whole.column_names)


def _skipped(content: bytes, count: int) -> bytes:
    start = 0
    for _ in range(count):
        end = content.find(b"\n", start)
        if end < 0:
            return b""
        start = end + 1
    return content[start:] if start else content


def _like(first: tuple[Path, pa.Table], path: Path, table: pa.Table) -> pa.Table:
    """The table with the columns in the order of the first file's."""
    places = {name.lower(): i for i, name in enumerate(table.column_names)}
    names = first[1].column_names
    if {name.lower() for name in names} != set(places):
        raise CorruptError(f'file "{path}" has other columns than "{first[0]}"')
    return table.select([places[name.lower()] for name in names]).rename_columns(names)


def _texts(path: Path, content: bytes, how: CsvReading) -> pa.Table | None:
    """A file's records as text by name; None without any."""
    if not content:
        return None
    dialect, records = sniff(path, content, how.delimiter, how.quote, how.escape)
    if not records:  # blank lines alone
        records = [[""]]
    check_quotes(path, content, dialect)
    width = len(records[0])
    # a blank line is a NULL in a file of one column, and nothing beside others
    blank_first = width == 1 and content[:1] in (b"\n", b"\r")
    header = how.header
    if header is None:
        header = not blank_first and has_header(records, how.null, how.names)
    if header and blank_first:
        content = content.lstrip(b"\r\n")
    names = _names(path, records[0], header, how)
    table = _parsed(path, content, dialect, len(names), how)
    kept = [name for name in names if name is not None]
    columns = [
        column for column, name in zip(table.columns, names, strict=True) if name is not None
    ]
    return pa.table(columns, names=kept).slice(int(header))


def _names(path: Path, first: Sequence[str], header: bool, how: CsvReading) -> Sequence[str | None]:
    """The name of each field; None for what follows a delimiter at the end of the lines."""
    if not how.names:
        return distinct_names(cell.strip() if header else "" for cell in first)
    if len(first) == len(how.names) + 1 and not first[-1]:
        return [*how.names, None]
    if len(first) != len(how.names):
        raise CorruptError(
            f'file "{path}" has {len(first)} columns where {len(how.names)} are expected'
        )
    return how.names


def _parsed(path: Path, content: bytes, dialect: Dialect, width: int, how: CsvReading) -> pa.Table:
    """All records, the header too, as text; NULL where a field is empty and not in quotes."""
    try:
        return _parse(content, dialect, width, how, BLOCK)
    except pa.ArrowInvalid as error:
        if "straddling" in str(error) and len(content) <= LARGEST_BLOCK:
            return _parse(content, dialect, width, how, len(content) + 1)
    wrong: list[Any] = []
    try:
        return _parse(content, dialect, width, how, LARGEST_BLOCK, wrong)
    except pa.ArrowInvalid as error:
        if not wrong:
            raise CorruptError(f'file "{path}" cannot be read: {error}') from None
        row = wrong[0]
        raise CorruptError(
            f'file "{path}" row {row.number} has {row.actual_columns} fields where '
            f"{row.expected_columns} are expected: {row.text[:80]!r}; say the delimiter with "
            "delim => '…', or how many lines at the top to leave out with skip => …"
        ) from None


def _parse(
    content: bytes,
    dialect: Dialect,
    width: int,
    how: CsvReading,
    block: int,
    wrong: list[Any] | None = None,
) -> pa.Table:
    def keep(row: Any) -> str:
        assert wrong is not None
        wrong.append(row)
        return "error"

    names = [str(i) for i in range(width)]
    return arrow_csv.read_csv(
        pa.BufferReader(content),
        # only a reader of one thread knows which row it is at
        arrow_csv.ReadOptions(column_names=names, block_size=block, use_threads=wrong is None),
        arrow_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            double_quote=dialect.escape == dialect.quote,
            escape_char=dialect.escape if dialect.escape not in ("", dialect.quote) else False,
            newlines_in_values=bool(dialect.quote),
            ignore_empty_lines=width > 1,
            invalid_row_handler=None if wrong is None else keep,
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
    given = text
    if empty is not None and pc.any(empty).as_py():
        given = pc.if_else(empty, pa.scalar(None, TEXT), text)
    found = inference.infer(given, inference.CSV)
    return text if inference.is_text(found.type) else found
