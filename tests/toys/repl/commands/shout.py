"""`.shout`: a toy."""

from __future__ import annotations

from collections.abc import Sequence

from tensorsql.repl.runner import Command, Runner


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """Write a word loudly."""
    runner.output.write(f"{arguments[0].upper()}!\n")


COMMAND = Command(".shout", ".shout WORD", "write a word loudly", run, least=1, most=1)
