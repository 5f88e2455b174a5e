"""Results as a box of columns: first and last rows, types under the names, a count below."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import pyarrow as pa
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tensorsql.repl.cells import cells
from tensorsql.result import ResultRows
from tensorsql.storage.columns.types import Type

MAX_ROWS = 40  # more are shown as the first and the last half of so many
MAX_CELL = 100  # wider cells end in …
PADDING = 3  # what the box adds to the width of a column
DOTS = "·"
ENDLESS = 1_000_000


@dataclass(frozen=True)
class Shown:
    """A column as text."""

    name: str
    type: str
    values: list[str]
    right: bool

    @property
    def width(self) -> int:
        """The widest of its texts, in cells of the terminal."""
        return max(map(cell_len, (self.name, self.type, *self.values)))


def write_table(rows: ResultRows, output: TextIO) -> None:
    """Write the rows as a box; a single text of several lines, such as a plan, as lines."""
    table = _head_and_tail(rows)
    lines = _only_text(table)
    if lines is not None:
        output.writelines(f"{_printable(line)}\n" for line in lines)
        return
    room = _width(output)
    widest = _widest_cell(room, table.num_columns)
    described = zip(rows.names, rows.types, table.columns, strict=True)
    columns = [_column(name, type, part, widest) for name, type, part in described]
    shown, hidden = _fitting(columns, room)
    _print(_box(shown, table.num_rows, len(rows) > table.num_rows), output)
    output.write(_footer(len(rows), table.num_rows, len(columns), hidden) + "\n")


def _head_and_tail(rows: ResultRows) -> pa.Table:
    count = len(rows)
    if count <= MAX_ROWS:
        return rows.arrow(0, count)
    half = MAX_ROWS // 2
    return pa.concat_tables([rows.arrow(0, half), rows.arrow(count - half, count)])


def _only_text(table: pa.Table) -> list[str] | None:
    if table.num_rows != 1 or table.num_columns != 1:
        return None
    value = table.column(0)[0].as_py()
    return value.splitlines() if isinstance(value, str) and "\n" in value else None


def _column(name: str, type: Type, array: pa.ChunkedArray, widest: int) -> Shown:
    name, kind, *values = (
        _cut(_printable(text), widest) for text in (name, str(type).lower(), *cells(array, type))
    )
    return Shown(name, kind, values, type.is_numeric)


def _printable(text: str) -> str:
    """Line ends and control characters as escapes, so that no value moves the cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str, widest: int) -> str:
    return text if cell_len(text) <= widest else set_cell_size(text, widest - 1) + "…"


def _widest_cell(room: int | None, columns: int) -> int:
    """So that one column, or the first and the last, fit into the terminal."""
    if room is None:
        return MAX_CELL
    both = room - 1 if columns == 1 else (room - 2 - PADDING) // 2
    return max(min(MAX_CELL, both - PADDING), 8)


def _width(output: TextIO) -> int | None:
    """The terminal's width; None where a file or pipe takes any."""
    return shutil.get_terminal_size().columns if output.isatty() else None


def _fitting(columns: Sequence[Shown], room: int | None) -> tuple[list[Shown | None], int]:
    """The columns that fit, None where some between were left out, and how many those are."""
    whole = sum(column.width + PADDING for column in columns) + 1
    if room is None or whole <= room or len(columns) <= 2:
        return list(columns), 0
    left, right = [columns[0]], [columns[-1]]
    used = left[0].width + right[0].width + 3 * PADDING + 2
    middle = list(columns[1:-1])
    while middle and used + middle[0].width + PADDING <= room:
        used += middle[0].width + PADDING
        left.append(middle.pop(0))
    return [*left, None, *right], len(middle)


def _box(columns: Sequence[Shown | None], count: int, cut: bool) -> Table:
    table = Table(box=box.SQUARE, show_header=True, header_style="", pad_edge=True)
    for column in columns:
        header = Text("…\n…") if column is None else _header(column)
        right = column is not None and column.right
        table.add_column(header, justify="right" if right else "left", no_wrap=True)
    for i in range(count):
        if cut and i == count // 2:
            table.add_row(*[Text(DOTS, justify="center") for _ in columns])
        table.add_row(*[Text("…" if column is None else column.values[i]) for column in columns])
    return table


def _print(table: Table, output: TextIO) -> None:
    # The columns fit already: on a console without end rich does not wrap them.
    console = Console(file=output, width=ENDLESS, highlight=False, legacy_windows=False)
    console.print(table, no_wrap=True, crop=False)


def _header(column: Shown) -> Text:
    return Text.assemble(column.name, "\n", (column.type, "dim"), justify="center")


def _footer(count: int, shown: int, columns: int, hidden: int) -> str:
    rows = f"{count:,} row" + ("" if count == 1 else "s")
    if shown < count:
        rows = f"… {rows} ({shown} shown)"
    if hidden:
        rows += f", {columns} columns ({columns - hidden} shown)"
    return rows
