"""`.timer`: whether the time of each statement is told."""

from __future__ import annotations

from collections.abc import Sequence

from tensorsql.errors import ProgrammingError
from tensorsql.repl.names import Names
from tensorsql.repl.runner import Command, Runner


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """Switch the timer, or tell whether it is on."""
    if not arguments:
        runner.output.write("on\n" if runner.timer else "off\n")
        return
    word = arguments[0].lower()
    if word not in ("on", "off"):
        raise ProgrammingError(f'the timer is "on" or "off", not "{arguments[0]}"')
    runner.timer = word == "on"


def _choices(names: Names) -> Sequence[str]:
    return ("on", "off")


COMMAND = Command(
    ".timer", ".timer [on|off]", "tell each statement's time", run, most=1, choices=_choices
)
