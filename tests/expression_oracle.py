"""Expressions over a small table, evaluated by our evaluator and by DuckDB."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import torch
from binding import MemoryCatalog, plan_of

from tensorsql.errors import Error
from tensorsql.operators.columns.literals import to_python
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.plans.logical import Project, Scan
from tensorsql.storage.columns.arrow import from_arrow
from tensorsql.storage.columns.arrow_types import arrow_type
from tensorsql.storage.columns.column import Batch, Column, Dictionary, Flat
from tensorsql.storage.columns.concat import bytes_of

Layout = Callable[[Column], Column]


def narrowed(column: Column) -> Column:
    """Integers in int8 where they fit."""
    if isinstance(column, Flat) and column.values.dtype in (torch.int32, torch.int64):
        low, high = torch.aminmax(column.values) if len(column) else (0, 0)
        if int(low) >= -128 and int(high) <= 127:
            return replace(column, values=column.values.to(torch.int8))
    return column


def as_bytes(column: Column) -> Column:
    """Text as bytes."""
    return bytes_of(column) if isinstance(column, Dictionary) else column


def as_dictionary(column: Column) -> Column:
    """Text as codes."""
    if column.type.is_text:
        array = _arrow(column).dictionary_encode()
        return from_arrow(array, column.type)
    return column


def _arrow(column: Column) -> pa.Array:
    return pa.array(to_python(column), pa.large_string())


class Oracle:
    """One table `t` in both; `columns` as in CREATE TABLE, `rows` as SQL VALUES."""

    def __init__(self, columns: str, rows: str) -> None:
        self.duckdb = duckdb.connect(config={"threads": 1})
        self.duckdb.execute(f"CREATE TABLE t ({columns})")
        self.duckdb.execute(f"INSERT INTO t VALUES {rows}")
        self.table = self.duckdb.sql("SELECT * FROM t").to_arrow_table()
        self.answers: dict[str, tuple[str, list[Any]] | duckdb.Error] = {}
        self.catalog = MemoryCatalog()
        self.catalog.add("t", columns)

    def ours(
        self, expression: str, layout: Layout = lambda column: column
    ) -> tuple[str, list[Any]]:
        """(type, values) of our evaluator."""
        project = plan_of(f"SELECT {expression} AS x FROM t", self.catalog)
        assert isinstance(project, Project)
        scan = project.input
        assert isinstance(scan, Scan)
        columns = {}
        for field, name in scan.columns:
            array = self.table[name].combine_chunks().cast(arrow_type(field.type))
            columns[field.id] = layout(from_arrow(array, field.type))
        ((_, bound),) = project.assignments
        evaluator = compile_expressions([bound], Context({}))
        (column,) = evaluator(Batch(columns, self.table.num_rows))
        assert len(column) == self.table.num_rows
        check_zeros(column)
        return str(bound.type), to_python(column)

    def theirs(self, expression: str) -> tuple[str, list[Any]]:
        """(type, values) of DuckDB, asked once."""
        if expression not in self.answers:
            self.answers[expression] = self._ask(expression)
        answer = self.answers[expression]
        if isinstance(answer, duckdb.Error):
            raise answer
        return answer

    def _ask(self, expression: str) -> tuple[str, list[Any]] | duckdb.Error:
        try:
            return self._answer(expression)
        except duckdb.Error as error:
            return error

    def _answer(self, expression: str) -> tuple[str, list[Any]]:
        rows = self.duckdb.execute(f"SELECT {expression}, typeof({expression}) FROM t").fetchall()
        # DuckDB writes the type of a bare NULL in quotes.
        return rows[0][1].strip('"') if rows else "", [row[0] for row in rows]

    def check(self, expression: str, layout: Layout = lambda column: column) -> None:
        """Both give the same type and values, or both an error."""
        try:
            expected = self.theirs(expression)
        except duckdb.Error as error:
            try:
                found = self.ours(expression, layout)
            except Error:
                return
            raise AssertionError(f"{expression}: {found} where DuckDB says {error}") from error
        kind, values = self.ours(expression, layout)
        assert kind == expected[0], f"{expression}: {kind} is not {expected[0]}"
        for ours, theirs in zip(values, expected[1], strict=True):
            assert same(ours, theirs), f"{expression}: {values} is not {expected[1]}"


def check_zeros(column: Column) -> None:
    """Values under NULL are zeros."""
    if isinstance(column, Flat) and column.validity is not None:
        assert not bool(column.values[~column.validity].any())


def same(ours: Any, theirs: Any) -> bool:
    """Equal values; floats up to the last bits that libraries differ in."""
    if isinstance(theirs, float) and isinstance(ours, float):
        if math.isnan(ours) or math.isnan(theirs):
            return math.isnan(ours) == math.isnan(theirs)
        return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-300)
    if isinstance(theirs, Decimal):
        return isinstance(ours, Decimal) and ours == theirs
    if hasattr(theirs, "total_seconds") and isinstance(ours, tuple):
        days = ours[0] * 30 + ours[1]
        return days * 86_400_000_000 + ours[2] == round(theirs.total_seconds() * 1_000_000)
    if isinstance(theirs, list):
        return list(ours) == theirs
    if isinstance(theirs, dict):
        return list(ours) == list(theirs.values())
    return type(ours) is type(theirs) and bool(ours == theirs)
