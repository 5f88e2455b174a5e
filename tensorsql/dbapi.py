"""Connections and cursors (PEP 249).

Statements commit by themselves unless `begin()` or BEGIN opened a transaction; `commit()` and
`rollback()` without one do nothing.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from tensorsql import errors
from tensorsql.cancellation import cancelled_by, check_cancelled
from tensorsql.errors import guarded
from tensorsql.registration import Registering
from tensorsql.result import ResultRows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from tensorsql.result import Result
    from tensorsql.session import Parameters, Session

Row = tuple[Any, ...]
Taken = TypeVar("Taken")
FETCH_ROWS = 256  # fetchone converts this many rows at a time


def connect(
    database: str | os.PathLike[str] = ":memory:",
    read_only: bool = False,
    config: Mapping[str, Any] | None = None,
) -> Connection:
    """Open a database: a path, created if missing, or ":memory:" for one that lives in memory.

    `config` gives settings their values, as SET does. IOError or CorruptError for a path that
    cannot be opened, CatalogError for an unknown setting.
    """
    # `import tensorsql` is quick; parser and planner come with the first connection.
    from tensorsql.session import Session
    from tensorsql.storage.tables.database import Database

    if not isinstance(database, (str, os.PathLike)):
        raise errors.InterfaceError(f"a database is a path or ':memory:', not {database!r}")
    if config is not None and not all(isinstance(name, str) for name in dict(config)):
        raise errors.InterfaceError("config is a mapping of settings' names to values")
    with guarded(), cancelled_by(Event()):
        opened = Database.open(database, read_only=read_only)
        try:
            return Connection(Session(opened, config))
        except BaseException:
            opened.close()
            raise


class Connection(Registering):
    """One session with a database. Share it between cursors, not between threads.

    As a context manager it commits at the end, or rolls back after an exception, and closes.
    """

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    def __init__(self, session: Session) -> None:
        self._session: Session | None = session
        self._owner = session.database.owner
        self._finalizer = weakref.finalize(self, _abandon, session)

    @property
    def session(self) -> Session:
        """The session; InterfaceError once it is closed, as it is in a fork of its process."""
        if self._session is None:
            raise errors.InterfaceError("the connection is closed")
        self._owner.require()
        return self._session

    def cursor(self) -> Cursor:
        """A new cursor; all cursors of a connection see the same transaction."""
        _ = self.session
        return Cursor(self)

    def execute(self, sql: str, parameters: Parameters | None = None) -> Cursor:
        """Execute on a new cursor and return it."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Cursor:
        """Execute once per parameter row on a new cursor and return it."""
        return self.cursor().executemany(sql, rows)

    def begin(self) -> Connection:
        """Open a transaction; TransactionError if one is open."""
        self.execute("BEGIN")
        return self

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        self._end(commit=True)

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        self._end(commit=False)

    def _end(self, commit: bool) -> None:
        with self._working():
            if self.session.transaction is not None:
                self.session.end(commit)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """What goes wrong inside is an error of ours; Ctrl-C and `interrupt` end it."""
        with guarded(), self.session.cancellable():
            yield

    def interrupt(self) -> None:
        """Cancel the running statement, from any thread; it raises errors.InterruptedError soon."""
        self.session.interrupt()

    def close(self) -> None:
        """Roll back an open transaction and give up the database; closing twice is an error.

        A connection that is garbage-collected is closed as well. In a fork of its process nothing
        is rolled back: the transaction is the parent's.
        """
        session = self.session if self._owner.is_here else None
        self._session = None
        self._finalizer.detach()
        if session is not None:
            with guarded(), session.cancellable():
                session.close()

    def __enter__(self) -> Connection:
        _ = self.session
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._session is None:
            return
        if not self._owner.is_here:
            self.close()
            return
        try:
            self._end(commit=kind is None)
        finally:
            self.close()


class Cursor:
    """Executes statements and fetches rows; iterating gives the rows that are left."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.arraysize = 1
        self.seconds = 0.0
        self._closed = False
        self._changes = -1
        self._rows: ResultRows | None = None
        self._position = 0
        self._fetched: Iterator[Row] = iter(())

    def execute(self, sql: str, parameters: Parameters | None = None) -> Cursor:
        """Run the statements of `sql`; rows are those of the last one.

        `parameters` are a sequence for `?` and `$1`, a mapping for `:name` and `$name`.
        """
        self._check_open()
        self._reset()
        values: Parameters = () if parameters is None else parameters
        _check_arguments(sql, values)
        with self.connection._working():
            self._keep(self.connection.session.execute(sql, values))
        return self

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Cursor:
        """Run a statement once per parameter row, all of them or none.

        INSERT … VALUES (?, …) reads the rows as one table and is much faster than one by one.
        """
        self._check_open()
        self._reset()
        if not isinstance(rows, Iterable):
            raise errors.InterfaceError(f"rows are an iterable, not {type(rows).__name__}")
        listed = list(rows)
        for row in listed:
            _check_arguments(sql, row)
        from tensorsql.executemany import execute_each

        with self.connection._working():
            self._keep(execute_each(self.connection.session, sql, listed))
        return self

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """(name, type, None, None, None, None, None) per column; None without a query's rows."""
        if self._rows is None:
            return None
        pairs = zip(self._rows.names, self._rows.types, strict=True)
        return [(name, type, None, None, None, None, None) for name, type in pairs]

    @property
    def rowcount(self) -> int:
        """How many rows the last statement gave or changed, -1 if it did neither."""
        return self._changes if self._rows is None else len(self._rows)

    @property
    def rows(self) -> ResultRows:
        """All rows of the last query, by position; InterfaceError if there was none."""
        self._check_open()
        if self._rows is None:
            raise errors.InterfaceError("there are no rows to fetch; execute a query first")
        return self._rows

    def fetchone(self) -> Row | None:
        """The next row, None after the last."""
        rows = self.rows
        row = next(self._fetched, None)
        if row is None and self._position < len(rows):
            self._fetched = iter(self._next(FETCH_ROWS))
            row = next(self._fetched)
        return row

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next `size` rows (default: `arraysize`), fewer at the end."""
        size = self.arraysize if size is None else size
        if not isinstance(size, int):
            raise errors.InterfaceError(f"a size is an int, not {type(size).__name__}")
        buffered = [row for _, row in zip(range(size), self._buffered(), strict=False)]
        return buffered + self._next(max(size - len(buffered), 0))

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        left = self._next(len(self.rows))
        return [*self._buffered(), *left]

    def _buffered(self) -> Iterator[Row]:
        _ = self.rows
        return self._fetched

    def _next(self, count: int) -> list[Row]:
        return self._taken(count, self.rows.python)

    def _taken(self, count: int, convert: Callable[[int, int], Taken]) -> Taken:
        """The next rows, converted; they are still to be fetched where that fails."""
        with self.connection._working():
            start = self._position
            stop = min(start + count, len(self.rows))
            taken = convert(start, stop)
            check_cancelled()
        self._position = stop
        return taken

    def fetch_arrow_table(self) -> pa.Table:
        """All rows that are left, as an Arrow table."""
        self._position -= sum(1 for _ in self._buffered())
        return self._taken(len(self.rows), self.rows.arrow)

    def df(self) -> pd.DataFrame:
        """All rows that are left, as a pandas DataFrame; InterfaceError without pandas.

        Columns are Arrow-backed (`pd.ArrowDtype`) whatever rows they have, and NULL is `pd.NA`: so
        BIGINT with a NULL stays exact, DECIMAL and SUM can be computed with, and DATE and TIMESTAMP
        have `.dt`. HUGEINT is int64 unless a value is longer, then a decimal; ENUM is categorical,
        INTERVAL a duration whose months count 30 days; MASK and TENSOR hold one numpy array a row.
        `frame["x"].to_numpy()` makes numpy of any column.
        """
        try:
            import pandas  # noqa: F401 - Arrow needs it
        except ImportError:
            raise errors.InterfaceError(
                "df() needs pandas; install it with: pip install 'tensorsql[pandas]'"
            ) from None
        self._position -= sum(1 for _ in self._buffered())
        return self._taken(len(self.rows), self._frame)

    def _frame(self, start: int, stop: int) -> pd.DataFrame:
        from tensorsql.frames import data_frame

        return data_frame(self.rows.arrow(start, stop), self.rows.types)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows that are left as an Arrow stream (the Arrow PyCapsule interface).

        It takes no row: who asks may ask again, as those do who want the schema first.
        """
        position = self._position - sum(1 for _ in self._buffered())
        self._position, self._fetched = position, iter(())
        with self.connection._working():
            table = self.rows.arrow(position, len(self.rows))
        return table.__arrow_c_stream__(requested_schema)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchone, None)

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """PEP 249 has it; nothing depends on it."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """PEP 249 has it; nothing depends on it."""

    def close(self) -> None:
        """Give the rows up; the cursor is of no use after that."""
        self._reset()
        self._closed = True

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise errors.InterfaceError("the cursor is closed")
        _ = self.connection.session

    def _reset(self) -> None:
        self._rows, self._changes, self._position = None, -1, 0
        self._fetched = iter(())

    def _keep(self, result: Result) -> None:
        self._rows = ResultRows(result) if result.has_rows else None
        self._changes = result.changes
        self.seconds = result.seconds


def _abandon(session: Session) -> None:
    """Close the session of a connection that nobody has any more."""
    with suppress(errors.Error), guarded():
        if session.database.owner.is_here:
            session.close()


def _check_arguments(sql: object, parameters: object) -> None:
    if not isinstance(sql, str):
        raise errors.InterfaceError(f"a statement is a str, not {type(sql).__name__}")
    if isinstance(parameters, (str, bytes)) or not hasattr(parameters, "__getitem__"):
        kind = type(parameters).__name__
        raise errors.InterfaceError(f"parameters are a sequence or a mapping, not {kind}")
