"""What each optimizer rule does, and where it must not, as text: tests/golden/rules/<rule>.txt.

A file holds queries with a blank line between, each perhaps with a comment that says why; after it
stand the plans before and after every application of the rule that changed something, or, where it
does not apply, the plan that the rule leaves alone. TENSORSQL_GOLDEN=1 rewrites the plans.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tensorsql
from tensorsql.parser.dialect import parse
from tensorsql.planner.binder import bind
from tensorsql.planner.explain import explain
from tensorsql.planner.optimizer import RULES, optimize
from tensorsql.planner.plans.bound_statements import Query
from tensorsql.planner.plans.expressions import columns_of
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import clone, has_work, walk_plan
from tensorsql.planner.plans.verify import verify
from tensorsql.session import Session
from tensorsql.session_catalog import SessionCatalog

ROOT = Path(__file__).parent / "golden" / "rules"
LEFT_ALONE = "---- does not apply"
FEWEST, FEWEST_LEFT_ALONE = 9, 6
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
        catalog = SessionCatalog(transaction, session.registered)
        statement = bind(tree, catalog, (), session.settings)
    assert isinstance(statement, Query)
    return statement.plan


def steps(plan: Plan, name: str) -> Iterator[tuple[Plan, Plan]]:
    """The plans before and after each application of the rule; all plans are verified."""
    verify(plan)
    for rule in RULES:
        new = rule(plan)
        assert new is plan or has_work(rule, plan)
        verify(new)
        if rule.__name__ == name:
            yield plan, new
        plan = new


def record(session: Session, sql: str, name: str) -> str:
    """A query and what the rule made of its plan."""
    taken = list(steps(bound(session, sql), name))
    lines = [sql]
    for before, after in taken:
        if after is not before:
            lines += ["---- before", explain(before), "---- after", explain(after)]
    return "\n".join(lines if len(lines) > 1 else [sql, LEFT_ALONE, explain(taken[0][0])])


def blocks(name: str) -> list[str]:
    """The records of a rule's file."""
    return (ROOT / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n").split("\n\n")


@pytest.mark.parametrize("name", NAMES)
def test_rule(name: str, session: Session) -> None:
    queries = [block.split("\n---- ", 1)[0] for block in blocks(name)]
    shown = [record(session, sql, name) for sql in queries]
    if os.environ.get("TENSORSQL_GOLDEN") == "1":
        (ROOT / f"{name}.txt").write_text("\n\n".join(shown) + "\n", encoding="utf-8")
    assert blocks(name) == shown


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_of_every_rule_are_shown(name: str) -> None:
    found = blocks(name)
    left_alone = [block for block in found if LEFT_ALONE in block.split("\n")]
    assert len(found) >= FEWEST and FEWEST_LEFT_ALONE <= len(left_alone) < len(found)
    assert all(block.startswith("-- ") for block in left_alone), "say why it does not apply"


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_of_a_plan_reads_nothing_of_the_plan(name: str, session: Session) -> None:
    """Sort keys, conditions and definitions alike: two copies may stand in one plan."""
    for block in blocks(name):
        plan = optimize(bound(session, block.split("\n---- ", 1)[0]))
        copy, new_ids = clone(plan)
        verify(copy)
        assert re.sub(r"#\d+", "", explain(copy)) == re.sub(r"#\d+", "", explain(plan))
        assert not used(copy) & used(plan)
        assert [new_ids[field.id] for field in plan.fields] == [field.id for field in copy.fields]


def used(plan: Plan) -> set[int]:
    """Ids of the columns that the plan's nodes have or read."""
    nodes = list(walk_plan(plan))
    read = (columns_of(expression) for node in nodes for expression in node.expressions)
    return set().union(*(node.ids for node in nodes), *read)


def test_every_file_is_of_a_rule() -> None:
    assert sorted(path.stem for path in ROOT.glob("*.txt")) == NAMES
