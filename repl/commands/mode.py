"""`.mode`: how rows are written."""

from __future__ import annotations

from collections.abc import Sequence

from tensorsql.errors import ProgrammingError, nearest
from tensorsql.repl.names import Names
from tensorsql.repl.render import MODES
from tensorsql.repl.runner import Command, Runner


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """Change the output mode, or tell it."""
    if not arguments:
        runner.output.write(f"{runner.mode}\n")
        return
    mode = arguments[0].lower()
    if mode not in MODES:
        raise ProgrammingError(f'there is no mode "{arguments[0]}"{nearest(mode, MODES)}')
    runner.mode = mode


def _choices(names: Names) -> Sequence[str]:
    return tuple(MODES)


COMMAND = Command(
    ".mode", ".mode [MODE]", f"write rows as {', '.join(MODES)}", run, most=1, choices=_choices
)
