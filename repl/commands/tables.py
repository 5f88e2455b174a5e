"""`.tables`: what can be queried."""

from __future__ import annotations

from collections.abc import Sequence

from tensorsql.repl.runner import Command, Runner
from tensorsql.session_catalog import SessionCatalog


def run(runner: Runner, arguments: Sequence[str]) -> None:
    """List tables, views and registered objects whose names contain the argument."""
    session = runner.connection.session
    with session.open_transaction() as transaction:
        catalog = SessionCatalog(transaction, session.registered)
        names = {*catalog.table_names(), *catalog.view_names()}
    wanted = arguments[0].lower() if arguments else ""
    for name in sorted(names, key=str.lower):
        if wanted in name.lower():
            runner.output.write(f"{name}\n")


COMMAND = Command(".tables", ".tables [TEXT]", "list tables and views", run, most=1)
