"""Carrying out bound statements: one function each, found in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tensorsql import settings
from tensorsql.cancellation import check_cancelled, import_whole, in_helper
from tensorsql.errors import CatalogError, IntegrityError, TransactionError, UnsupportedError
from tensorsql.index_upkeep import extend_index
from tensorsql.operators.indexes import find_index
from tensorsql.plan_cache import Prepared
from tensorsql.planner.explain import explain as explain_plan
from tensorsql.planner.plans import bound_statements as bound
from tensorsql.planner.plans.plan import Plan
from tensorsql.result import Result
from tensorsql.storage.columns.types import BIGINT, VARCHAR
from tensorsql.storage.formats import write_file
from tensorsql.storage.tables.catalog import IndexEntry, ViewEntry

if TYPE_CHECKING:
    from tensorsql.operators.runtime.metrics import Metrics
    from tensorsql.operators.runtime.program import Context, Source
    from tensorsql.session_state import SessionState
    from tensorsql.storage.columns.column import Column
    from tensorsql.storage.tables.database import Transaction

FEW = 4096  # rows that are put together at once
Created = bound.CreateTable | bound.CreateView | bound.CreateModel | bound.CreateIndex


@dataclass
class Work:
    """What a statement is carried out with: its session, transaction and plan, and the plan's
    rows, None where it did not run."""

    session: SessionState
    transaction: Transaction
    prepared: Prepared
    rows: Source | None = None

    @property
    def plan(self) -> Plan | None:
        """The optimized plan."""
        return self.prepared.plan

    @cached_property
    def context(self) -> Context:
        """What its program may use, and what was counted while it ran."""
        return self.session.context(self.transaction, self.prepared.statement.parameters)

    @property
    def result(self) -> Result:
        """The rows of its plan."""
        assert self.plan is not None
        assert self.rows is not None
        fields = self.plan.fields
        names = tuple(field.name for field in fields)
        types, ids = tuple(field.type for field in fields), tuple(field.id for field in fields)
        return Result(names, types, ids, self.rows)

    @property
    def columns(self) -> list[Column]:
        """Them as columns on the CPU, as storage takes them, in the order of the plan's fields."""
        from tensorsql.storage.columns.changes import to_device
        from tensorsql.storage.columns.column import CPU

        assert self.rows is not None
        result = self.result
        few = self.rows.morsels(FEW) <= 1
        columns = result.columns() if few else in_helper(result.columns)
        return [to_device(column, CPU) for column in columns]


def carry_out(statement: bound.BoundStatement, work: Work) -> Result:
    """Do what the statement says and return its result."""
    return CARRY_OUT[type(statement)](statement, work)


def query(statement: bound.Query, work: Work) -> Result:
    """The rows of a query."""
    result = work.result
    result.names = statement.names
    return result


def explain(statement: bound.Explain, work: Work) -> Result:
    """The optimized plan as text; ANALYZE has run it and adds what each node did."""
    if work.plan is None:
        raise UnsupportedError("EXPLAIN needs a statement that has a plan, such as a SELECT")
    text = _analyzed(work.plan, work.context) if statement.analyze else explain_plan(work.plan)
    return Result.of_rows(("plan",), (VARCHAR,), [(text,)])


def _analyzed(plan: Plan, context: Context) -> str:
    metrics, threads = context.metrics, context.settings["threads"]
    text = explain_plan(plan, lambda number, _: _note(metrics, number))
    return f"{text}\n{metrics.whole * 1e3:.1f} ms in all on cpu, {threads} threads"


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


def create_table(statement: bound.CreateTable, work: Work) -> Result:
    """Create a table, filled if the statement has a query."""
    schema = statement.schema
    columns = None if statement.plan is None else work.columns
    if _stays("table", schema.name, statement, work.transaction):
        return Result()
    work.transaction.create_table(schema)
    if columns is None:
        return Result()
    names = [column.name for column in schema.columns]
    return Result(
        changes=work.transaction.append(schema.name, dict(zip(names, columns, strict=True)))
    )


def insert(statement: bound.Insert, work: Work) -> Result:
    """Append rows."""
    columns = work.columns
    schema = statement.relation.schema
    named = {item.name: column for item, column in zip(schema.columns, columns, strict=True)}
    try:
        return Result(changes=work.transaction.append(schema.name, named))
    except IntegrityError as error:
        from tensorsql.operators.expressions.located import located_rows

        raise located_rows(error, statement.plan) from None


def delete(statement: bound.Delete, work: Work) -> Result:
    """Delete rows by their ids."""
    (ids,) = work.columns
    return Result(changes=work.transaction.delete(statement.relation.name, _row_ids(ids)))


def update(statement: bound.Update, work: Work) -> Result:
    """Delete the old rows, append the new."""
    ids, *columns = work.columns
    schema = statement.relation.schema
    named = {item.name: column for item, column in zip(schema.columns, columns, strict=True)}
    return Result(changes=work.transaction.update(schema.name, _row_ids(ids), named))


def _row_ids(column: Column) -> Any:
    from tensorsql.operators.columns.layouts import values_of
    from tensorsql.storage.columns.changes import widen

    return values_of(widen(column))


def create_view(statement: bound.CreateView, work: Work) -> Result:
    """Keep a view's text."""
    if _stays("view", statement.name, statement, work.transaction):
        return Result()
    work.transaction.put_view(ViewEntry(statement.name, statement.sql, statement.columns))
    return Result()


def _stays(kind: str, name: str, statement: Created, transaction: Transaction) -> bool:
    """Whether IF NOT EXISTS keeps what has the name; OR REPLACE drops it, else it is an error."""
    if _existing(kind, name, transaction) is None:
        return False
    if statement.if_not_exists:
        return True
    if not statement.replace:
        hint = f"drop it first, or write CREATE OR REPLACE {kind.upper()}"
        raise CatalogError(f'{kind} "{name}" already exists; {hint}')
    _drop(kind, name, transaction)
    return False


def _existing(kind: str, name: str, transaction: Transaction) -> Any:
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


def drop(statement: bound.Drop, work: Work) -> Result:
    """Drop a table, view, model or index."""
    missing = _existing(statement.kind, statement.name, work.transaction) is None
    if not (missing and statement.if_exists):
        _drop(statement.kind, statement.name, work.transaction)
    return Result()


def create_model(statement: bound.CreateModel, work: Work) -> Result:
    """Read a model's file and keep it; others may write while it is loaded and tried."""
    import_whole("tensorsql.operators.models.load")
    from tensorsql.operators.models import keep_file, load_model

    there = _existing("model", statement.name, work.transaction) is not None
    if not (there and statement.replace) and _stays(
        "model", statement.name, statement, work.transaction
    ):
        return Result()
    options = dict(statement.options)
    entry = in_helper(lambda: load_model(statement.name, statement.source, options))
    _stays("model", statement.name, statement, work.transaction)  # the one it replaces goes
    work.transaction.put_model(keep_file(entry, work.transaction.new_directory("models")))
    return Result()


def create_index(statement: bound.CreateIndex, work: Work) -> Result:
    """Build an index over the table's rows."""
    if _stays("index", statement.name, statement, work.transaction):
        return Result()
    index = find_index(statement.method)
    directory = work.transaction.index_directory(statement.name)
    entry = IndexEntry(
        statement.name,
        statement.relation.name,
        index.method,
        statement.arguments,
        dict(statement.options),
        directory,
    )
    work.transaction.put_index(index.build(entry, statement.relation, work.context))
    return Result()


def copy_to(statement: bound.CopyTo, work: Work) -> Result:
    """Write a query's rows to a file."""
    table = in_helper(query(statement.query, work).arrow)
    check_cancelled()
    write_file(table, statement.path, dict(statement.options))
    return Result(changes=table.num_rows)


def set_setting(statement: bound.Set, work: Work) -> Result:
    """Give a setting a value."""
    work.session.settings = settings.changed(work.session.settings, statement.name, statement.value)
    return Result()


def reset(statement: bound.Reset, work: Work) -> Result:
    """Give a setting its default."""
    setting = settings.find(statement.name)
    work.session.settings = {**work.session.settings, setting.name: setting.default}
    return Result()


def begin(_: bound.Begin, work: Work) -> Result:
    """BEGIN."""
    work.session.begin(work.transaction)
    return Result()


def commit(_: bound.Commit, work: Work) -> Result:
    """COMMIT."""
    work.session.end(commit=True)
    return Result()


def rollback(_: bound.Rollback, work: Work) -> Result:
    """ROLLBACK."""
    work.session.end(commit=False)
    return Result()


def checkpoint(_: bound.Checkpoint, work: Work) -> Result:
    """Check all files, join small segments, drop deleted rows for good, index new rows."""
    if work.session.transaction is not None and work.session.transaction.changed:
        raise TransactionError("the open transaction has changes; COMMIT it before CHECKPOINT")
    interrupted = work.session.cancelled.is_set
    work.session.database.checkpoint(interrupted)
    transaction = work.session.database.begin(write=True, interrupted=interrupted)
    try:
        for entry in transaction.indexes():
            extend_index(entry, transaction, work.session.context(transaction))
        transaction.commit()
    finally:
        transaction.rollback()
    return Result()


def check_integrity(_: bound.IntegrityCheck, work: Work) -> Result:
    """Every table, index and model with its files, and what is wrong with them."""
    findings = work.session.database.check(work.context.check)
    rows = [(f.kind, f.name, f.files, f.bytes, f.problem or "ok") for f in findings]
    types = (VARCHAR, VARCHAR, BIGINT, BIGINT, VARCHAR)
    return Result.of_rows(("kind", "name", "files", "bytes", "state"), types, rows)


# what cannot be undone once it has been carried out
LASTING = (
    *(bound.Begin, bound.Commit, bound.Rollback),
    *(bound.Set, bound.Reset, bound.Checkpoint, bound.CopyTo),
)
CARRY_OUT: dict[type[bound.BoundStatement], Callable[..., Result]] = {
    bound.Query: query,
    bound.Explain: explain,
    bound.CreateTable: create_table,
    bound.Insert: insert,
    bound.Delete: delete,
    bound.Update: update,
    bound.CreateView: create_view,
    bound.Drop: drop,
    bound.CreateModel: create_model,
    bound.CreateIndex: create_index,
    bound.CopyTo: copy_to,
    bound.Set: set_setting,
    bound.Reset: reset,
    bound.Begin: begin,
    bound.Commit: commit,
    bound.Rollback: rollback,
    bound.Checkpoint: checkpoint,
    bound.IntegrityCheck: check_integrity,
}
