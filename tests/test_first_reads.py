"""Many threads that read a healthy database for the first time at once find it healthy, and equal.

What is opened late (files, batches, columns, masks, deletions, indexes) is opened whole.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorsql
from tensorsql.cancellation import import_engine
from tensorsql.storage.columns.arrow import to_arrow
from tensorsql.storage.columns.column import RowRef
from tensorsql.storage.tables.database import Database

ROWS, THREADS, ROUNDS = 3000, 6, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two segments with columns of every layout, some rows deleted, and an index of each kind."""
    path = tmp_path_factory.mktemp("first") / "reads.tsql"
    connection = tensorsql.connect(path)
    connection.register_masks("raw", np.arange(ROWS * 64, dtype=np.uint8).reshape(ROWS, 8, 8))
    connection.execute(
        "CREATE TABLE t AS SELECT index AS i, index / 7.0 AS f, 'text ' || index AS s, "
        "[index, 1] AS l, {'a': index} AS r, index::DECIMAL(30, 2) AS d, mask FROM raw"
    )
    connection.execute("INSERT INTO t SELECT * FROM t WHERE i < 2500")
    connection.execute("DELETE FROM t WHERE i % 5 = 0")
    connection.execute("CREATE INDEX chi ON t USING CHI (mask)")
    connection.close()
    return path


@pytest.fixture(autouse=True)
def quick_turns() -> Iterator[None]:
    """Threads change places as often as they can."""
    import_engine()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def together(work: Callable[[int], Any]) -> list[Any]:
    """What `work` gives each of some threads that begin at once, errors among it."""
    barrier, found = threading.Barrier(THREADS), [None] * THREADS

    def run(number: int) -> None:
        barrier.wait()
        try:
            found[number] = work(number)
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_columns(folder: Path) -> None:
    for _ in range(ROUNDS):
        database = Database.open(folder)
        relation = database.begin(write=False).relation("t")
        assert relation is not None
        columns = [column.name for column in relation.schema.columns]
        whole = relation.open(), relation.rows, columns

        def read(number: int, whole: tuple[Any, int, list[str]] = whole) -> Any:
            reader, rows, names = whole
            turned = names[number:] + names[:number]
            found = {name: reader.read(name, 0, rows) for name in turned}
            live = reader.live(0, rows).tolist()
            return live, {
                name: column.rows.tolist() if isinstance(column, RowRef) else to_arrow(column)
                for name, column in sorted(found.items())
            }

        found = together(read)
        database.close()
        assert all(not isinstance(one, Exception) for one in found), found
        assert all(one == found[0] for one in found)


def test_statements(folder: Path) -> None:
    asked = [
        "SELECT count(*), sum(i), max(s), sum(f), max(d), sum(l[1]), sum(r.a) FROM t",
        "SELECT count(*) FROM t WHERE CP(mask, -, (0.2, 0.7)) > 30",
        "SELECT i FROM t ORDER BY CP(mask, -, (0.1, 0.9)) DESC, i LIMIT 5",
    ]
    with tensorsql.connect(folder) as alone:
        expected = [alone.execute(sql).fetchall() for sql in asked]
    for _ in range(ROUNDS):
        with tensorsql.connect(folder) as connection:
            found = together(
                lambda number, c=connection: [
                    c.cursor().execute(asked[(number + k) % 3]).fetchall() for k in range(3)
                ]
            )
        wanted = [[expected[(number + k) % 3] for k in range(3)] for number in range(THREADS)]
        assert found == wanted
