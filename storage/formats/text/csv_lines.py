"""The lines of a CSV file, as an editor counts them: a record may go over several."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from itertools import dropwhile, islice

from tensorsql.storage.formats.text.csv_sniffing import Dialect, Record, long_fields


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
