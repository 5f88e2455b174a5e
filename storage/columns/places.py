"""Where the rows of files stand, for the errors of their values. Torch-free."""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tensorsql.errors import Error


@dataclass(frozen=True)
class Places:
    """The files of a relation, end to end, with the number of rows of each.

    `line` finds the line of a file on which one of its rows begins, as an editor counts them; rows
    have numbers where there are no lines. `cure` helps against values that cannot be converted.
    """

    files: tuple[tuple[Path, int], ...]
    cure: str
    line: Callable[[Path, int], int | None] | None = None

    def of(self, rows: Sequence[int]) -> str:
        """The file and the line or number of rows of the relation, in words; all it has if none."""
        if not rows:
            return " and ".join(f'file "{path}"' for path, _ in self.files[:2])
        places = [self._place(row) for row in rows]
        path, unit = places[0][:2]
        numbers = [number for other, kind, number in places if (other, kind) == (path, unit)]
        plural = "s" if len(numbers) > 1 else ""
        return f'file "{path}" {unit}{plural} {" and ".join(map(str, numbers))}'

    def _place(self, row: int) -> tuple[Path, str, int]:
        path = self.files[-1][0]
        for path, rows in self.files:  # noqa: B007
            if row < rows:
                break
            row -= rows
        line = None
        if self.line is not None:
            with suppress(Error, OSError, ValueError, csv.Error):  # the file may have changed
                line = self.line(path, row)
        return (path, "row", row + 1) if line is None else (path, "line", line)


def first_failing(rows: int, fails: Callable[[int], bool]) -> int | None:
    """The first of some rows that does not convert, where `fails` says whether the first n do not.

    None if the fault is in none of them.
    """
    if fails(0) or not fails(rows):
        return None
    return bisect_left(range(rows + 1), True, key=fails) - 1
