"""Random expressions over random columns with NULLs give what DuckDB gives."""

from __future__ import annotations

import functools

import duckdb
from expression_oracle import Oracle, as_dictionary
from hypothesis import given, settings
from hypothesis import strategies as st
from tally import Tally

COLUMNS = """i INTEGER, j SMALLINT, b BIGINT, d DECIMAL(9,2), e DECIMAL(18,4), f DOUBLE, s VARCHAR,
t DATE, o BOOLEAN"""
ROWS = """
(1, -3, 5000000000, 1.25, -0.0001, 0.5, 'a', '2020-01-31', true),
(NULL, 7, NULL, NULL, 99.5, NULL, NULL, NULL, NULL),
(-100, NULL, -1, -7.50, NULL, -2.25, 'Zz', '1999-12-31', false),
(0, 0, 0, 0.00, 0.0, 0.0, '', '1970-01-01', true),
(65536, 32767, 12, 9999999.99, 12345.6789, 1e10, 'ab%', '2024-02-29', NULL)
"""


@functools.cache
def oracle() -> Oracle:
    return Oracle(COLUMNS, ROWS)


def numbers() -> st.SearchStrategy[str]:
    leaves = st.sampled_from(
        ["i", "j", "b", "d", "e", "f", "1", "0", "-2", "0.5", "2.75", "NULL::INTEGER", "1e0"]
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(_infix),
            inner.map(lambda x: f"(-{x})"),
            inner.map(lambda x: f"abs({x})"),
            inner.map(lambda x: f"round({x})"),
            st.tuples(inner, inner).map(lambda p: f"coalesce({p[0]}, {p[1]})"),
            st.tuples(booleans_of(inner), inner, inner).map(
                lambda p: f"CASE WHEN {p[0]} THEN {p[1]} ELSE {p[2]} END"
            ),
        ),
        max_leaves=5,
    )


def booleans_of(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.just("o"),
        st.tuples(inner, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), inner).map(_infix),
        inner.map(lambda x: f"({x} IS NULL)"),
    )


def conditions() -> st.SearchStrategy[str]:
    return st.recursive(
        booleans_of(numbers()),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(_infix),
            inner.map(lambda x: f"(NOT {x})"),
            st.tuples(inner, inner).map(lambda p: f"({p[0]} IS DISTINCT FROM {p[1]})"),
        ),
        max_leaves=4,
    )


def _infix(parts: tuple[str, str, str]) -> str:
    return "(" + " ".join(parts) + ")"


@settings(max_examples=120, deadline=None, derandomize=True)
@given(numbers())
def test_numbers(expression: str) -> None:
    oracle().check(expression)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(conditions())
def test_conditions(expression: str) -> None:
    oracle().check(expression, as_dictionary)


def test_duckdb_answers_most() -> None:
    """Comes last: expressions that both refuse are compared in nothing else."""
    tally = Tally()
    for expression, answer in oracle().answers.items():
        tally.add(expression, isinstance(answer, duckdb.Error))
    tally.check()
