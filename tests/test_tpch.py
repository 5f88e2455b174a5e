"""TPC-H at scale 0.1 gives what DuckDB gives, from the texts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engines import Duckdb, Tensorsql

from tensorsql.tpch.answers import difference, order_columns
from tensorsql.tpch.bench import Engines, measure, report
from tensorsql.tpch.statements import TABLES, query, schema


@pytest.mark.parametrize("number", range(1, 23))
def test_query(number: int, tpch: Tensorsql, tpch_oracle: Duckdb) -> None:
    expected = tpch_oracle.connection.execute(query(number))
    names = [column[0] for column in expected.description]
    cursor = tpch.connection.execute(query(number))
    assert [column[0] for column in cursor.description] == names
    order = order_columns(query(number), names)
    assert difference(expected.fetchall(), cursor.fetchall(), order) == ""


def test_schema_is_accepted(tpch: Tensorsql) -> None:
    engine = Tensorsql()
    for statement in schema():
        engine.execute(statement)
    for table in TABLES:
        declared = engine.execute(f"DESCRIBE {table}").rows
        loaded = tpch.execute(f"DESCRIBE {table}").rows
        assert [row[:2] for row in declared] == [row[:2] for row in loaded]


def test_benchmark_checks_before_it_times(tpch_oracle: Duckdb) -> None:
    right = measure(Engines(tpch_oracle.connection, tpch_oracle.connection), 6, repeat=2)
    assert right.wrong == "" and min(right.ours, right.duckdb) > 0
    other = Duckdb()
    other.execute(
        "CREATE TABLE lineitem AS SELECT DATE '1994-01-01' AS l_shipdate, "
        "0.06 AS l_discount, 1 AS l_quantity, 1 AS l_extendedprice"
    )
    wrong = measure(Engines(tpch_oracle.connection, other.connection), 6, repeat=2)
    assert "row 1" in wrong.wrong or "unexpected row" in wrong.wrong
    assert wrong.ours == wrong.duckdb == 0
    assert report([right, wrong]).row_count == 2


def test_difference_finds_what_differs() -> None:
    row = (1, Decimal("1.10"), 0.5, None)
    assert difference([row], [(1, Decimal("1.10"), 0.5 + 1e-12, None)]) == ""
    assert difference([row], []) == "expected 1 rows, got 0"
    for other in [
        (True, Decimal("1.10"), 0.5, None),
        (1, Decimal("1.1"), 0.5, None),
        (1, Decimal("1.10"), 0.6, None),
        (1, Decimal("1.10"), 0.5, 0),
    ]:
        assert "row" in difference([row], [other])


def test_difference_heeds_only_the_stated_order() -> None:
    rows = [(1, "a"), (1, "b"), (2, "c")]
    assert difference(rows, [rows[1], rows[0], rows[2]], order=[0]) == ""
    assert "row 1" in difference(rows, rows[::-1], order=[0])
