"""Sums of 128-bit integers: only the whole sum must fit, whatever its parts are."""

from __future__ import annotations

import random

import pytest

import tensorsql
from tensorsql.errors import OutOfRangeError

TOP = 2**127
POOL = (TOP - 1, -TOP, TOP - 2, 1 - TOP, 1, -1, 0, 2**64, -(2**63), 2**96 - 1, -(2**96))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("morsel_size", [1, 3, 1000])
def test_sums_are_those_of_python(seed: int, morsel_size: int) -> None:
    draw = random.Random(seed)
    numbers = [draw.choice(POOL) for _ in range(draw.choice((1, 2, 9, 70)))]
    connection = tensorsql.connect()
    connection.execute(f"SET morsel_size = {morsel_size}")
    values = ", ".join(f"({i}, '{n}'::HUGEINT)" for i, n in enumerate(numbers))
    connection.execute(f"CREATE TABLE t AS SELECT * FROM (VALUES {values}) v(i, x)")
    _check(connection, "SELECT sum(x), avg(x) FROM t", [numbers])
    running = [numbers[: n + 1] for n in range(len(numbers))]
    fitting = [each for each in running if -TOP <= sum(each) < TOP]
    if len(fitting) == len(running):
        over = "OVER (ORDER BY i)"
        _check(connection, f"SELECT sum(x) {over}, avg(x) {over} FROM t ORDER BY i", running)


def _check(connection: tensorsql.Connection, query: str, frames: list[list[int]]) -> None:
    if any(not -TOP <= sum(frame) < TOP for frame in frames):
        with pytest.raises(OutOfRangeError, match="the sum is out of the range of HUGEINT"):
            connection.execute(query).fetchall()
        return
    rows = connection.execute(query).fetchall()
    assert [row[0] for row in rows] == [sum(frame) for frame in frames]
    assert [row[1] for row in rows] == pytest.approx([sum(f) / len(f) for f in frames], rel=1e-15)
