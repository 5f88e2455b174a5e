"""Random questions about neurons: by every search and index, what running every input answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fuzz_neurons import Inputs, Network, Question, difference, inputs, networks, questions
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorsql

SOAK = 40 if os.environ.get("TENSORSQL_SOAK") == "1" else 1
WAYS = (
    ("use_indexes = true", "neuron_search = 'bound_first'", "morsel_size = 131072"),
    ("use_indexes = true", "neuron_search = 'nta'", "morsel_size = 7"),
    ("use_indexes = false", "neuron_search = 'bound_first'", "morsel_size = 131072"),
)


def check(
    con: tensorsql.Connection, question: Question, known: dict[str, Network], rows: Inputs
) -> None:
    """The answer is that of plain PyTorch, in every way."""
    network = known[question.model]
    expected, values = question.answer(network, rows), question.values(network, rows)
    for way in WAYS:
        for setting in way:
            con.execute(f"SET {setting}")
        found = con.execute(question.sql).fetchall()
        wrong = difference(question, found, expected, values)
        assert not wrong, f"{way}: {question.sql}\n{wrong}"
    con.execute("SET use_indexes = true")


@st.composite
def indexes(draw: st.DrawFn, known: dict[str, Network]) -> list[str]:
    """CREATE INDEX over some of the layers."""
    made = []
    for model, network in known.items():
        for layer in draw(st.lists(st.sampled_from(network.layers), unique=True, max_size=3)):
            parts, ratio = draw(st.integers(1, 9)), draw(st.sampled_from((0, 0.1, 0.5)))
            plain = f"partitions = {parts}, ratio = {ratio}"
            options = draw(st.sampled_from((plain, plain, "budget = 0.3", "budget = 1")))
            name = f"i{len(made)}"
            made.append(f"CREATE INDEX {name} ON t USING NPI ({model}, '{layer}') WITH ({options})")
    return made


def check_real(
    con: tensorsql.Connection, question: Question, known: dict[str, Network], rows: Inputs
) -> None:
    """With real weights: near what PyTorch says, and to the bit the same in every way."""
    network = known[question.model]
    expected, values = question.answer(network, rows), question.values(network, rows)
    answers = []
    for way in WAYS:
        for setting in way:
            con.execute(f"SET {setting}")
        answers.append(con.execute(question.sql).fetchall())
        wrong = difference(question, answers[-1], expected, values, slack=1e-4)
        assert not wrong, f"{way}: {question.sql}\n{wrong}"
        assert answers[-1] == answers[0], f"{way}: {question.sql}"
    con.execute("SET use_indexes = true")


@pytest.fixture(scope="module")
def con() -> Iterator[tensorsql.Connection]:
    connection = tensorsql.connect()
    yield connection
    connection.close()


def load(con: tensorsql.Connection, known: dict[str, Network], rows: Inputs) -> None:
    con.rollback()
    for model, network in known.items():
        con.register_model(model, network.module, replace=True, input=list(network.shape))
    rows.load(con)


def ask(
    con: tensorsql.Connection,
    data: st.DataObject,
    known: dict[str, Network],
    rows: Inputs,
    most: int,
) -> None:
    for question in data.draw(st.lists(questions(known, rows), min_size=1, max_size=most)):
        check(con, question, known, rows)


def change(con: tensorsql.Connection, data: st.DataObject, rows: Inputs) -> Inputs:
    """A random DELETE or UPDATE, in the database and in the model of it."""
    part = data.draw(st.sampled_from((2, 3, 5)))
    chosen = rows.ids % part == 1
    kind = data.draw(st.sampled_from(("delete", "halves", "values", "clear")))
    if kind == "delete":
        con.execute(f"DELETE FROM t WHERE id % {part} = 1")
        return rows.take(np.flatnonzero(~chosen))
    if kind == "halves":
        con.execute(f"UPDATE t SET half = 1 - half WHERE id % {part} = 1")
        return replace(rows, halves=np.where(chosen, 1 - rows.halves, rows.halves))
    if kind == "clear":
        con.execute(f"UPDATE t SET v = NULL WHERE id % {part} = 1")
        return replace(rows, missing=rows.missing | chosen)
    values = rows.values.copy()
    values[chosen] = values[0]
    first = f"(SELECT v FROM t WHERE id = {rows.ids[0]})"
    con.execute(f"UPDATE t SET v = {first} WHERE id % {part} = 1")
    return replace(rows, values=values, missing=np.where(chosen, rows.missing[0], rows.missing))


@settings(max_examples=30 * SOAK)
@given(st.data())
def test_random_questions(con: tensorsql.Connection, data: st.DataObject) -> None:
    """Fresh, after INSERT, DELETE and UPDATE, in a transaction, and after new weights."""
    network = data.draw(networks())
    known = {"m": network, "n": data.draw(networks(network))}
    rows = data.draw(inputs(network.shape))
    load(con, known, rows)
    for statement in data.draw(indexes(known)):
        con.execute(statement)
    ask(con, data, known, rows, 3)
    more = data.draw(inputs(network.shape, first=1000))
    more.insert(con)
    rows = rows.and_(more)
    ask(con, data, known, rows, 2)
    con.execute("BEGIN")
    changed = change(con, data, rows)
    ask(con, data, known, changed, 1)
    end = data.draw(st.sampled_from(("COMMIT", "ROLLBACK")))
    con.execute(end)
    rows = changed if end == "COMMIT" else rows
    known["m"] = data.draw(networks(network))
    con.register_model("m", known["m"].module, replace=True, input=list(network.shape))
    ask(con, data, known, rows, 2)


@settings(max_examples=15 * SOAK)
@given(st.data())
def test_real_weights(con: tensorsql.Connection, data: st.DataObject) -> None:
    known = {"m": data.draw(networks(whole=False))}
    rows = data.draw(inputs(known["m"].shape))
    load(con, known, rows)
    for statement in data.draw(indexes(known)):
        con.execute(statement)
    for question in data.draw(st.lists(questions(known, rows), min_size=1, max_size=5)):
        if question.neurons is None or not question.neurons.startswith("TOP"):
            check_real(con, question, known, rows)
