"""`.help`: what commands there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tensorsql.repl.commands.command import Command

if TYPE_CHECKING:
    from tensorsql.repl.runner import Runner


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """List every command with its usage."""
    from tensorsql.repl.commands import COMMANDS

    width = max(len(command.usage) for command in COMMANDS)
    for command in COMMANDS:
        runner.output.write(f"{command.usage:<{width}}  {command.description}\n")
    runner.output.write("\nEverything else is SQL; a statement ends with a semicolon.\n")


COMMAND = Command(".help", ".help", "list these commands", run)
