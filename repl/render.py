"""Output modes: how rows are written. To add one: a function and a line in `MODES`."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, TextIO

import numpy as np

from tensorsql.repl.cells import cell, cells
from tensorsql.repl.table import write_table
from tensorsql.result import ResultRows
from tensorsql.storage.columns.types import Type

CHUNK = 10_000  # rows turned into text at a time


def write_csv(rows: ResultRows, output: TextIO) -> None:
    """Comma-separated values with a header; NULL is empty."""
    _separated(rows, output, ",")


def write_tsv(rows: ResultRows, output: TextIO) -> None:
    """As csv, with tabs."""
    _separated(rows, output, "\t")


def _separated(rows: ResultRows, output: TextIO, delimiter: str) -> None:
    writer = csv.writer(output, delimiter=delimiter, lineterminator="\n")
    writer.writerow(rows.names)
    for row in _rows(rows):
        writer.writerow([_field(value, type) for value, type in zip(row, rows.types, strict=True)])


def _field(value: Any, type: Type) -> str:
    if value is None:
        return ""
    return _json(value) if isinstance(value, (np.ndarray, list, dict)) else cell(value, type)


def write_json(rows: ResultRows, output: TextIO) -> None:
    """An array of one object per row; decimals keep their digits, NaN and infinity are null."""
    separator = "["
    for row in _rows(rows):
        output.write(separator + _object(zip(rows.names, row, strict=True)))
        separator = ",\n"
    output.write("[]\n" if separator == "[" else "]\n")


def _object(items: Any) -> str:
    return "{" + ",".join(f"{json.dumps(str(k))}:{_json(v)}" for k, v in items) + "}"


def _json(value: Any) -> str:
    match value:
        case Decimal():
            return format(value, "f")
        case float() if not math.isfinite(value):
            return "null"
        case None | bool() | int() | float() | str():
            return json.dumps(value, ensure_ascii=False)
        case dict():
            return _object(value.items())
        case list() | tuple():
            return "[" + ",".join(map(_json, value)) + "]"
        case np.ndarray():
            return _json(value.tolist())
        case bytes():
            return json.dumps(value.hex())
    return json.dumps(str(value))


def write_line(rows: ResultRows, output: TextIO) -> None:
    """`name = value`, one column a line, an empty line between rows."""
    width = max(map(len, rows.names))
    for number, row in enumerate(_texts(rows)):
        output.write("\n" if number else "")
        output.writelines(
            f"{name:>{width}} = {text}\n" for name, text in zip(rows.names, row, strict=True)
        )


def write_markdown(rows: ResultRows, output: TextIO) -> None:
    """A table of Markdown, numbers to the right."""
    marks = ["---:" if type.is_numeric else "---" for type in rows.types]
    output.write(_markdown_row(rows.names) + _markdown_row(marks))
    output.writelines(_markdown_row(row) for row in _texts(rows))


def _markdown_row(texts: Any) -> str:
    escaped = (text.replace("|", "\\|").replace("\n", "<br>") for text in texts)
    return "| " + " | ".join(escaped) + " |\n"


def _rows(rows: ResultRows) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(rows), CHUNK):
        yield from rows.python(start, min(start + CHUNK, len(rows)))


def _texts(rows: ResultRows) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(rows), CHUNK):
        table = rows.arrow(start, min(start + CHUNK, len(rows)))
        columns = (cells(part, type) for part, type in zip(table.columns, rows.types, strict=True))
        yield from zip(*columns, strict=True)


MODES: dict[str, Callable[[ResultRows, TextIO], None]] = {
    "table": write_table,
    "markdown": write_markdown,
    "csv": write_csv,
    "tsv": write_tsv,
    "json": write_json,
    "line": write_line,
}
