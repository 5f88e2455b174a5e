"""`.help`: what commands there are."""

from __future__ import annotations

from collections.abc import Sequence

from tensorsql.repl.runner import Command, Runner


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """List every command with its usage."""
    width = max(len(command.usage) for command in runner.commands)
    for command in runner.commands:
        runner.output.write(f"{command.usage:<{width}}  {command.description}\n")
    runner.output.write("\nEverything else is SQL; a statement ends with a semicolon.\n")


COMMAND = Command(".help", ".help", "list these commands", run)
