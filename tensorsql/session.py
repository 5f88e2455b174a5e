"""The session: the way every statement takes. Read this file first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from tensorsql.cancellation import check_cancelled, import_engine
from tensorsql.errors import ConversionError, Error
from tensorsql.execution import LASTING, Work, carry_out
from tensorsql.nesting import NESTING
from tensorsql.parser import syntax
from tensorsql.parser.diagnosis import too_deep
from tensorsql.parser.dialect import parse, tokenize
from tensorsql.plan_cache import Asked, Prepared
from tensorsql.planner.binder import bind
from tensorsql.planner.binder.parameters import check_count
from tensorsql.planner.optimizer import optimize
from tensorsql.planner.plans.bound_statements import plan_of, runs
from tensorsql.result import Result
from tensorsql.session_catalog import SessionCatalog
from tensorsql.session_state import SessionState
from tensorsql.settings import disabled_rules

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Context, Program, Source
    from tensorsql.planner.plans.plan import Plan
    from tensorsql.storage.tables.database import Transaction

# Statements that change the database; reading ones never wait for a writer. CREATE MODEL takes its
# turn itself, after it has loaded and tried the model.
CHANGES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Create,
    exp.Drop,
    syntax.DropModel,
    syntax.CreateMethodIndex,
    syntax.DropIndex,
)
WITHOUT_ROWS = (exp.Drop, syntax.DropModel, syntax.DropIndex)
Parameters = Sequence[Any] | Mapping[str, Any]


def changes(tree: exp.Expr) -> bool:
    """Whether the statement changes the database; COPY … TO only writes a file."""
    if isinstance(tree, syntax.CopyStatement):
        return bool(tree.args["direction"] == "from")
    return isinstance(tree, CHANGES)


def works_on_rows(tree: exp.Expr) -> bool:
    """Whether a statement that changes the database runs a program over rows."""
    if isinstance(tree, exp.Create):
        return tree.kind == "TABLE" and tree.args.get("expression") is not None
    return not isinstance(tree, WITHOUT_ROWS)


class Session(SessionState):
    """Executes statements against one database, one at a time."""

    def execute(self, sql: str, parameters: Parameters = ()) -> Result:
        """Run every statement of `sql` and return the last one's result.

        Each takes the same way: parse → bind → optimize → compile → run; then it is carried out.
        """
        began = time.perf_counter()
        result = Result()
        with _errors_of(sql), NESTING, self.cancellable():
            asked = Asked(sql, parameters, self.settings, self.functions)
            kept = self.plans.find(asked)
            trees = parse(sql) if kept is None else [kept.tree]
            check_count(trees, parameters)
            for tree in trees:
                with self._transaction_of(tree) as transaction:
                    catalog = SessionCatalog(transaction, self.registered)
                    ready = None if kept is None else kept.ready(asked, catalog)
                    if ready is None:
                        unread = tree if kept is None else tree.copy()
                        statement = bind(unread, catalog, parameters, self.settings, self.functions)
                        plan, program = plan_of(statement), None
                        if plan is not None:
                            plan = optimize(plan, disabled_rules(self.settings))
                            if runs(statement):
                                context = self.context(transaction, statement.parameters)
                                program = compile_plan(plan, context)
                        ready = Prepared(statement, plan, program)
                        self.plans.keep(asked, trees, ready, catalog.lookups)
                    work = Work(self, transaction, ready)
                    if ready.program is not None:
                        work.rows = run(ready, work.context)
                    result = carry_out(ready.statement, work)
                    if not isinstance(ready.statement, LASTING):
                        check_cancelled()  # who took it for an error may have left rows out
        result.seconds = time.perf_counter() - began
        return result

    def _transaction_of(self, tree: exp.Expr) -> AbstractContextManager[Transaction]:
        """The transaction that a statement works in."""
        writes = changes(tree)
        if writes and works_on_rows(tree):
            import_engine()  # takes seconds, in which others may write
        return self.open_transaction(writes)


@contextmanager
def _errors_of(sql: str) -> Iterator[None]:
    """Errors know the text that they are about."""
    try:
        yield
    except RecursionError:
        raise too_deep(sql, tokenize(sql)) from None
    except Error as error:
        error.sql = error.sql or sql
        raise


def compile_plan(plan: Plan, context: Context) -> Program:
    """The program of an optimized plan; nothing of it runs yet."""
    from tensorsql.operators import compiler

    return compiler.compile_plan(plan, context)


def run(ready: Prepared, context: Context) -> Source:
    """The rows of a plan's program; errors name the place of a value that comes from a file."""
    from tensorsql.operators.expressions.located import located
    from tensorsql.operators.runtime import scheduler

    assert ready.program is not None
    assert ready.plan is not None
    began = time.perf_counter()
    try:
        return scheduler.run(ready.program, context)
    except ConversionError as error:
        raise located(error, ready.plan) from None
    finally:
        context.metrics.whole += time.perf_counter() - began
