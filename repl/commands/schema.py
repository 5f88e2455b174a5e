"""`.schema`: how tables and views were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensorsql.errors import CatalogError, nearest
from tensorsql.repl.names import Names
from tensorsql.repl.runner import Command, Runner
from tensorsql.repl.words import quoted
from tensorsql.storage.tables.catalog import TableSchema, ViewEntry
from tensorsql.storage.tables.database import Transaction


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """Write the CREATE statements of all tables and views, or of the one named."""
    with runner.connection.session.open_transaction() as transaction:
        statements = dict(_statements(transaction))
    if arguments:
        named = {name: sql for name, sql in statements.items() if _same(name, arguments[0])}
        if not named:
            hint = nearest(arguments[0], statements)
            raise CatalogError(f'there is no table or view "{arguments[0]}"{hint}')
        statements = named
    runner.output.writelines(f"{sql}\n" for sql in statements.values())


def _same(name: str, wanted: str) -> bool:
    return name.lower() == wanted.lower()


def _statements(transaction: Transaction) -> Iterator[tuple[str, str]]:
    for schema in transaction.tables():
        yield schema.name, create_table(schema)
    for view in transaction.views():
        yield view.name, create_view(view)


def create_table(schema: TableSchema) -> str:
    """The CREATE TABLE statement of a table."""
    parts = []
    for column in schema.columns:
        text = f"{quoted(column.name)} {column.type}"
        text += " NOT NULL" if column.not_null else ""
        text += f" DEFAULT {column.default}" if column.default is not None else ""
        parts.append(text)
    if schema.primary_key:
        parts.append(f"PRIMARY KEY ({_names(schema.primary_key)})")
    parts += [f"UNIQUE ({_names(key)})" for key in schema.unique]
    return f"CREATE TABLE {quoted(schema.name)} (\n  " + ",\n  ".join(parts) + "\n);"


def create_view(view: ViewEntry) -> str:
    """The CREATE VIEW statement of a view."""
    columns = f" ({_names(view.columns)})" if view.columns else ""
    return f"CREATE VIEW {quoted(view.name)}{columns} AS {view.sql.strip().rstrip(';')};"


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))


def _choices(names: Names) -> Sequence[str]:
    return tuple(names.tables)


COMMAND = Command(
    ".schema", ".schema [TABLE]", "show CREATE statements", run, most=1, choices=_choices
)
