"""The two databases that tests compare, behind one face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
from drawn import TENTHS
from sqllogic import Answer
from torch import nn

import tensorsql
from tensorsql import session
from tensorsql.errors import Error
from tensorsql.planner.optimizer import RULES
from tensorsql.planner.plans.logical import Plan
from tensorsql.planner.plans.traversal import has_work
from tensorsql.planner.plans.verify import verify


class Tensorsql:
    """A fresh database in memory with the given settings; plans are verified after every rule."""

    name = "tensorsql"
    error: type[Exception] = Error

    def __init__(self, **settings: int | str) -> None:
        self.connection = tensorsql.connect()
        for setting, value in settings.items():
            self.connection.execute(f"SET {setting} = {value}")

    def execute(self, sql: str) -> Answer:
        """Run one statement; an error of any class but ours is a defect and passes through."""
        with _verified_plans():
            return _answer(self.connection.execute(sql))

    def masks(self, name: str, ids: list[int], pixels: np.ndarray) -> None:
        """The table `name` (id, mask) of masks in tenths."""
        columns = {"id": np.array(ids, dtype=np.int32)}
        self.connection.register_masks("drawn", pixels, columns, scale=TENTHS)
        self.connection.execute(f"CREATE TABLE {name} AS SELECT id, mask FROM drawn")

    def model(self, name: str, module: nn.Module, options: dict[str, list[str]]) -> None:
        """The model `name`."""
        numbers = {key: list(map(_number, values)) for key, values in options.items()}
        self.connection.register_model(name, module, **numbers)


class Duckdb:
    """A fresh database in memory."""

    name = "duckdb"
    error: type[Exception] = duckdb.Error

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})

    def execute(self, sql: str) -> Answer:
        """Run one statement."""
        return _answer(self.connection.execute(sql))

    def masks(self, name: str, ids: list[int], pixels: np.ndarray) -> None:
        """DuckDB has no masks."""
        raise NotImplementedError

    def model(self, name: str, module: nn.Module, options: dict[str, list[str]]) -> None:
        """DuckDB has no models."""
        raise NotImplementedError


def _number(word: str) -> int | str:
    return int(word) if word.isdigit() else word


@contextmanager
def _verified_plans() -> Iterator[None]:
    """Meanwhile sessions check the plan they bound, and after every rule."""
    optimize = session.optimize

    def verified(plan: Plan, disabled: Iterable[str] = ()) -> Plan:
        _check(plan)
        return optimize(plan, disabled, lambda _, changed: _check(changed))

    session.optimize = verified
    try:
        yield
    finally:
        session.optimize = optimize


def _check(plan: Plan) -> None:
    """The plan is sound, and a rule that works on nothing in it would leave it as it is."""
    verify(plan)
    for rule in RULES:
        assert has_work(rule, plan) or rule(plan) is plan, rule.__name__


def _answer(cursor: Any) -> Answer:
    description = cursor.description
    return Answer(cursor.fetchall(), len(description)) if description else Answer([], 0)
