"""`.read`: run a script."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tensorsql.errors import ProgrammingError
from tensorsql.repl.runner import Command, Runner
from tensorsql.repl.script import read_text, run_script


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """Run the statements and commands of a file, up to the first error."""
    path = os.path.expanduser(arguments[0])
    text = read_text(path)
    place = Path(os.path.realpath(path))
    if place in runner.reading:
        raise ProgrammingError(f'script "{path}" reads itself')
    before, runner.reading = runner.reading, (*runner.reading, place)
    try:
        run_script(text, runner)
    finally:
        runner.reading = before


COMMAND = Command(".read", ".read FILE", "run a script", run, least=1, most=1)
