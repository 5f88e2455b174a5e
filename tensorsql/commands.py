"""Carrying out bound statements: one function each, found in one table."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorsql import settings
from tensorsql.cancellation import check_cancelled, import_whole, in_helper
from tensorsql.errors import CatalogError, IntegrityError, TransactionError, UnsupportedError
from tensorsql.planner.explain import explain as explain_plan
from tensorsql.planner.plans import statements
from tensorsql.planner.plans.plan import Plan
from tensorsql.result import Result
from tensorsql.storage.columns.types import BIGINT, VARCHAR

if TYPE_CHECKING:
    from tensorsql.operators.runtime.program import Metrics
    from tensorsql.session import Session
    from tensorsql.storage.columns.column import Column
    from tensorsql.storage.tables.database import Transaction

FEW = 4096  # rows that are put together at once
Created = (
    statements.CreateTable | statements.CreateView | statements.CreateModel | statements.CreateIndex
)


def carry_out(
    statement: statements.BoundStatement, session: Session, transaction: Transaction
) -> Result:
    """Do what the statement says and return its result."""
    return COMMANDS[type(statement)](statement, session, transaction)


def query(statement: statements.Query, session: Session, _: Transaction) -> Result:
    """Run a query."""
    fields = statement.plan.fields
    types, ids = tuple(f.type for f in fields), tuple(f.id for f in fields)
    return Result(statement.names, types, ids, session.run_plan(statement.plan))


def explain(statement: statements.Explain, session: Session, transaction: Transaction) -> Result:
    """The optimized plan as text; ANALYZE runs it and adds what each node did."""
    plan = getattr(statement.inner, "plan", None)
    if isinstance(statement.inner, statements.CopyTo):
        plan = statement.inner.query.plan
    if not isinstance(plan, Plan):
        raise UnsupportedError("EXPLAIN needs a statement that has a plan, such as a SELECT")
    plan = session.optimize(plan)
    text = _analyzed(plan, session) if statement.analyze else explain_plan(plan)
    return Result.of_rows(("plan",), (VARCHAR,), [(text,)])


def _analyzed(plan: Plan, session: Session) -> str:
    context = session.context()
    began = time.perf_counter()
    session.run_optimized(plan, context)
    seconds = time.perf_counter() - began
    text = explain_plan(plan, lambda number, _: _note(context.metrics, number))
    return f"{text}\n{seconds * 1e3:.1f} ms in all on cpu, {context.settings['threads']} threads"


def _note(metrics: Metrics, number: int) -> str:
    rows = metrics.rows.get(number, 0)
    parts = [
        f"{rows} row{'' if rows == 1 else 's'}",
        f"{metrics.seconds.get(number, 0.0) * 1e3:.1f} ms",
    ]
    for name, value in metrics.notes.get(number, {}).items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(f"{name.replace('_', ' ')} {shown}")
    return f"  ({', '.join(parts)})"


def create_table(
    statement: statements.CreateTable, session: Session, transaction: Transaction
) -> Result:
    """Create a table, filled if the statement has a query."""
    schema = statement.schema
    columns = None if statement.plan is None else _columns(statement.plan, session)
    if _stays("table", schema.name, statement, transaction):
        return Result()
    transaction.create_table(schema)
    if columns is None:
        return Result()
    names = [column.name for column in schema.columns]
    return Result(changes=transaction.append(schema.name, dict(zip(names, columns, strict=True))))


def _columns(plan: Plan, session: Session) -> list[Column]:
    """The rows of a plan, as columns in the order of its fields."""
    fields = plan.fields
    ids, types = tuple(f.id for f in fields), tuple(f.type for f in fields)
    source = session.run_plan(plan)
    result = Result(("",), types, ids, source)
    return result.columns() if source.morsels(FEW) <= 1 else in_helper(result.columns)


def insert(statement: statements.Insert, session: Session, transaction: Transaction) -> Result:
    """Append rows."""
    columns = _columns(statement.plan, session)
    schema = statement.relation.schema
    named = {item.name: column for item, column in zip(schema.columns, columns, strict=True)}
    try:
        return Result(changes=transaction.append(schema.name, named))
    except IntegrityError as error:
        from tensorsql.operators.expressions.located import located_rows

        raise located_rows(error, statement.plan) from None


def delete(statement: statements.Delete, session: Session, transaction: Transaction) -> Result:
    """Delete rows by their ids."""
    (ids,) = _columns(statement.plan, session)
    return Result(changes=transaction.delete(statement.relation.name, _row_ids(ids)))


def update(statement: statements.Update, session: Session, transaction: Transaction) -> Result:
    """Delete the old rows, append the new."""
    ids, *columns = _columns(statement.plan, session)
    schema = statement.relation.schema
    named = {item.name: column for item, column in zip(schema.columns, columns, strict=True)}
    return Result(changes=transaction.update(schema.name, _row_ids(ids), named))


def _row_ids(column: Column) -> Any:
    from tensorsql.storage.columns.changes import expand, widen
    from tensorsql.storage.columns.column import Flat

    flat = widen(expand(column))
    assert isinstance(flat, Flat)
    return flat.values


def create_view(statement: statements.CreateView, _: Session, transaction: Transaction) -> Result:
    """Keep a view's text."""
    from tensorsql.storage.tables.catalog import ViewEntry

    if _stays("view", statement.name, statement, transaction):
        return Result()
    transaction.put_view(ViewEntry(statement.name, statement.sql, statement.columns))
    return Result()


def _stays(kind: str, name: str, statement: Created, transaction: Transaction) -> bool:
    """Whether IF NOT EXISTS keeps what has the name; OR REPLACE drops it, else it is an error."""
    if _found(kind, name, transaction) is None:
        return False
    if statement.if_not_exists:
        return True
    if not statement.replace:
        hint = f"drop it first, or write CREATE OR REPLACE {kind.upper()}"
        raise CatalogError(f'{kind} "{name}" already exists; {hint}')
    _drop(kind, name, transaction)
    return False


def _found(kind: str, name: str, transaction: Transaction) -> Any:
    finds = {
        "table": transaction.relation,
        "view": transaction.view,
        "model": transaction.model,
        "index": transaction.index,
    }
    return finds[kind](name)


def _drop(kind: str, name: str, transaction: Transaction) -> None:
    drops = {
        "table": transaction.drop_table,
        "view": transaction.drop_view,
        "model": transaction.drop_model,
        "index": transaction.drop_index,
    }
    drops[kind](name)


def drop(statement: statements.Drop, _: Session, transaction: Transaction) -> Result:
    """Drop a table, view, model or index."""
    missing = _found(statement.kind, statement.name, transaction) is None
    if not (missing and statement.if_exists):
        _drop(statement.kind, statement.name, transaction)
    return Result()


def create_model(statement: statements.CreateModel, _: Session, transaction: Transaction) -> Result:
    """Read a model's file and keep it; others may write while it is loaded and tried."""
    import_whole("tensorsql.operators.models.load")
    from tensorsql.operators.models import keep_file, load_model

    there = _found("model", statement.name, transaction) is not None
    if not (there and statement.replace) and _stays(
        "model", statement.name, statement, transaction
    ):
        return Result()
    options = dict(statement.options)
    entry = in_helper(lambda: load_model(statement.name, statement.source, options))
    _stays("model", statement.name, statement, transaction)  # the one it replaces goes
    transaction.put_model(keep_file(entry, transaction.new_directory("models")))
    return Result()


def create_index(
    statement: statements.CreateIndex, session: Session, transaction: Transaction
) -> Result:
    """Build an index over the table's rows."""
    from tensorsql.operators.indexes import find_index
    from tensorsql.storage.tables.catalog import IndexEntry

    if _stays("index", statement.name, statement, transaction):
        return Result()
    index = find_index(statement.method)
    directory = transaction.index_directory(statement.name)
    entry = IndexEntry(
        statement.name,
        statement.relation.name,
        index.method,
        statement.arguments,
        dict(statement.options),
        directory,
    )
    transaction.put_index(index.build(entry, statement.relation, session.context()))
    return Result()


def copy_to(statement: statements.CopyTo, session: Session, _: Transaction) -> Result:
    """Write a query's rows to a file."""
    from tensorsql.storage.formats import write_file

    table = in_helper(query(statement.query, session, _).arrow)
    check_cancelled()
    write_file(table, statement.path, dict(statement.options))
    return Result(changes=table.num_rows)


def set_setting(statement: statements.Set, session: Session, _: Transaction) -> Result:
    """Give a setting a value."""
    session.settings = settings.changed(session.settings, statement.name, statement.value)
    return Result()


def reset(statement: statements.Reset, session: Session, _: Transaction) -> Result:
    """Give a setting its default."""
    setting = settings.find(statement.name)
    session.settings = {**session.settings, setting.name: setting.default}
    return Result()


def begin(_: statements.Begin, session: Session, transaction: Transaction) -> Result:
    """BEGIN."""
    session.begin(transaction)
    return Result()


def commit(_: statements.Commit, session: Session, __: Transaction) -> Result:
    """COMMIT."""
    session.end(commit=True)
    return Result()


def rollback(_: statements.Rollback, session: Session, __: Transaction) -> Result:
    """ROLLBACK."""
    session.end(commit=False)
    return Result()


def checkpoint(_: statements.Checkpoint, session: Session, __: Transaction) -> Result:
    """Check all files, join small segments, drop deleted rows for good, index new rows."""
    from tensorsql.index_upkeep import extend_index

    if session.transaction is not None and session.transaction.changed:
        raise TransactionError("the open transaction has changes; COMMIT it before CHECKPOINT")
    interrupted = session.cancelled.is_set
    session.database.checkpoint(interrupted)
    transaction = session.database.begin(write=True, interrupted=interrupted)
    try:
        for entry in transaction.indexes():
            extend_index(entry, transaction, session.context())
        transaction.commit()
    finally:
        transaction.rollback()
    return Result()


def check_integrity(_: statements.IntegrityCheck, session: Session, __: Transaction) -> Result:
    """Every table, index and model with its files, and what is wrong with them."""
    findings = session.database.check(session.context().check)
    rows = [(f.kind, f.name, f.files, f.bytes, f.problem or "ok") for f in findings]
    types = (VARCHAR, VARCHAR, BIGINT, BIGINT, VARCHAR)
    return Result.of_rows(("kind", "name", "files", "bytes", "state"), types, rows)


# what cannot be undone once it has been carried out
LASTING = (
    *(statements.Begin, statements.Commit, statements.Rollback),
    *(statements.Set, statements.Reset, statements.Checkpoint, statements.CopyTo),
)
COMMANDS: dict[type[statements.BoundStatement], Callable[..., Result]] = {
    statements.Query: query,
    statements.Explain: explain,
    statements.CreateTable: create_table,
    statements.Insert: insert,
    statements.Delete: delete,
    statements.Update: update,
    statements.CreateView: create_view,
    statements.Drop: drop,
    statements.CreateModel: create_model,
    statements.CreateIndex: create_index,
    statements.CopyTo: copy_to,
    statements.Set: set_setting,
    statements.Reset: reset,
    statements.Begin: begin,
    statements.Commit: commit,
    statements.Rollback: rollback,
    statements.Checkpoint: checkpoint,
    statements.IntegrityCheck: check_integrity,
}
