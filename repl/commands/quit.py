"""`.quit`: leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tensorsql.repl.commands.command import Command

if TYPE_CHECKING:
    from tensorsql.repl.runner import Runner


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """End the shell or script."""
    runner.finished = True


COMMAND = Command(".quit", ".quit", "leave", run)
