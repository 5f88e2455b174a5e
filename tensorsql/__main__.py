"""The command line: `tensorsql [DATABASE] [-c SQL] [-f FILE] [--mode MODE]`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from tensorsql import __version__, connect
from tensorsql.cancellation import is_anyone_left_behind
from tensorsql.dbapi import Connection
from tensorsql.errors import Error, guarded
from tensorsql.repl.commands import COMMANDS
from tensorsql.repl.render import MODES
from tensorsql.repl.report import CANCELLED, describe, tell_warnings
from tensorsql.repl.runner import Runner
from tensorsql.repl.script import read_text, run_script

FAILED = 1
INTERRUPTED = 130  # as shells count a death by SIGINT


@dataclass(frozen=True)
class SqlText:
    """The text of a `-c`."""

    sql: str

    @property
    def written(self) -> str:
        """The argument itself."""
        return self.sql

    def text(self) -> str:
        """What to run."""
        return self.sql


@dataclass(frozen=True)
class File:
    """The file of a `-f`; `-` is standard input."""

    path: str

    @property
    def written(self) -> str:
        """The argument itself."""
        return self.path

    def text(self) -> str:
        """What to run; IOError if it cannot be read."""
        return read_text(sys.stdin.fileno() if self.path == "-" else self.path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 after an error, 130 after Ctrl-C."""
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack characters
    tell_warnings()
    try:
        with guarded(), connect(options.database, options.read_only) as connection:
            run(connection, options)
        sys.stdout.flush()
    except Error as error:
        sys.stdout.flush()
        print(describe(error), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(CANCELLED, file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader left: python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return 0


def program() -> NoReturn:
    """The process: run the command line, and end even while a cancelled statement has not."""
    status = main()
    if is_anyone_left_behind():
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options given; `-cmd` is no `-c md`, but an option that there is not."""
    takes = parser()
    options = takes.parse_args(arguments)
    for letter, texts in (("c", SqlText), ("f", File)):
        for script in options.scripts or ():
            if isinstance(script, texts) and f"-{letter}{script.written}" in arguments:
                takes.error(f"unrecognized argument -{letter}{script.written}")
    return options


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    result = argparse.ArgumentParser(
        prog="tensorsql",
        description="SQL over tables, image masks, neuron activations and model predictions.",
        allow_abbrev=False,
        epilog="Without -c or -f it reads standard input, or opens a shell on a terminal.",
    )
    result.add_argument(
        "database", nargs="?", default=":memory:", help="folder of the database; default: in memory"
    )
    result.add_argument(
        "-c", type=SqlText, action="append", dest="scripts", metavar="SQL", help="run statements"
    )
    result.add_argument(
        "-f", type=File, action="append", dest="scripts", metavar="FILE", help="run a script"
    )
    result.add_argument("--mode", choices=list(MODES), default="table", help="how to write rows")
    for mode in MODES:  # as DuckDB and SQLite write it
        hidden = argparse.SUPPRESS
        result.add_argument(f"-{mode}", action="store_const", const=mode, dest="mode", help=hidden)
    result.add_argument(
        *("--read-only", "-readonly"), action="store_true", help="refuse to change the database"
    )
    result.add_argument(
        "--version", "-version", action="version", version=f"tensorsql {__version__}"
    )
    return result


def run(connection: Connection, options: argparse.Namespace) -> None:
    """Run the scripts in the order given, or what standard input says."""
    if not options.scripts and sys.stdin.isatty() and sys.stdout.isatty():
        from tensorsql.repl.shell import Shell

        Shell.of(connection, options.mode).loop()
        return
    runner = Runner(connection, sys.stdout, COMMANDS, options.mode)
    scripts: list[SqlText | File] = options.scripts or [File("-")]
    for script in scripts:
        run_script(script.text(), runner)


if __name__ == "__main__":
    program()
