"""Functions are looked up in the session: one may have some that no other session knows."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import pytest
import torch

import tensorsql
from tensorsql import errors
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.functions.registry import Extent
from tensorsql.operators.keys.grouping import Collecting, Grouped
from tensorsql.operators.keys.ordering import Partitions
from tensorsql.planner.functions.signatures import SIGNATURES
from tensorsql.planner.plans.expressions import COSTLY, AggregateCall, Call
from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.column import Column, Flat
from tensorsql.storage.columns.types import BIGINT, DOUBLE


def triple(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    return Flat(call.type, values_of(arguments[0]) * 3)


class LastDigits(Collecting):
    """The sum of the last digits."""

    def whole(self, rows: Grouped, arguments: Sequence[Column], call: AggregateCall) -> Column:
        return Flat(call.type, rows.sums(values_of(arguments[0]) % 10))


def countdown(window: Partitions, arguments: Sequence[Column], call: AggregateCall) -> Column:
    return Flat(call.type, window.rows - torch.arange(window.rows))


OWN: list[tuple[Signature, Any]] = [
    (Signature("triple", (BIGINT,), BIGINT, "own.triple"), triple),
    (Signature("triple", (DOUBLE,), DOUBLE, "own.triple_double"), triple),
    (Signature("last_digits", (BIGINT,), BIGINT, "own.digits", kind="aggregate"), LastDigits()),
    (Signature("countdown", (), BIGINT, "own.countdown", kind="window", nulls="own"), countdown),
]
CALLS = [
    ("SELECT triple(i) FROM range(4) r(i)", [0, 3, 6, 9]),
    ("SELECT TRIPLE(i + 0.5) FROM range(2) r(i)", [1.5, 4.5]),
    ("SELECT triple(NULLIF(i, 1)) FROM range(3) r(i)", [0, None, 6]),
    ("SELECT i FROM range(9) r(i) WHERE triple(i) > 20", [7, 8]),
    ("SELECT triple(7)", [21]),
    ("SELECT triple(?)", [15]),
    ("SELECT last_digits(i) FROM range(22) r(i)", [45 + 45 + 1]),
    ("SELECT last_digits(DISTINCT i % 4) FILTER (WHERE i > 2) FROM range(22) r(i)", [6]),
    ("SELECT last_digits(i) FROM range(12) r(i) GROUP BY i < 10 ORDER BY 1", [1, 45]),
    ("SELECT last_digits(i) OVER (ORDER BY i) FROM range(3) r(i)", [0, 1, 3]),
    ("SELECT countdown() OVER (ORDER BY i) FROM range(3) r(i)", [3, 2, 1]),
    ("WITH c AS (SELECT triple(2) AS x) SELECT x FROM c UNION ALL SELECT sum(x) FROM c", [6, 6]),
    ("SELECT x FROM seen", [12]),
]


def own_functions() -> tensorsql.Connection:
    con = tensorsql.connect()
    session = con.session
    for signature, kernel in OWN:
        found = (*session.functions.get(signature.name, ()), signature)
        session.functions = {**session.functions, signature.name: found}
        session.services.kernels[signature.kernel] = kernel
    con.execute("CREATE VIEW seen AS SELECT triple(4) AS x")
    return con


@pytest.mark.parametrize(("sql", "expected"), CALLS)
def test_one_session_calls_its_own(sql: str, expected: list[Any]) -> None:
    con = own_functions()
    rows = con.execute(sql, [5] if "?" in sql else []).fetchall()
    assert [value for (value,) in rows] == expected
    if "seen" not in sql:
        with pytest.raises(errors.BindError, match=r"no function|no such|no aggregate"):
            tensorsql.connect().execute(sql, [5] if "?" in sql else [])


def test_the_nearest_names_are_the_sessions() -> None:
    con = own_functions()
    with pytest.raises(errors.BindError, match=r'no function "tripel".*"triple"'):
        con.execute("SELECT tripel(1)")
    with pytest.raises(errors.BindError) as error:
        tensorsql.connect().execute("SELECT tripel(1)")
    assert '"triple"' not in str(error.value)
    assert "triple" not in SIGNATURES


def test_an_overload_of_a_known_name_is_the_sessions() -> None:
    """What was chosen for one session is not remembered for others."""
    con, other = tensorsql.connect(), tensorsql.connect()
    other.execute("SELECT abs(-2::BIGINT), abs(-2.5::DOUBLE)")
    own = Signature("abs", (BIGINT,), BIGINT, "own.triple")
    con.session.functions = {**SIGNATURES, "abs": (own,)}
    con.session.services.kernels["own.triple"] = triple
    for _ in range(2):
        assert con.execute("SELECT abs(i) FROM range(-2, 0) r(i)").fetchall() == [(-6,), (-3,)]
        assert other.execute("SELECT abs(i) FROM range(-2, 0) r(i)").fetchall() == [(2,), (1,)]


def test_a_costly_one_waits_behind_cheap_conjuncts() -> None:
    con = tensorsql.connect()
    slow = Signature("slow", (BIGINT,), BIGINT, "own.triple", cost=COSTLY)
    con.session.functions = {**SIGNATURES, "slow": (slow,)}
    con.session.services.kernels["own.triple"] = triple
    sql = "EXPLAIN SELECT i FROM range(9) r(i) WHERE slow(i) > 6 AND i < 5"
    ((plan,),) = con.execute(sql).fetchall()
    assert "Filter i < 5 AND slow(i) > 6" in plan


def test_signatures_pickle() -> None:
    for signature in (OWN[0][0], SIGNATURES["+"][0]):
        assert pickle.loads(pickle.dumps(signature)) == signature
    assert pickle.loads(pickle.dumps(SIGNATURES["+"][1])) is SIGNATURES["+"][1]
