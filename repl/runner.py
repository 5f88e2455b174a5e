"""Runs statements and dot commands and writes what they answer; shell and scripts share it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tensorsql.dbapi import Connection
from tensorsql.errors import ProgrammingError, nearest
from tensorsql.repl.names import Names
from tensorsql.repl.render import MODES


def no_choices(names: Names) -> Sequence[str]:
    """Nothing to complete an argument with."""
    return ()


@dataclass(frozen=True)
class Command:
    """A dot command that takes `least` to `most` arguments; `choices` completes them."""

    name: str
    usage: str
    description: str
    run: Callable[[Runner, Sequence[str]], None]
    least: int = 0
    most: int = 0
    choices: Callable[[Names], Sequence[str]] = no_choices


@dataclass
class Runner:
    """A connection, the dot commands there are, and how answers are written.

    `tell_changes` also reports statements without rows; `finished` is set by `.quit`; `reading` are
    the files `.read` is in the middle of.
    """

    connection: Connection
    output: TextIO
    commands: Sequence[Command]
    mode: str = "table"
    timer: bool = False
    tell_changes: bool = False
    finished: bool = False
    reading: tuple[Path, ...] = ()

    def run(self, sql: str) -> None:
        """Execute one statement and write its rows."""
        cursor = self.connection.execute(sql)
        if cursor.description is not None:
            MODES[self.mode](cursor.rows, self.output)
        elif self.tell_changes and cursor.rowcount >= 0:
            self.output.write(f"{cursor.rowcount:,} row{'' if cursor.rowcount == 1 else 's'}\n")
        if self.timer:
            self.output.write(f"Run time: {cursor.seconds:.3f} s\n")
        self.output.flush()

    def command(self, line: str) -> None:
        """Carry out a dot command; ProgrammingError for one that is unknown or misused."""
        try:
            name, *arguments = shlex.split(line.strip().rstrip(";"))
        except ValueError:
            raise ProgrammingError("a quote in this command is never closed") from None
        chosen = self._find(name)
        if not chosen.least <= len(arguments) <= chosen.most:
            raise ProgrammingError(f"usage: {chosen.usage}")
        chosen.run(self, arguments)
        self.output.flush()

    def _find(self, name: str) -> Command:
        """The command of this name; ProgrammingError with the nearest ones otherwise."""
        for command in self.commands:
            if name.lower() == command.name:
                return command
        names = [command.name for command in self.commands]
        hint = nearest(name, names) or "; .help lists all commands"
        raise ProgrammingError(f'there is no command "{name}"{hint}')
