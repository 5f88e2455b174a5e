"""The two databases that tests compare, behind one face."""

from __future__ import annotations

from typing import Any

import duckdb
from sqllogic import Answer

import tensorsql
from tensorsql.errors import Error
from tensorsql.planner.optimizer import Observe
from tensorsql.planner.plans.logical import Plan
from tensorsql.planner.plans.verify import verify
from tensorsql.session import Session


class Tensorsql:
    """A fresh database in memory with the given settings; plans are verified after every rule."""

    name = "tensorsql"
    error: type[Exception] = Error

    def __init__(self, **settings: int | str) -> None:
        self.connection = tensorsql.connect()
        _verify_plans(self.connection.session)
        for setting, value in settings.items():
            self.connection.execute(f"SET {setting} = {value}")

    def execute(self, sql: str) -> Answer:
        """Run one statement; an error of any class but ours is a defect and passes through."""
        return _answer(self.connection.execute(sql))


class Duckdb:
    """A fresh database in memory."""

    name = "duckdb"
    error: type[Exception] = duckdb.Error

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})

    def execute(self, sql: str) -> Answer:
        """Run one statement."""
        return _answer(self.connection.execute(sql))


def _verify_plans(session: Session) -> None:
    optimize = session.optimize

    def verified(plan: Plan, observe: Observe | None = None) -> Plan:
        verify(plan)
        return optimize(plan, lambda rule, changed: verify(changed))

    session.optimize = verified  # type: ignore[method-assign]


def _answer(cursor: Any) -> Answer:
    description = cursor.description
    return Answer(cursor.fetchall(), len(description)) if description else Answer([], 0)
