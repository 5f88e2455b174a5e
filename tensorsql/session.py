"""The session: a connection's settings and transaction, and the way every statement takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from tensorsql import settings as registry
from tensorsql.cancellation import (
    cancelled_by,
    check_cancelled,
    import_engine,
    is_cancelled_by,
)
from tensorsql.errors import ConversionError, Error, TransactionError
from tensorsql.guard import NESTING
from tensorsql.parser import statements
from tensorsql.parser.dialect import parse
from tensorsql.parser.nesting import too_deep
from tensorsql.planner.binder import bind
from tensorsql.planner.binder.parameters import check_count
from tensorsql.planner.optimizer import Observe, optimize
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.statements import BoundStatement
from tensorsql.result import Result
from tensorsql.session_catalog import SessionCatalog
from tensorsql.storage.tables.catalog import Relation

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Context, Source
    from tensorsql.storage.tables.database import Database, Transaction

# Statements that change the database; reading ones never wait for a writer. CREATE MODEL takes its
# turn itself, after it has loaded and tried the model.
CHANGES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Create,
    exp.Drop,
    exp.Alter,
    statements.DropModel,
    statements.CreateMethodIndex,
    statements.DropIndex,
)
WITHOUT_ROWS = (exp.Drop, exp.Alter, statements.DropModel, statements.DropIndex)
Parameters = Sequence[Any] | Mapping[str, Any]


def changes(tree: exp.Expr) -> bool:
    """Whether the statement changes the database; COPY … TO only writes a file."""
    if isinstance(tree, statements.CopyStatement):
        return bool(tree.args["direction"] == "from")
    return isinstance(tree, CHANGES)


def works_on_rows(tree: exp.Expr) -> bool:
    """Whether a statement that changes the database runs a program over rows."""
    if isinstance(tree, exp.Create):
        return tree.kind == "TABLE" and tree.args.get("expression") is not None
    return not isinstance(tree, WITHOUT_ROWS)


class Session:
    """Executes statements against one database, one at a time.

    `registered` are Python objects made visible as relations by `register`; `transaction` is the
    one BEGIN opened, None in autocommit.
    """

    def __init__(self, database: Database, settings: Mapping[str, Any] | None = None) -> None:
        self.database = database
        self.settings: dict[str, Any] = registry.defaults()
        for name, value in (settings or {}).items():
            self.settings = registry.changed(self.settings, name, value)
        self.registered: dict[str, Relation] = {}
        self.transaction: Transaction | None = None
        self.services: Any = None
        self.cancelled = Event()

    def execute(self, sql: str, parameters: Parameters = ()) -> Result:
        """Run every statement of `sql` and return the last one's result.

        Each takes the same way: parse → bind → optimize → compile → run. The last three are in
        `run_plan`, which `carry_out` calls for every statement that has a plan.
        """
        from tensorsql.commands import LASTING, carry_out

        began = time.perf_counter()
        result = Result()
        try:
            with NESTING, self.cancellable():
                trees = NESTING.plan(lambda: parse(sql))
                check_count(trees, parameters)
                for tree in trees:
                    writes = changes(tree)
                    if writes and works_on_rows(tree):
                        import_engine()  # takes seconds, in which others may write
                    with self.open_transaction(writes) as transaction:
                        catalog = SessionCatalog(self, transaction)
                        statement = self._bound(tree, catalog, parameters)
                        result = carry_out(statement, self, transaction)
                        if not isinstance(statement, LASTING):
                            check_cancelled()  # who took it for an error may have left rows out
        except RecursionError:
            raise too_deep(sql) from None
        except Error as error:
            error.sql = error.sql or sql
            raise
        result.seconds = time.perf_counter() - began
        return result

    def _bound(
        self, tree: exp.Expr, catalog: SessionCatalog, parameters: Parameters
    ) -> BoundStatement:
        return NESTING.plan(lambda: bind(tree, catalog, parameters, self.settings))

    def optimize(self, plan: Plan, observe: Observe | None = None) -> Plan:
        """The plan after every rule the settings leave on; `observe` sees it on the way."""
        disabled = set(self.settings["disabled_rules"])
        if not self.settings["use_indexes"]:
            disabled |= {"use_index_filter", "use_index_topn"}
        return NESTING.plan(lambda: optimize(plan, disabled, observe))

    def run_plan(self, plan: Plan) -> Source:
        """optimize → compile → run: the rows of a bound plan."""
        return self.run_optimized(self.optimize(plan), self.context())

    def run_optimized(self, plan: Plan, context: Context) -> Source:
        """compile → run: the rows of an optimized plan, what it did counted in `context`."""
        from tensorsql.operators.compiler import compile_plan
        from tensorsql.operators.runtime.scheduler import run

        try:
            return run(NESTING.plan(lambda: compile_plan(plan, context)), context)
        except ConversionError as error:
            from tensorsql.operators.expressions.located import located

            raise located(error, plan) from None

    def context(self) -> Context:
        """What one run of a program may use."""
        import_engine()
        from tensorsql.operators.runtime.program import Context
        from tensorsql.services import Services

        if self.services is None:
            self.services = Services(self)
        return Context(dict(self.settings), self.cancelled, services=self.services)

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
