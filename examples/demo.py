"""Builds the demo database and runs `demo.sql` on it; `make demo` calls this from the root."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import tensorsql
from tensorsql.parser.dialect import split
from tensorsql.repl.commands import COMMANDS
from tensorsql.repl.report import describe
from tensorsql.repl.runner import Runner
from tensorsql.repl.script import run_script

HERE = Path(__file__).parent
DATABASE = Path("demo.tsql")


def main() -> int:
    """Build, run, and say how to go on; exit status 1 at the first error."""
    began = time.perf_counter()
    shutil.rmtree(DATABASE, ignore_errors=True)
    try:
        with tensorsql.connect(str(DATABASE)) as connection:
            runner = Runner(connection, sys.stdout, COMMANDS)
            print(f"Building {DATABASE} …", flush=True)
            run_script((HERE / "setup.sql").read_text(encoding="utf-8"), runner)
            tour(runner)
    except tensorsql.Error as error:
        print(describe(error), file=sys.stderr)
        return 1
    print(f"\nDone in {time.perf_counter() - began:.0f} s.")
    print("Open the shell on the same database with:")
    print(f"\n    {Path(sys.executable).parent / 'tensorsql'} {DATABASE}\n")
    return 0


def tour(runner: Runner) -> None:
    """Show each statement of demo.sql with its comments, then what it answers."""
    for statement in split((HERE / "demo.sql").read_text(encoding="utf-8")):
        print(f"\n{statement.strip()}\n", flush=True)
        began = time.perf_counter()
        runner.run(statement)
        print(f"({time.perf_counter() - began:.2f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
