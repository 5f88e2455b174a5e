"""Casts of literals in Python and of columns in tensors agree with each other and with DuckDB."""

from __future__ import annotations

import duckdb
import pytest

from tensorsql.errors import ConversionError, Error
from tensorsql.operators.columns.literals import literal_column, to_python
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.functions.casts import can_cast, common_type, implicit_cost, is_safe
from tensorsql.planner.functions.conversions import convert
from tensorsql.planner.functions.resolve import cast
from tensorsql.planner.plans.expressions import ColumnRef
from tensorsql.storage.columns import types
from tensorsql.storage.columns.column import Batch
from tensorsql.storage.columns.types import VARCHAR, Type, decimal

TEXTS = {
    "INTEGER": [
        "1",
        " 1 ",
        "+1",
        "-2.5",
        "2.5",
        "1e3",
        "0x1F",
        "1_000",
        ".5",
        "1.",
        "",
        "a",
        "1,5",
    ],
    "TINYINT": ["127", "128", "-128", "127.4", "127.5"],
    "BIGINT": ["9223372036854775807", "9223372036854775808", "١"],
    "HUGEINT": ["170141183460469231731687303715884105727", "-1e20", "x"],
    "DOUBLE": ["1.5", " 2 ", "1e400", "inf", "-Infinity", "nan", "1e", ".", "0x1p3", "1_0.5"],
    "DECIMAL(4,1)": ["1.25", "-1.25", "999.94", "999.95", "1e2", "abc", "0.04"],
    "DECIMAL(30,3)": ["123456789012345678901234.5678", "-0.0005", "1e30"],
    "BOOLEAN": ["true", "T", "yes", "N", "0", "on", "1.5", "FALSE"],
    "DATE": [
        "2020-02-29",
        "2021-02-29",
        "2020-1-5",
        "2020/01/05",
        " 2020-01-05 ",
        "2020-01-05 10:00",
        "x",
    ],
    "TIMESTAMP": [
        "2020-01-05",
        "2020-01-05 01:02",
        "2020-01-05T01:02:03.5",
        "2020-01-05 01:02:03Z",
        "2020-1-5 1:2:3",
        "2020-01-05 25:00:00",
        "",
    ],
    "TIME": ["10:20", "10:20:30.123456", "1:2:3", "25:00:00", "x"],
    "INTERVAL": ["1 day", "1 year -2 days", "-1:30:00", "1.5 hours", "P1D", "2 weeks 3 hours"],
    "UUID": ["47183823-2574-4bfd-b411-99ed177d3e43", "47183823"],
}
NAMED = {
    "DECIMAL(4,1)": decimal(4, 1),
    "DECIMAL(30,3)": decimal(30, 3),
}


def kind_of(name: str) -> Type:
    return NAMED.get(name) or getattr(types, name)


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_read_as_in_duckdb(name: str) -> None:
    connection = duckdb.connect()
    target = kind_of(name)
    reference = ColumnRef(VARCHAR, 0, "s")
    evaluator = compile_expressions([cast(cast(reference, target, True), VARCHAR)], Context({}))
    (column,) = evaluator(Batch({0: literal_column(TEXTS[name], VARCHAR)}, len(TEXTS[name])))
    found = to_python(column)
    for text, ours in zip(TEXTS[name], found, strict=True):
        query = f"SELECT TRY_CAST($1::VARCHAR AS {name})::VARCHAR"
        theirs = connection.execute(query, [text]).fetchall()[0][0]
        assert ours == theirs, f"{text!r} as {name}"
        try:
            literal = convert(convert(text, VARCHAR, target), target, VARCHAR)
        except ConversionError:
            literal = None
        assert literal == theirs, f"literal {text!r} as {name}"


def test_errors_name_value_and_type() -> None:
    evaluator = compile_expressions([cast(ColumnRef(VARCHAR, 0, "s"), types.INTEGER)], Context({}))
    with pytest.raises(ConversionError, match=r"^could not convert string 'abc' to INTEGER$"):
        evaluator(Batch({0: literal_column(["1", "abc"], VARCHAR)}, 2))


def test_no_cast_between_strangers() -> None:
    with pytest.raises(Error, match="cannot cast DATE to INTEGER"):
        cast(ColumnRef(types.DATE, 0, "d"), types.INTEGER)


def test_lattice() -> None:
    assert implicit_cost(types.INTEGER, types.BIGINT) is not None
    assert implicit_cost(types.BIGINT, types.INTEGER) is None
    assert implicit_cost(types.INTEGER, VARCHAR) is None
    assert common_type(types.INTEGER, decimal(3, 1)) == decimal(11, 1)
    assert common_type(types.REAL, types.BIGINT) == types.REAL
    assert common_type(VARCHAR, types.INTEGER) is None
    assert common_type(VARCHAR, types.INTEGER, compare=True) == types.INTEGER
    assert common_type(types.BOOLEAN, types.DOUBLE) is None
    assert common_type(types.DATE, types.TIMESTAMP) == types.TIMESTAMP
    assert is_safe(types.INTEGER, decimal(10, 0))
    assert not is_safe(types.INTEGER, decimal(10, 1))
    assert not is_safe(decimal(3, 1), decimal(2, 0))
    assert can_cast(types.TIME, VARCHAR)
