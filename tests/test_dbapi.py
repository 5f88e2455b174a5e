"""The DB-API: the public compliance suite, and what it does not cover."""

from __future__ import annotations

import datetime
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dbapi20
import numpy as np
import pyarrow as pa
import pytest

import tensorsql
from tensorsql import Connection, errors


class TestCompliance(dbapi20.DatabaseAPI20Test):  # type: ignore[misc]
    """The suite of PyPI's dbapi-compliance."""

    driver = tensorsql
    connect_args = ()

    def test_nextset(self) -> None:
        """Optional; a cursor has the rows of one statement."""
        connection = self._connect()
        assert not hasattr(connection.cursor(), "nextset")

    def test_setoutputsize(self) -> None:
        """Allowed to do nothing."""
        self._connect().cursor().setoutputsize(10)


class TestComplianceOnDisk(TestCompliance):
    """The same suite with a database in a folder."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.connect_args = (str(tmp_path / "compliance.tsql"),)


@pytest.fixture
def connection() -> Iterator[Connection]:
    with tensorsql.connect() as opened:
        opened.execute("CREATE TABLE t (a INTEGER, b VARCHAR)")
        opened.execute("INSERT INTO t VALUES (1, 'x'), (2, NULL), (3, 'z')")
        yield opened


def one(connection: Connection, sql: str, parameters: Any = ()) -> Any:
    row = connection.execute(sql, parameters).fetchone()
    assert row is not None
    return row[0]


def test_description_comes_before_the_first_fetch(connection: Connection) -> None:
    description = connection.execute("SELECT a, b, 1.50 AS c, DATE '2020-01-01' AS d FROM t")
    assert description.description is not None
    assert [column[0] for column in description.description] == ["a", "b", "c", "d"]
    kinds = [column[1] for column in description.description]
    assert [str(kind) for kind in kinds] == ["INTEGER", "VARCHAR", "DECIMAL(3,2)", "DATE"]
    wanted = [tensorsql.NUMBER, tensorsql.STRING, tensorsql.NUMBER, tensorsql.DATETIME]
    assert kinds == wanted
    assert kinds[0] != tensorsql.STRING


def test_fetching_mixes(connection: Connection) -> None:
    cursor = connection.execute("SELECT a FROM t ORDER BY a")
    assert cursor.rowcount == 3
    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany(1) == [(2,)]
    assert list(cursor) == [(3,)]
    assert cursor.fetchone() is None
    assert cursor.fetchall() == []


def test_fetchone_keeps_its_place_for_others(connection: Connection) -> None:
    cursor = connection.execute("SELECT a FROM t ORDER BY a")
    assert cursor.fetchone() == (1,)
    assert cursor.fetch_arrow_table().to_pydict() == {"a": [2, 3]}
    assert cursor.fetchall() == []


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("NULL", None),
        ("true", True),
        ("12::TINYINT", 12),
        ("170141183460469231731687303715884105727::HUGEINT", 2**127 - 1),
        ("1.50", Decimal("1.50")),
        ("1.5::DOUBLE", 1.5),
        ("'é'", "é"),
        ("DATE '2020-02-29'", datetime.date(2020, 2, 29)),
        ("TIME '10:11:12.5'", datetime.time(10, 11, 12, 500_000)),
        ("TIMESTAMP '2020-01-01 01:02:03'", datetime.datetime(2020, 1, 1, 1, 2, 3)),
        ("INTERVAL '1 month 2 days'", datetime.timedelta(days=32)),
        ("'\\x01a'::BLOB", b"\x01a"),
        ("'9d1fef8a-3f1c-4bd0-a4f1-8e9f0e1e3b1f'::UUID", "9d1fef8a-3f1c-4bd0-a4f1-8e9f0e1e3b1f"),
        ("[1, NULL, 3]", [1, None, 3]),
        ("{'a': 1, 'b': [1.5]}", {"a": 1, "b": [Decimal("1.5")]}),
        ("BOX_XYXY(1, 2, 3.5, 4)", (1.0, 2.0, 3.5, 4.0)),
    ],
)
def test_values_come_out_as_python_has_them(connection: Connection, sql: str, value: Any) -> None:
    found = one(connection, f"SELECT {sql}")
    if isinstance(found, uuid.UUID):
        found = str(found)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        2**70,
        -1.5,
        Decimal("12.340"),
        "it's",
        b"\x00\xff",
        datetime.date(1999, 12, 31),
        datetime.time(1, 2, 3),
        datetime.datetime(1999, 12, 31, 23, 59, 59, 1),
        datetime.timedelta(days=3, seconds=5),
        [1, 2, 3],
    ],
)
def test_parameters_go_in_and_out(connection: Connection, value: Any) -> None:
    assert one(connection, "SELECT ?", [value]) == value
    assert one(connection, "SELECT :value", {"value": value}) == value
    assert one(connection, "SELECT $1", [value]) == value


def test_numpy_scalars_are_parameters(connection: Connection) -> None:
    assert one(connection, "SELECT ? + ?", [np.int64(2), np.float32(0.5)]) == 2.5


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        ("SELECT ?", [], "no value was given for parameter 1"),
        ("SELECT :size", {"sise": 1}, 'did you mean "sise"'),
        ("SELECT ?", [object()], "Python type object"),
        ("SELECT nope FROM t", [], "nope"),
        ("SELEC 1", [], "syntax error"),
        ("SELECT * FROM tt", [], 'did you mean "t"'),
    ],
)
def test_wrong_statements_say_what_is_wrong(
    connection: Connection, sql: str, parameters: Any, message: str
) -> None:
    with pytest.raises(tensorsql.ProgrammingError, match=message):
        connection.execute(sql, parameters)
    assert one(connection, "SELECT count(*) FROM t") == 3


def test_executemany_inserts_all_rows(connection: Connection) -> None:
    cursor = connection.executemany(
        "INSERT INTO t (b, a) VALUES (?, ?)", [("p", 10), (None, 11), ("q", None)]
    )
    assert cursor.rowcount == 3
    rows = connection.execute("SELECT a, b FROM t WHERE a >= 10 OR a IS NULL ORDER BY a").fetchall()
    assert rows == [(10, "p"), (11, None), (None, "q")]


def test_executemany_of_mixed_types_and_mappings(connection: Connection) -> None:
    connection.executemany("INSERT INTO t VALUES (?, 'c')", [(20,), ("21",)])
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(22, "c"), ("23", "c")])
    connection.executemany("INSERT INTO t VALUES (:a, 'c')", [{"a": 24}, {"a": 25}])
    rows = connection.execute("SELECT a FROM t WHERE b = 'c' ORDER BY a").fetchall()
    assert rows == [(20,), (21,), (22,), (23,), (24,), (25,)]


def test_executemany_is_all_or_nothing(connection: Connection) -> None:
    for sql in ("INSERT INTO t VALUES (?, 'm')", "INSERT INTO t VALUES (? + 0, 'm')"):
        with pytest.raises(tensorsql.Error):
            connection.executemany(sql, [(30,), ("many",)])
    assert one(connection, "SELECT count(*) FROM t WHERE b = 'm'") == 0
    assert connection.executemany("INSERT INTO t VALUES (?, ?)", []).rowcount == -1


def test_executemany_is_fast_for_many_rows(connection: Connection) -> None:
    rows = [(i, str(i)) for i in range(20_000)]
    began = time.perf_counter()
    assert connection.executemany("INSERT INTO t VALUES (?, ?);", rows).rowcount == 20_000
    assert time.perf_counter() - began < 5
    assert one(connection, "SELECT sum(a) FROM t") == sum(range(20_000)) + 6


def test_transactions(connection: Connection) -> None:
    connection.commit()
    connection.rollback()
    connection.begin().execute("DELETE FROM t")
    assert one(connection, "SELECT count(*) FROM t") == 0
    connection.rollback()
    assert one(connection, "SELECT count(*) FROM t") == 3
    connection.begin()
    with pytest.raises(errors.TransactionError):
        connection.begin()
    connection.execute("DELETE FROM t WHERE a = 1")
    connection.commit()
    assert one(connection, "SELECT count(*) FROM t") == 2


def test_context_manager_commits_or_rolls_back(tmp_path: Path) -> None:
    path = tmp_path / "d.tsql"
    with tensorsql.connect(path) as first:
        first.begin().execute("CREATE TABLE t AS SELECT 1 AS a")
    with pytest.raises(ZeroDivisionError), tensorsql.connect(path) as second:
        second.begin().execute("DELETE FROM t")
        raise ZeroDivisionError
    with tensorsql.connect(path) as third:
        assert one(third, "SELECT count(*) FROM t") == 1
        third.close()


def test_closed_things_say_so(connection: Connection) -> None:
    cursor = connection.execute("SELECT 1")
    cursor.close()
    with pytest.raises(tensorsql.InterfaceError, match="cursor is closed"):
        cursor.fetchone()
    with pytest.raises(tensorsql.InterfaceError, match="no rows"):
        connection.cursor().fetchall()
    other = tensorsql.connect()
    cursor = other.execute("SELECT 1")
    other.close()
    with pytest.raises(tensorsql.InterfaceError, match="connection is closed"):
        cursor.fetchall()
    for use in (other.cursor, other.commit, other.interrupt, other.close):
        with pytest.raises(tensorsql.InterfaceError, match="connection is closed"):
            use()


def test_read_only_refuses_changes(tmp_path: Path) -> None:
    path = tmp_path / "d.tsql"
    with pytest.raises(errors.IOError, match="does not exist"):
        tensorsql.connect(path, read_only=True)
    assert not path.exists()
    with tensorsql.connect(path) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    with tensorsql.connect(path, read_only=True) as connection:
        assert one(connection, "SELECT a FROM t") == 1
        with pytest.raises(tensorsql.OperationalError, match="read-only"):
            connection.execute("INSERT INTO t VALUES (2)")


def test_config_gives_settings(connection: Connection) -> None:
    with tensorsql.connect(config={"threads": 1, "morsel_size": 7}) as configured:
        assert configured.session.settings["morsel_size"] == 7
    with pytest.raises(errors.CatalogError, match='did you mean "threads"'):
        tensorsql.connect(config={"thread": 1})
    with pytest.raises(errors.OutOfRangeError, match="from 1 to"):
        tensorsql.connect(config={"threads": 0})


def test_arrow_and_pandas_out(connection: Connection) -> None:
    table = connection.execute("SELECT a, b FROM t ORDER BY a").fetch_arrow_table()
    assert table.to_pydict() == {"a": [1, 2, 3], "b": ["x", None, "z"]}
    frame = connection.execute("SELECT a FROM t ORDER BY a").df()
    assert frame["a"].tolist() == [1, 2, 3]
    stream = pa.table(connection.execute("SELECT a FROM t ORDER BY a"))
    assert stream.column_names == ["a"] and stream.num_rows == 3


def test_registered_objects_are_tables(connection: Connection) -> None:
    connection.register("People", pa.table({"id": [1, 2], "name": ["a", "b"]}))
    assert connection.execute("SELECT name FROM people WHERE id = 2").fetchall() == [("b",)]
    connection.unregister("PEOPLE")
    with pytest.raises(errors.CatalogError):
        connection.execute("SELECT * FROM people")
    with pytest.raises(tensorsql.NotSupportedError):
        connection.register("number", 3)


def test_tensors_come_out_as_arrays(connection: Connection) -> None:
    images = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    connection.register("images", {"id": np.arange(2), "image": images})
    rows = connection.execute("SELECT id, image FROM images ORDER BY id DESC").fetchall()
    assert [row[0] for row in rows] == [1, 0]
    assert np.array_equal(rows[0][1], images[1]) and rows[0][1].dtype == np.float32


def test_masks_come_out_as_arrays(connection: Connection) -> None:
    masks = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    connection.register_masks("masks", masks, {"label": [5, 6]})
    rows = connection.execute("SELECT label, mask FROM masks ORDER BY label").fetchall()
    assert [row[0] for row in rows] == [5, 6]
    assert np.array_equal(rows[1][1], masks[1]) and rows[1][1].dtype == np.uint8


def test_models_are_registered_once(connection: Connection) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 2))
    connection.register_model("net", module)
    with pytest.raises(errors.CatalogError, match="exists already"):
        connection.register_model("net", module)
    connection.register_model("net", module, replace=True)
    assert connection.execute("SHOW MODELS").fetchall()[0][0] == "net"
    with pytest.raises(tensorsql.ProgrammingError, match="not a torch module"):
        connection.register_model("other", "net")  # type: ignore[arg-type]


def test_interrupt_from_another_thread(connection: Connection) -> None:
    numbers = pa.table({"i": np.arange(20_000)})
    connection.register("numbers", numbers)
    threading.Timer(0.5, connection.interrupt).start()
    began = time.perf_counter()
    with pytest.raises(errors.InterruptedError):
        connection.execute("SELECT sum(x.i * y.i % 7) FROM numbers x, numbers y")
    assert time.perf_counter() - began < 3
    assert one(connection, "SELECT count(*) FROM t") == 3


def test_interrupt_without_a_statement_does_no_harm(connection: Connection) -> None:
    connection.interrupt()
    assert one(connection, "SELECT 1") == 1


def test_defects_become_internal_errors(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(connection.session, "execute", fails)
    with pytest.raises(tensorsql.InternalError, match="please report") as found:
        connection.execute("SELECT 1")
    assert isinstance(found.value.__cause__, KeyError)


@pytest.mark.parametrize("parameters", [5, "text", b"bytes", {1, 2}])
def test_parameters_of_a_wrong_kind_are_refused(connection: Connection, parameters: Any) -> None:
    with pytest.raises(tensorsql.InterfaceError, match="a sequence or a mapping"):
        connection.execute("SELECT ?", parameters)
    with pytest.raises(tensorsql.InterfaceError, match="a sequence or a mapping"):
        connection.executemany("SELECT ?", [parameters])


def test_statements_are_text(connection: Connection) -> None:
    with pytest.raises(tensorsql.InterfaceError, match="a statement is a str, not bytes"):
        connection.execute(b"SELECT 1")  # type: ignore[arg-type]
    assert connection.execute("SELECT 1", None).fetchall() == [(1,)]


def test_executemany_takes_text_for_other_types(connection: Connection) -> None:
    connection.execute("CREATE TABLE d (d DATE, n DECIMAL(10,2), l INTEGER[])")
    connection.executemany("INSERT INTO d VALUES (?, ?, ?)", [("2020-01-02", "1.5", [1])])
    row = connection.execute("FROM d").fetchone()
    assert row == (datetime.date(2020, 1, 2), Decimal("1.50"), [1])


def test_executemany_names_what_the_statement_names(connection: Connection) -> None:
    with pytest.raises(errors.CatalogError, match='"nope" not found') as found:
        connection.executemany("INSERT INTO nope VALUES (?)", [(1,)])
    assert "executemany" not in str(found.value)


def test_statements_that_say_nothing(connection: Connection) -> None:
    for sql in ("", " ; ", "-- nothing"):
        assert connection.execute(sql).description is None


def test_names_may_repeat(connection: Connection) -> None:
    cursor = connection.execute("SELECT 1 AS x, 2 AS x")
    assert list(cursor.df().columns) == ["x", "x"]


@pytest.mark.parametrize("threads", [1, 3])
def test_keyboard_interrupt_leaves_the_connection_usable(
    connection: Connection, threads: int
) -> None:
    connection.execute(f"SET threads = {threads}")
    connection.register("numbers", pa.table({"i": np.arange(20_000)}))
    connection.begin()
    pressed = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    pressed.start()
    before = threading.active_count()
    try:
        with pytest.raises(KeyboardInterrupt):
            connection.execute("SELECT sum(x.i * y.i % 7) FROM numbers x, numbers y")
    finally:
        pressed.cancel()
    connection.commit()
    assert threading.active_count() <= before
    assert one(connection, "SELECT count(*) FROM t") == 3
