"""TRY_CAST of every type to every type gives DuckDB's values, of columns and of constants."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pytest
from fuzz_functions import VALUES
from side_by_side import SideBySide

import tensorsql
from tensorsql.errors import OutOfRangeError, TypeMismatchError

TEXTS = (
    ";' ';1;-1.5;1e3;nan;true;T;no;2020-02-29;2020-02-30;12:34:56.5;2020-01-01 10:00:00.123456"
    ";1 day;-1 month 2 days;0x1F;99999999999999999999;1_000;.5;12.;+7;١;é;0001-01-01;epoch"
    ";47183823-2574-4bfd-b411-99ed177d3e43;9999-12-31 23:59:59.999999;1e-400;1e400;128;127.5"
    ";-128.5;0.5;1.5;2.5;NULL;2020-01-01 24:00;2016-12-31 23:59:60;[1, x];[]"
)
SOURCES = {
    **VALUES,
    "VARCHAR": tuple(f"'{text}'" for text in TEXTS.replace("' '", " ").split(";")),
}
# DuckDB has no cast of a time to an interval.
OURS = {("TIME", "INTERVAL")}


def _castable(side: SideBySide, source: str) -> list[str]:
    """The targets that we have a cast to; DuckDB's other casts give but NULL."""
    found = []
    for target in SOURCES:
        try:
            side.ours.execute(f"EXPLAIN SELECT TRY_CAST(c AS {target}) FROM t")
        except TypeMismatchError:
            continue
        if (source, target) not in OURS and not (source == "VARCHAR" and "[]" in target):
            found.append(target)
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_casts(source: str) -> None:
    values = (*SOURCES[source], f"NULL::{source}")
    rows = ", ".join(f"({n}, {value})" for n, value in enumerate(values))
    side = SideBySide()
    side.both(f"CREATE TABLE t AS SELECT i, c::{source} AS c FROM (VALUES {rows}) v(i, c)")
    targets = _castable(side, source)
    assert "VARCHAR" in targets
    items = ", ".join(f"TRY_CAST(c AS {target})::VARCHAR" for target in targets)
    side.check([f"SELECT i, {items} FROM t ORDER BY i"])
    found = side.ours.execute(f"SELECT {items} FROM t ORDER BY i").fetchall()
    for n, value in enumerate(values):
        constant = items.replace("TRY_CAST(c ", f"TRY_CAST({value} ")
        assert side.ours.execute(f"SELECT {constant}").fetchall() == [found[n]], value


def test_dates_far_away_are_no_timestamps() -> None:
    """They come in Arrow tables; nothing wraps around 64 bits."""
    connection = tensorsql.connect()
    days = pa.array([0, 2**31 - 1], pa.int32()).cast(pa.date32())
    connection.register("t", pa.table({"d": days}))
    for item in ("d::TIMESTAMP", "date_diff('hour', DATE '2020-01-01', d)"):
        with pytest.raises(OutOfRangeError, match="too far away"):
            connection.execute(f"SELECT {item} FROM t").fetchall()
    found = connection.execute("SELECT d::TIMESTAMP FROM t WHERE d < DATE '2000-01-01'").fetchall()
    assert found == [(datetime.datetime(1970, 1, 1),)]
