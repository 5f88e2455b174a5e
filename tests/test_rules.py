"""What each optimizer rule does, as text: tests/golden/rules/<rule>.txt.

A file holds queries with a blank line between; after each stand the plans before and after every
application of the rule that changed something. TENSORSQL_GOLDEN=1 rewrites the plans.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tensorsql
from tensorsql.parser.dialect import parse
from tensorsql.planner.binder import bind
from tensorsql.planner.explain import explain
from tensorsql.planner.optimizer import RULES
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.statements import Query
from tensorsql.planner.plans.verify import verify
from tensorsql.session import Session
from tensorsql.session_catalog import SessionCatalog

ROOT = Path(__file__).parent / "golden" / "rules"
NAMES = sorted({rule.__name__ for rule in RULES})


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """The tables of schema.sql."""
    with tensorsql.connect() as connection:
        pixels = np.linspace(0.0, 1.0, 10 * 8 * 8, dtype=np.float32).reshape(10, 8, 8)
        connection.register_masks("pixels", pixels, {"id": np.arange(10)})
        connection.execute((ROOT / "schema.sql").read_text(encoding="utf-8"))
        yield connection.session


def bound(session: Session, sql: str) -> Plan:
    """The plan before any rule."""
    (tree,) = parse(sql)
    with session.open_transaction() as transaction:
        catalog = SessionCatalog(session, transaction)
        statement = bind(tree, catalog, (), session.settings)
    assert isinstance(statement, Query)
    return statement.plan


def changes(plan: Plan, name: str) -> Iterator[tuple[Plan, Plan]]:
    """The plans before and after each time the rule changes something; all plans are verified."""
    verify(plan)
    for rule in RULES:
        new = rule(plan)
        verify(new)
        if new is not plan and rule.__name__ == name:
            yield plan, new
        plan = new


def record(session: Session, sql: str, name: str) -> str:
    """A query and what the rule made of its plan."""
    lines = [sql]
    for before, after in changes(bound(session, sql), name):
        lines += ["---- before", explain(before), "---- after", explain(after)]
    return "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_rule(name: str, session: Session) -> None:
    path = ROOT / f"{name}.txt"
    text = path.read_text(encoding="utf-8")
    queries = [block.split("\n---- ", 1)[0].strip() for block in text.split("\n\n")]
    records = [record(session, sql, name) for sql in queries]
    for sql, shown in zip(queries, records, strict=True):
        assert shown != sql, f"{name} does not apply to {sql}"
    shown = "\n\n".join(records) + "\n"
    if os.environ.get("TENSORSQL_GOLDEN") == "1":
        path.write_text(shown, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == shown


def test_every_file_is_of_a_rule() -> None:
    assert sorted(path.stem for path in ROOT.glob("*.txt")) == NAMES
