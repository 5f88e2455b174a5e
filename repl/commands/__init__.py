"""The registry of dot commands, in the order `.help` lists them.

To add a command: a file with a `COMMAND` and a line here.
"""

from __future__ import annotations

from tensorsql.repl.commands import help, mode, quit, read, schema, tables, timer
from tensorsql.repl.runner import Command

__all__ = ["COMMANDS", "Command"]

COMMANDS: tuple[Command, ...] = (
    help.COMMAND,
    tables.COMMAND,
    schema.COMMAND,
    mode.COMMAND,
    timer.COMMAND,
    read.COMMAND,
    quit.COMMAND,
    quit.EXIT,
)
