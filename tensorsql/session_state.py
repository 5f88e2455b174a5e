"""What a connection keeps between statements: settings, registered objects, the transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from tensorsql import settings as registry
from tensorsql.cancellation import cancelled_by, import_engine, is_cancelled_by
from tensorsql.errors import TransactionError
from tensorsql.plan_cache import PlanCache
from tensorsql.planner.functions.signatures import SIGNATURES, Functions
from tensorsql.planner.plans.expressions import ParameterValues
from tensorsql.storage.tables.catalog import Relation

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Context
    from tensorsql.storage.tables.database import Database, Transaction

Shared = TypeVar("Shared")


class SessionServices:
    """Implements `operators.runtime.program.Services`: what outlives a query.

    `trusts_models` says whether models that came with a database may run code when opened.
    """

    def __init__(self, trusts_models: Callable[[], bool]) -> None:
        self.trusts_models = trusts_models
        self.kernels: dict[str, Any] = {}  # of functions that only this session has
        self._shared: dict[Any, Any] = {}

    def shared(self, make: Callable[[SessionServices], Shared]) -> Shared:
        """What `make` made at its first call, such as opened models and their activations."""
        if make not in self._shared:
            self._shared[make] = make(self)
        made: Shared = self._shared[make]
        return made


class SessionState:
    """One connection's state.

    `registered` are Python objects made visible as relations by `register`; `transaction` is the
    one BEGIN opened, None in autocommit. `functions` are those that its statements may call,
    `plans` those of queries that were asked before.
    """

    def __init__(self, database: Database, settings: Mapping[str, Any] | None = None) -> None:
        self.database = database
        self.settings: dict[str, Any] = registry.defaults()
        for name, value in (settings or {}).items():
            self.settings = registry.changed(self.settings, name, value)
        self.registered: dict[str, Relation] = {}
        self.transaction: Transaction | None = None
        self.functions: Functions = SIGNATURES
        self.plans = PlanCache()
        self.services = SessionServices(self._trusts)
        self.cancelled = Event()

    def context(
        self, transaction: Transaction, parameters: ParameterValues | None = None
    ) -> Context:
        """What one run of a program over the transaction's snapshot may use."""
        import_engine()
        from tensorsql.operators.runtime.program import Context

        return Context(
            dict(self.settings),
            self.cancelled,
            services=self.services,
            catalog=transaction,
            parameters=parameters or ParameterValues(),
        )

    def _trusts(self) -> bool:
        return bool(self.settings["trust_models"])

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """What is done inside ends after `interrupt`: a statement, several, the fetching of rows.

        Each has an event of its own: what a cancelled one left behind must not go on with the next.
        """
        if is_cancelled_by(self.cancelled):  # a part of something longer
            yield
            return
        self.cancelled = Event()
        try:
            with cancelled_by(self.cancelled):
                yield
        finally:
            self.cancelled = Event()

    def interrupt(self) -> None:
        """Cancel what is running, from any thread; it raises InterruptedError soon."""
        self.cancelled.set()

    @contextmanager
    def open_transaction(self, write: bool = False) -> Iterator[Transaction]:
        """The open transaction, or one of the statement's own that commits if it succeeds.

        A statement that fails leaves nothing behind in either. With `write` the statement's own
        transaction first waits for its turn to write, so that it meets no conflict.
        """
        if self.transaction is not None:
            self._go_on(self.transaction)
            yield from _undone_on_error(self.transaction)
            return
        transaction = self.database.begin(write, self.cancelled.is_set)
        try:
            yield transaction
        except BaseException:
            transaction.rollback()
            raise
        # BEGIN adopted it: it stays open.
        if transaction is not self.transaction:
            transaction.commit()

    def _go_on(self, transaction: Transaction) -> None:
        """Use the open transaction from this thread; forget it if it is over already."""
        try:
            transaction.enter()
        except TransactionError:
            self.transaction = None
            raise

    def begin(self, transaction: Transaction) -> None:
        """Keep the statement's transaction open until COMMIT or ROLLBACK."""
        if self.transaction is not None:
            raise TransactionError("a transaction is open already; COMMIT or ROLLBACK it first")
        self.transaction = transaction

    def end(self, commit: bool) -> None:
        """COMMIT or ROLLBACK the open transaction."""
        if self.transaction is None:
            word = "commit" if commit else "roll back"
            raise TransactionError(f"no transaction is open, there is nothing to {word}")
        transaction, self.transaction = self.transaction, None
        if commit:
            transaction.commit()
        else:
            transaction.rollback()

    def close(self) -> None:
        """Give up an open transaction and the database."""
        if self.transaction is not None:
            self.end(commit=False)
        self.database.close()


def _undone_on_error(transaction: Transaction) -> Iterator[Transaction]:
    before = transaction.savepoint()
    try:
        yield transaction
    except BaseException:
        transaction.restore(before)
        raise
