"""Numbers of 29 to 38 digits are exact: Python rounds a Decimal to 28 unless told not to."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

import tensorsql

WIDE = "9999999999999999999999999999.9999999999"
WHOLE = "12345678901234567890123456789012345678"


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT -{WIDE}, abs(-{WIDE}), -(-{WIDE}), (-{WIDE})::VARCHAR, [-{WIDE}]",
        f"SELECT '-{WIDE}'::DECIMAL(38, 10), '{WIDE}'::DECIMAL(38, 10)",
        f"SELECT '{WHOLE}'::DECIMAL(38, 0), -{WHOLE}::DECIMAL(38, 0)",
        f"SELECT -{WIDE} = '-{WIDE}'::DECIMAL(38, 10), {WIDE} - 0.0000000001",
        f"SELECT x FROM (VALUES (-{WIDE}), ({WIDE})) t(x) WHERE x < -{WIDE} + 1",
        f"SELECT sum(x), min(x), max(x) FROM (VALUES (-{WIDE}), ({WIDE})) t(x)",
        f"SELECT x FROM (SELECT x::DECIMAL(38, 10) AS x FROM (VALUES ({WIDE[5:]}), (1)) t(x)) t "
        f"WHERE x = {WIDE[5:]}",
        "SELECT x FROM (SELECT 1234567890123456789012345678901.5 AS x) t "
        "WHERE x::DECIMAL(38, 3) = 1234567890123456789012345678901.500",
        f"SELECT x FROM (SELECT {WIDE} AS x) t WHERE x = {WIDE} AND x <> {WIDE[:-1]}8",
        f"SELECT -0.0, -0.{WHOLE[:30]}, round(-{WIDE}, 2), -{WIDE} BETWEEN -{WIDE} AND 0",
    ],
)
def test_as_duckdb_says(sql: str) -> None:
    found = tensorsql.connect().execute(sql).fetchall()
    assert repr(found) == repr(duckdb.sql(sql).fetchall())


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_through_files(tmp_path: Path, suffix: str) -> None:
    """Statistics of a Parquet file as well, which decide what a filter reads."""
    connection = tensorsql.connect()
    path = tmp_path / f"x.{suffix}"
    connection.execute("CREATE TABLE t (x DECIMAL(38, 10)); CREATE TABLE u (x DECIMAL(38, 10))")
    connection.execute(f"INSERT INTO t VALUES (-{WIDE}), ({WIDE}), (0.0000000001)")
    connection.execute(f"COPY t TO '{path}'; COPY u FROM '{path}'")
    expected = [(Decimal("-" + WIDE),), (Decimal(WIDE),), (Decimal("1E-10"),)]
    assert connection.execute("SELECT x FROM u").fetchall() == expected
    source = f"'{path}'" if suffix == "parquet" else "u"
    for test in (f">= {WIDE}", f"<= -{WIDE}", f"= -{WIDE}", f"= {WIDE}"):
        found = connection.execute(f"SELECT count(*) FROM {source} WHERE x {test}").fetchall()
        assert found == [(1,)]
