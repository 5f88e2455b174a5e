"""`.quit`, or `.exit`: leave."""

from __future__ import annotations

from collections.abc import Sequence

from tensorsql.repl.runner import Command, Runner


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """End the shell or script."""
    runner.finished = True


COMMAND = Command(".quit", ".quit", "leave", run)
EXIT = Command(".exit", ".exit", "leave", run)
