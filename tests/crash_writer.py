"""A prepared process that forks writers to be killed; free of torch, so that a fork is cheap.

Each line of standard input is `mode folder acknowledgements`; the answer is a process id.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pyarrow as pa

from tensorsql.storage.columns import types
from tensorsql.storage.tables.catalog import ColumnSchema, TableSchema, ViewEntry
from tensorsql.storage.tables.database import Database
from tensorsql.storage.tables.folder_store import FolderStore  # noqa: F401  imported before the fork

SCHEMA = TableSchema(
    "t",
    (ColumnSchema("batch", types.BIGINT), ColumnSchema("word", types.VARCHAR)),
)


def rows_of(step: int) -> pa.Table:
    """The rows that a step appends: step % 5 + 1 of them, all saying which step it was."""
    count = step % 5 + 1
    return pa.table({"batch": [step] * count, "word": [f"word {step % 3}"] * count})


def expected(steps: int) -> dict[int, int]:
    """Rows per batch after so many steps: every third step also deletes the batch two before."""
    alive = {step: step % 5 + 1 for step in range(1, steps + 1)}
    for step in range(3, steps + 1, 3):
        alive.pop(step - 2, None)
    return alive


def take_step(database: Database, step: int) -> None:
    """One transaction of several changes that belong together."""
    transaction = database.begin(write=True)
    if transaction.relation("t") is None:
        transaction.create_table(SCHEMA)
    transaction.append("t", rows_of(step))
    if step % 3 == 0:
        first = sum(number % 5 + 1 for number in range(1, step - 2))
        transaction.delete("t", range(first, first + (step - 2) % 5 + 1))
    transaction.put_view(ViewEntry("last", str(step)))
    transaction.commit()


def write(folder: str, acknowledgements: str) -> None:
    """Take step after step, and say so after each, until killed."""
    database = Database.open(folder)
    view = database.begin().view("last")
    step = int(view.sql) if view else 0
    with Path(acknowledgements).open("a", buffering=1) as done:
        while True:
            step += 1
            take_step(database, step)
            done.write(f"{step}\n")
            if step % 7 == 0:
                database.checkpoint()


def hold(folder: str, acknowledgements: str) -> None:
    """Append without committing, say so, and commit when told by SIGUSR1."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    database = Database.open(folder)
    transaction = database.begin()
    transaction.append("t", rows_of(1))
    Path(acknowledgements).write_text("holding")
    signal.sigwait([signal.SIGUSR1])
    transaction.commit()
    database.close()
    Path(acknowledgements).write_text("committed")


def main() -> None:
    """Fork a writer per line, after the one before has ended."""
    rows_of(1)  # Arrow imports pandas for it: once here rather than in every fork
    for line in sys.stdin:
        mode, folder, acknowledgements = line.split()
        child = os.fork()
        if not child:
            {"write": write, "hold": hold}[mode](folder, acknowledgements)
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
