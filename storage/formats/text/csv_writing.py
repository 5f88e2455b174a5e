"""Writing CSV: NULL is the empty field, and an empty text is in quotes."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import BindError
from tensorsql.storage.formats.options import Options, character, flag, one_of, option_fields, text
from tensorsql.storage.formats.paths import writing
from tensorsql.storage.formats.text import compression
from tensorsql.storage.formats.text.rendering import TEXT, concatenated, lines, quoted, text_of

BATCH = 65_536


@dataclass(frozen=True)
class CsvWriting:
    """How a file is written; without `escape` a quote is doubled."""

    delimiter: str = ","
    header: bool = True
    quote: str = '"'
    escape: str = ""
    null: str = ""
    compression: str = "auto"

    @property
    def special(self) -> str:
        """A pattern for text that needs quotes, as does a text that is that of NULL."""
        marks = f"{self.delimiter}{self.quote}{self.escape}"
        return "[\r\n" + "".join(f"\\x{ord(mark):02x}" for mark in marks) + "]"


_OPTIONS = {
    **dict.fromkeys(("delim", "sep", "delimiter"), character("delimiter")),
    **dict.fromkeys(("nullstr", "null"), text("null")),
    "header": flag("header"),
    "quote": character("quote"),
    "escape": character("escape"),
    "compression": one_of("compression", compression.METHODS),
}


def write_table(table: pa.Table, path: str, options: Options) -> int:
    """Write a table as COPY says; a .tsv has tabs unless the options say otherwise."""
    tabs = compression.plain_name(path).lower().endswith(".tsv")
    usual = {"delimiter": "\t"} if tabs else {}
    how = CsvWriting(**{**usual, **option_fields("a CSV file to write", options, _OPTIONS)})
    _check(how)
    method = compression.written_method(path, how.compression)
    with writing(path) as target, compression.writer(target, method) as stream:
        if how.header:
            names = [_field(pa.array([name], TEXT), how) for name in table.column_names]
            stream.write(lines(concatenated(names, how.delimiter)))
        for batch in table.to_batches(max_chunksize=BATCH):
            check_cancelled()
            stream.write(_rows(batch, how))
    return int(table.num_rows)


def _check(how: CsvWriting) -> None:
    marks = [how.delimiter, how.quote, how.escape or how.quote]
    if how.delimiter in marks[1:] or (how.escape and how.escape == how.delimiter):
        raise BindError("the delimiter of a CSV file differs from its quote and escape")
    if any(mark in how.null for mark in {*marks, "\r", "\n"}):
        raise BindError("the text of NULL has no delimiter, quote or line end in it")


def _rows(batch: pa.RecordBatch, how: CsvWriting) -> pa.Buffer:
    fields = [
        _field(text_of(column, name), how)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return lines(concatenated(fields, how.delimiter))


def _field(values: pa.Array, how: CsvWriting) -> pa.Array:
    flags = pc.match_substring_regex(values, how.special)
    for reserved in {"", how.null}:
        flags = pc.or_(flags, pc.equal(values, pa.scalar(reserved, TEXT)))
    marked = quoted(values, flags, how.quote, how.escape or how.quote)
    return pc.fill_null(marked, pa.scalar(how.null, TEXT))
