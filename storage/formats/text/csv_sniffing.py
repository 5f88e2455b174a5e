"""What a CSV file's first records tell: the delimiter, the quotes, and whether there is a header.

Records are what a CSV reader makes of the text, never lines: a field may hold any line end.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile, islice
from typing import Any

import pyarrow as pa

from tensorsql.cancellation import check_cancelled
from tensorsql.storage.formats.text import inference
from tensorsql.storage.formats.text.search import contains

DELIMITERS = (",", "|", ";", "\t")
SAMPLE_RECORDS = 1000
PREAMBLE = 10  # so many records may stand before those that have the width of the rest

Record = list[str]


@dataclass(frozen=True)
class Dialect:
    """How fields are told apart; no `quote` for files without, `escape` is what quotes a quote."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'

    def reader(self, text: bytes) -> Any:
        """A `csv.reader` of UTF-8 text; it raises csv.Error where quotes are out of place."""
        doubled = self.escape == self.quote
        return csv.reader(
            io.TextIOWrapper(io.BytesIO(text), "utf-8", newline=""),
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            doublequote=doubled,
            escapechar=None if doubled or not self.quote else self.escape,
            strict=True,
        )


class BadQuotes(Exception):
    """A quote that never closes, or closes before its field ends; `line` is where its record is."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def sniff(
    text: bytes, delimiter: str | None, quote: str | None, escape: str | None, width: int = 0
) -> tuple[Dialect, list[Record]]:
    """The dialect that splits the first records into the same, greatest number of fields.

    None is sniffed: quotes are `"` doubled, or else escaped by a backslash, or else there are none.
    Records of `width` fields, if it is known, come before all others.
    """
    delimiters = DELIMITERS if delimiter is None else (delimiter,)
    whole_lines = None  # what seems to have one column, where other delimiters meet bad quotes
    for marks in _marks(text, quote, escape):
        dialects = [Dialect(each, *marks) for each in delimiters if each not in marks]
        split = [each for each in map(partial(_split, text), dialects) if each is not None]
        if not split:
            continue
        # the first of equals stays: the order of DELIMITERS decides
        best = max(split, key=lambda each: _score(each[1], width))
        if len(split) < len(dialects) and max(map(len, best[1]), default=0) <= 1:
            whole_lines = whole_lines or best
        elif best[0].quote or quote is not None or not _has_quoted(best[1]):
            return best
        else:
            break
    else:
        if whole_lines is not None and quote is None:
            return whole_lines
    meant = [Dialect(each, quote or '"', escape or quote or '"') for each in delimiters]
    lines = [_bad_line(text, dialect) for dialect in meant]
    raise BadQuotes(max((line for line in lines if line is not None), default=1))


def _marks(text: bytes, quote: str | None, escape: str | None) -> list[tuple[str, str]]:
    if quote is not None or escape is not None:
        mark = '"' if quote is None else quote
        return [(mark, escape or mark)]
    escaped = [('"', "\\")] if b'\\"' in text else []
    return [('"', '"'), *escaped, ("", "")]


def _split(text: bytes, dialect: Dialect) -> tuple[Dialect, list[Record]] | None:
    """The first records; None where quotes are out of place."""
    try:
        with long_fields():
            return dialect, list(islice(filter(None, dialect.reader(text)), SAMPLE_RECORDS))
    except csv.Error:
        return None


def _has_quoted(records: Sequence[Record]) -> bool:
    """Whether quotes mean something after all, though one is out of place."""
    fields = (field for record in records for field in record)
    return any(len(field) > 1 and field[0] == field[-1] == '"' for field in fields)


@contextmanager
def long_fields() -> Iterator[None]:
    """Fields of any length: csv limits fields to 128 KB, for the whole process."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _score(records: Sequence[Record], width: int) -> tuple[int, int, bool, int]:
    """The best splits every record alike; one that splits every record, but not alike, is next.

    Then reading on tells of the first record that differs, rather than give whole lines. What
    comes before the rest, as a comment does, counts against a delimiter: `a;b` is no comment.
    """
    widths = [len(record) for record in records]
    if not widths:
        return 0, 0, False, 0
    preamble = next((i for i, width in enumerate(widths[:PREAMBLE]) if width > 1), 0)
    rest = widths[preamble:] if len(widths) > preamble + 1 else widths
    alike = len(set(rest)) == 1
    kind = 2 if alike and rest[0] > 1 else 1 if min(widths) > 1 or alike else 0
    fitting = 2 if set(widths) == {width} else 1 if widths[0] == width else 0
    return fitting, kind, rest is widths or not preamble, min(rest)


def check_quotes(text: bytes, dialect: Dialect) -> None:
    """BadQuotes if there are any; a reader of Arrow's would take them for something else."""
    quote = dialect.quote.encode()
    if quote and quote in text and _is_suspect(text, dialect):
        line = _bad_line(text, dialect)
        if line is not None:
            raise BadQuotes(line)


def _is_suspect(text: bytes, dialect: Dialect) -> bool:
    """Whether a quote may be out of place; if not, all are where they should be for sure."""
    quote, escape = dialect.quote.encode(), dialect.escape.encode()
    if text.count(quote) % 2:
        return True
    mark = f"\\x{quote.hex()}"
    ends = f"\\x{ord(dialect.delimiter):02x}\r\n"
    inside = f"[^{ends}{mark}]"
    if contains(text, f"(^|[{ends}]){mark}{mark}{inside}"):  # an empty field goes on
        return True
    if escape != quote:
        text = text.replace(escape * 2, b"")
    return contains(text.replace(escape + quote, b""), f"{inside}{mark}{inside}")


def _bad_line(text: bytes, dialect: Dialect) -> int | None:
    """The line on which the first record with a quote out of place begins."""
    reader, line = dialect.reader(text), 1
    try:
        with long_fields():
            for _ in reader:
                check_cancelled()
                line = reader.line_num + 1
    except csv.Error:
        return line
    return None


def has_header(records: Sequence[Record], nulls: Sequence[str], names: Sequence[str] = ()) -> bool:
    """Whether the first record names the columns: it has text where the column below has not.

    Where no type tells, a record without an empty field or a number counts as a header, as in
    DuckDB; with `names` given it must then be these. A record that may be data is never dropped.
    """
    if not records:
        return False
    first, width = records[0], len(records[0])
    columns = [[record[i] for record in records[1:] if i < len(record)] for i in range(width)]
    below = [_is_text(column, nulls) for column in columns]
    above = [cell not in ("", *nulls) and _is_text([cell], nulls) for cell in first]
    if any(over and not under for over, under in zip(above, below, strict=True)):
        return True
    if not all(below):
        return False
    if names:
        return [cell.lower() for cell in first] == [name.lower() for name in names]
    return all(above)


def _is_text(cells: Sequence[str], nulls: Sequence[str]) -> bool:
    valid = [None if cell in ("", *nulls) else cell for cell in cells]
    text = pa.chunked_array([pa.array(valid, pa.large_string())])
    return inference.is_text(inference.infer(text, inference.CSV).type)


def start_of(content: bytes, lines: int) -> int:
    """Where the text goes on after some lines."""
    start = 0
    for _ in range(lines):
        start = content.find(b"\n", start) + 1
        if not start:
            return len(content)
    return start


def line_of(
    content: bytes, dialect: Dialect, record: int, blanks: bool, header: bool
) -> int | None:
    """The line on which a record begins; None if there is no such record.

    With `blanks` an empty line is a record, unless it stands before the header.
    """
    with long_fields():
        records: Iterator[tuple[int, Record]] = _numbered(content, dialect)
        if header or not blanks:
            records = dropwhile(lambda each: not each[1], records)
        lines = (line for line, fields in records if fields or blanks)
        return next(islice(lines, record, None), None)


def other_width(content: bytes, dialect: Dialect, width: int) -> tuple[int, Record] | None:
    """The first line whose record has another number of fields, and these; None if none has."""
    with long_fields(), suppress(csv.Error):
        wrong = (each for each in _numbered(content, dialect) if each[1] and len(each[1]) != width)
        return next(wrong, None)
    return None


def _numbered(content: bytes, dialect: Dialect) -> Iterator[tuple[int, Record]]:
    """The records, each with the line it begins on."""
    reader, line = dialect.reader(content), 1
    for fields in reader:
        yield line, fields
        line = reader.line_num + 1
