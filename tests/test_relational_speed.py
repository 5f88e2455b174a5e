"""The fast ways of the relational operators give the answers of the plain ones."""

from __future__ import annotations

import random

import pyarrow as pa
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorsql
from tensorsql.operators import kernels
from tensorsql.operators.functions.substring import containing
from tensorsql.operators.keys.key_codes import DistinctCoder

INTEGERS = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("abé", max_size=6)), st.sampled_from(["a", "ab", "aa", "é", "bé"]))
def test_containing_agrees_with_python(texts: list[str], piece: str) -> None:
    array = pa.array(["b", *texts], pa.large_string()).slice(1)
    assert containing(array, piece.encode()).tolist() == [piece in text for text in texts]


@settings(max_examples=50, deadline=None)
@given(st.sets(INTEGERS, min_size=1), st.lists(INTEGERS))
def test_distinct_coder_finds_places(values: set[int], others: list[int]) -> None:
    known = sorted(values)
    asked = [*known, *others]
    found = DistinctCoder(torch.tensor(known)).encode(torch.tensor(asked)).tolist()
    wanted = [known.index(value) if value in values else len(known) for value in asked]
    assert found == wanted


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-128, 127)), st.integers(-(2**40), 2**40), st.integers(1, 2**33))
def test_places(values: list[int], low: int, size: int) -> None:
    wanted = [value - low if low <= value < low + size else size for value in values]
    for dtype in (torch.int8, torch.int32, torch.int64):
        assert kernels.places(torch.tensor(values, dtype=dtype), low, size).tolist() == wanted


def test_restricted_aggregates_give_the_same_groups() -> None:
    random.seed(3)
    rows = {"k": [random.randrange(500) for _ in range(5000)], "x": list(range(5000))}
    query = (
        "SELECT s.k, g.n, g.t FROM small s JOIN "
        "(SELECT k, count(*) n, sum(x) t FROM big GROUP BY k) g ON g.k = s.k ORDER BY s.k"
    )
    with tensorsql.connect() as connection:
        connection.register("big", rows)
        connection.register("small", {"k": [3, 3, 77, 400, 1000]})
        plan = connection.execute(f"EXPLAIN {query}").fetchall()[0][0]
        assert "semi" in plan
        found = connection.execute(query).fetchall()
        connection.execute("SET disabled_rules = 'restrict_aggregates'")
        assert connection.execute(query).fetchall() == found
        assert len(found) == 4
