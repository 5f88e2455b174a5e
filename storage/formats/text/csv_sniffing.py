"""What a CSV file's first records tell: the delimiter, the quotes, and whether there is a header.

Records are what a CSV reader makes of the text, never lines: a field may hold any line end.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from tensorsql.errors import CorruptError
from tensorsql.storage.formats.text import inference

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

    def records(self, text: bytes) -> Iterator[Record]:
        """The records of UTF-8 text; csv.Error where quotes are out of place."""
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


def sniff(
    path: Path, text: bytes, delimiter: str | None, quote: str | None, escape: str | None
) -> tuple[Dialect, list[Record]]:
    """The dialect that splits the first records into the same, greatest number of fields.

    None is sniffed: quotes are `"` doubled, or else escaped by a backslash, or else there are none.
    """
    found = None
    for marks in _marks(text, quote, escape):
        for each in DELIMITERS if delimiter is None else (delimiter,):
            dialect = Dialect(each, *marks)
            records = None if each in marks else _sample(dialect, text)
            # the first of equals stays: the order of DELIMITERS decides
            if records is not None and (found is None or _score(records) > _score(found[1])):
                found = dialect, records
        if found is not None:
            if not found[0].quote and quote is None and _has_quoted(found[1]):
                break
            return found
    raise CorruptError(
        f'file "{path}" has quotes that do not close or stand inside a field; '
        "say quote => '' if they mean nothing"
    )


def _marks(text: bytes, quote: str | None, escape: str | None) -> list[tuple[str, str]]:
    if quote is not None or escape is not None:
        mark = '"' if quote is None else quote
        return [(mark, escape or mark)]
    escaped = [('"', "\\")] if b'\\"' in text else []
    return [('"', '"'), *escaped, ("", "")]


def _sample(dialect: Dialect, text: bytes) -> list[Record] | None:
    try:
        with _long_fields():
            return list(islice(filter(None, dialect.records(text)), SAMPLE_RECORDS))
    except csv.Error:
        return None


def _has_quoted(records: Sequence[Record]) -> bool:
    """Whether quotes mean something after all, though one is out of place."""
    fields = (field for record in records for field in record)
    return any(len(field) > 1 and field[0] == field[-1] == '"' for field in fields)


@contextmanager
def _long_fields() -> Iterator[None]:
    """csv limits fields to 128 KB, for the whole process."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _score(records: Sequence[Record]) -> tuple[int, bool, int]:
    """The best splits every record alike; one that splits every record, but not alike, is next.

    Then reading on tells of the first record that differs, rather than give whole lines. What
    comes before the rest, as a comment does, counts against a delimiter: `a;b` is no comment.
    """
    widths = [len(record) for record in records]
    if not widths:
        return 0, False, 0
    preamble = next((i for i, width in enumerate(widths[:PREAMBLE]) if width > 1), 0)
    rest = widths[preamble:] if len(widths) > preamble + 1 else widths
    alike = len(set(rest)) == 1
    kind = 2 if alike and rest[0] > 1 else 1 if min(widths) > 1 or alike else 0
    return kind, rest is widths or not preamble, min(rest)


def check_quotes(path: Path, text: bytes, dialect: Dialect) -> None:
    """CorruptError if a quote never closes: the rest of the file would be one field."""
    if not dialect.quote or text.count(dialect.quote.encode()) % 2 == 0:
        return
    reader = dialect.records(text)
    try:
        with _long_fields():
            for _ in reader:
                pass
    except csv.Error as error:
        line = getattr(reader, "line_num", 0)
        raise CorruptError(f'file "{path}" line {line}: {error}') from None


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
    given = [None if cell in ("", *nulls) else cell for cell in cells]
    text = pa.chunked_array([pa.array(given, pa.large_string())])
    return inference.is_text(inference.infer(text, inference.CSV).type)
