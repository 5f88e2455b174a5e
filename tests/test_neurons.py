"""Neuron queries in SQL against running everything: searches, filters, ties, changes, errors.

The model is the identity, so a layer's activations are the stored vectors.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tensorsql import errors
from tensorsql.operators.models import register_module
from tensorsql.session import Session
from tensorsql.storage.tables.database import Database

SEARCHES = ("bound_first", "nta")


def identity(width: int, shape: list[int] | None = None) -> nn.Module:
    return nn.Sequential(OrderedDict(acts=nn.Identity(), out=nn.Flatten()))


def session_over(values: np.ndarray, folder: Path, database: str = ":memory:") -> Session:
    """Table t(id, v, half) with one row per vector, and the model m over them."""
    session = Session(Database.open(database))
    path = folder / "values.npy"
    np.save(path, values.astype(np.float32))
    session.execute(
        "CREATE TABLE t AS SELECT index::INTEGER AS id, value AS v, index % 2 AS half"
        f" FROM read_npy('{path}')"
    )
    entry = register_module("m", identity(values.shape[1]), {"input": list(values.shape[1:])})
    with session.open_transaction() as transaction:
        transaction.put_model(entry)
    return session


def rows(session: Session, sql: str) -> list[tuple[object, ...]]:
    table = session.execute(sql).arrow()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def notes(session: Session, sql: str) -> str:
    return str(rows(session, "EXPLAIN ANALYZE " + sql)[0][0])


def similar(**given: object) -> str:
    """A TOPK_SIMILAR query with defaults for what is not given."""
    arguments = {"data": "t", "model": "m", "layer": "'acts'", "id": "id", "k": 3, **given}
    shown = ", ".join(
        f"{name} => {value}" for name, value in arguments.items() if value is not None
    )
    return f"SELECT * FROM TOPK_SIMILAR({shown})"


def distances(values: np.ndarray, target: int, dist: str) -> np.ndarray:
    wide = values.astype(np.float64)
    difference = np.abs(wide - wide[target])
    match dist:
        case "l1":
            return difference.sum(1)
        case "l2":
            return np.sqrt((difference**2).sum(1))
        case "linf":
            return difference.max(1)
    norms = np.sqrt((wide**2).sum(1))
    both = norms * norms[target]
    cosine = np.divide(wide @ wide[target], both, out=np.zeros(len(wide)), where=both > 0)
    zero = (norms == 0) == (norms[target] == 0)
    return np.where(both > 0, 1 - np.clip(cosine, -1, 1), np.where(zero, 0, 1))


def best(values: np.ndarray, k: int, keep: np.ndarray, descending: bool = False) -> list[int]:
    keys = -values if descending else values
    order = sorted(np.flatnonzero(keep), key=lambda row: (keys[row], row))
    return [int(row) for row in order[:k]]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Session]:
    values = [
        [2, 2, 2],
        [2, 1.6, 1],
        [1.5, 1.8, 1.6],
        [1.8, 1.7, 1.8],
        [1.2, 1.2, 1.1],
        [1.1, 1.1, 1.2],
    ]
    session = session_over(np.array(values), tmp_path)
    session.execute("CREATE INDEX i ON t USING NPI (m, 'acts') WITH (partitions = 3)")
    yield session
    session.close()


@pytest.mark.parametrize("search", SEARCHES)
def test_the_published_example(example: Session, search: str) -> None:
    example.execute(f"SET neuron_search = '{search}'")
    found = rows(example, similar(input=5, k=2, dist="'l1'"))
    assert [row[0] for row in found] == [4, 2] and [row[2] for row in found] == [1, 2]
    assert [row[1] for row in found] == pytest.approx([0.3, 1.5])
    assert "IndexTopN" in rows(example, "EXPLAIN " + similar(input=5))[0][0]


def test_nta_never_runs_x0(example: Session) -> None:
    example.execute("SET neuron_search = 'nta'")
    assert "verified 4" in notes(example, similar(input=5, k=2, dist="'l1'"))


VALUES = [0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 2.0, -1.5]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_every_search_equals_running_everything(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 3)))
    cells = data.draw(
        st.lists(
            st.sampled_from(VALUES), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]
        )
    )
    values = np.array(cells, np.float32).reshape(shape)
    session = session_over(values, tmp_path_factory.mktemp("neurons"))
    target = data.draw(st.integers(0, shape[0] - 1))
    k = data.draw(st.integers(1, 50))
    dist = data.draw(st.sampled_from(["l1", "l2", "linf"]))
    score = data.draw(st.sampled_from(["sum", "min", "max"]))
    source = data.draw(st.sampled_from(["t", "(SELECT * FROM t WHERE half = 0)"]))
    keep = np.ones(len(values), bool) if source == "t" else np.arange(len(values)) % 2 == 0
    near = best(distances(values, target, dist), k, keep & (np.arange(len(values)) != target))
    scores = {"sum": values.sum(1), "min": values.min(1), "max": values.max(1)}[score]
    high = best(scores, k, keep, descending=True)
    partitions, ratio = data.draw(st.integers(1, 9)), data.draw(st.sampled_from([0, 0.2]))
    ask_near = similar(data=source, input=target, k=k, dist=f"'{dist}'")
    ask_high = (
        f"SELECT * FROM TOPK_HIGHEST(data => {source}, model => m, layer => 'acts', id => id,"
        f" k => {k}, score => '{score}')"
    )
    for search in ("", *SEARCHES):
        if search == SEARCHES[0]:
            session.execute(
                "CREATE INDEX i ON t USING NPI (m, 'acts')"
                f" WITH (partitions = {partitions}, ratio = {ratio})"
            )
        if search:
            session.execute(f"SET neuron_search = '{search}'")
        assert [row[0] for row in rows(session, ask_near)] == near
        assert [row[0] for row in rows(session, ask_high)] == high
    session.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Session]:
    values = np.random.default_rng(5).choice(VALUES, (300, 3)).astype(np.float32)
    values[7] = 0
    session = session_over(values, tmp_path)
    session.execute("CREATE INDEX i ON t USING NPI (m, 'acts') WITH (partitions = 8)")
    session.values = values  # type: ignore[attr-defined]
    yield session
    session.close()


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("target", [7, 11])
def test_cosine_runs_bound_first(plain: Session, search: str, target: int) -> None:
    plain.execute(f"SET neuron_search = '{search}'")
    values: np.ndarray = plain.values  # type: ignore[attr-defined]
    found = rows(plain, similar(input=target, k=300, dist="'cosine'"))
    wanted = distances(values, target, "cosine")
    assert sorted(row[0] for row in found) == [row for row in range(300) if row != target]
    assert [row[1] for row in found] == pytest.approx([wanted[row[0]] for row in found], abs=1e-9)
    plain.execute("SET use_indexes = false")
    assert rows(plain, similar(input=target, k=9, dist="'cosine'")) == found[:9]


@pytest.mark.parametrize("search", SEARCHES)
def test_changes_after_the_index(plain: Session, search: str) -> None:
    """New rows are in no block and deleted ones are never returned; answers stay exact."""
    plain.execute(f"SET neuron_search = '{search}'")
    plain.execute("INSERT INTO t SELECT id + 1000, v, half FROM t WHERE id < 20")
    plain.execute("DELETE FROM t WHERE id IN (2, 3, 5)")
    asked = [similar(input=11, k=k, neurons="[0, 2]") for k in (1, 9, 400)]
    with_index = [rows(plain, sql) for sql in asked]
    plain.execute("SET use_indexes = false")
    assert [rows(plain, sql) for sql in asked] == with_index
    assert len(with_index[2]) == 316
    assert any(row[0] == 1011 and row[1] == 0 for row in with_index[1])


def test_sources(plain: Session) -> None:
    """Views, subqueries, renamed columns and joins; a target that `data` leaves out is found."""
    plain.execute("CREATE VIEW odd AS SELECT id AS number, v AS image FROM t WHERE half = 1")
    wanted = rows(plain, similar(data="(SELECT * FROM t WHERE half = 1)", input=10))
    assert rows(plain, similar(data="odd", input=10, id="number")) == wanted
    assert all(row[0] % 2 == 1 for row in wanted)
    joined = "(SELECT t.id, t.v FROM t JOIN (SELECT 1 AS half) h ON t.half = h.half)"
    assert rows(plain, similar(data=joined, input=10)) == wanted
    assert "IndexTopN" in rows(plain, "EXPLAIN " + similar(data="odd", input=10, id="number"))[0][0]


def test_ids(plain: Session) -> None:
    """The primary key names rows, also through a subquery that hides it."""
    found = rows(plain, similar(input=11))
    plain.execute("CREATE TABLE keyed (id INTEGER PRIMARY KEY, v TENSOR(3))")
    plain.execute("INSERT INTO keyed SELECT id * 10, v FROM t")
    keyed = [(row[0] * 10, *row[1:]) for row in found]  # type: ignore[operator]
    assert rows(plain, similar(data="keyed", input=110, id=None)) == keyed
    assert rows(plain, similar(data="(SELECT v FROM keyed)", input=110, id=None)) == keyed


UNIQUE = {
    "a INTEGER UNIQUE NOT NULL, b INTEGER UNIQUE": "a",
    "a INTEGER UNIQUE, b INTEGER NOT NULL UNIQUE": "b",
    "b INTEGER UNIQUE NOT NULL, a INTEGER, PRIMARY KEY (a)": "a",
    "a INTEGER UNIQUE NOT NULL, b INTEGER NOT NULL, UNIQUE (a, b)": "a",
    "a INTEGER UNIQUE NOT NULL, b INTEGER UNIQUE NOT NULL": None,
    "a INTEGER UNIQUE, b INTEGER": None,
    "a INTEGER NOT NULL, b INTEGER": None,
    "a INTEGER, b INTEGER, PRIMARY KEY (a, b)": None,
}


def calls(data: str, input: int, id: str | None) -> list[str]:
    """Every function that returns ids."""
    also = "" if id is None else f", id => {id}"
    highest = f"TOPK_HIGHEST(data => {data}, model => m, layer => 'acts', k => 5{also})"
    activations = f"ACTIVATIONS(data => {data}, model => m, layer => 'acts', neurons => [0]{also})"
    return [
        similar(data=data, input=input, id=id),
        f"SELECT * FROM {highest}",
        f"SELECT input_id, activation FROM {activations} ORDER BY ALL",
    ]


@pytest.mark.parametrize("columns", UNIQUE)
def test_ids_are_never_made_up(plain: Session, columns: str) -> None:
    """The primary key or the one UNIQUE NOT NULL column, else the message says what to write."""
    key = UNIQUE[columns]
    plain.execute(f"CREATE TABLE u ({columns}, v TENSOR(3))")
    plain.execute("INSERT INTO u BY NAME SELECT id + 7 AS a, 9000 - id AS b, v FROM t")
    one = "a" if key is None else key
    ((input,),) = rows(plain, f"SELECT {one} FROM u WHERE a = 18")
    assert isinstance(input, int)
    named = calls("u", input, one)
    plain.execute("CREATE VIEW w AS SELECT v FROM u")
    for data in ("u", "w", "(SELECT v FROM u WHERE a > 0)"):
        for implied, explicit in zip(calls(data, input, None), named, strict=True):
            if key is not None:
                assert rows(plain, implied) == rows(plain, explicit)
                continue
            with pytest.raises(errors.BindError, match=r"id => .*, or id => rowid"):
                plain.execute(implied)


def test_row_numbers_on_request(plain: Session) -> None:
    """`id => rowid` names the table's own rows, whichever way the row number comes."""
    plain.execute("CREATE TABLE u AS SELECT id + 7 AS a, v FROM t")
    ((input,),) = rows(plain, "SELECT rowid FROM u WHERE a = 18")
    assert isinstance(input, int)
    named = dict(rows(plain, "SELECT a, rowid FROM u"))
    sources = [("u", "rowid"), ("(SELECT v, rowid FROM u)", "rowid"), ("u AS x", "ROWID")]
    for data, id in [*sources, ("(SELECT v, rowid AS r FROM u)", "r")]:
        for by_row, by_column in zip(calls(data, input, id), calls("u", 18, "a"), strict=True):
            expected = [(named[row[0]], *row[1:]) for row in rows(plain, by_column)]
            assert rows(plain, by_row) == expected, by_row
    found = plain.execute(similar(data="u", input=input, id="?"), ("rowid",)).arrow()
    assert found.column("input_id").to_pylist() == [
        named[row[0]] for row in rows(plain, similar(data="u", input=18, id="a"))
    ]


@pytest.mark.parametrize("data", ["objects", "read_npy('{path}')", "(SELECT v FROM objects)"])
def test_files_and_objects_have_no_ids(plain: Session, tmp_path: Path, data: str) -> None:
    values: np.ndarray = plain.values  # type: ignore[attr-defined]
    from tensorsql.storage.formats.objects import relation

    plain.registered["objects"] = relation("objects", {"v": values, "number": range(len(values))})
    np.save(tmp_path / "v.npy", values)
    for call in calls(data.format(path=tmp_path / "v.npy"), 11, None):
        with pytest.raises(errors.BindError, match=r"id => …\n"):
            plain.execute(call)
    for call in calls(data.format(path=tmp_path / "v.npy"), 11, "rowid"):
        with pytest.raises(errors.BindError, match='no column "rowid"'):
            plain.execute(call)


def test_options(plain: Session) -> None:
    values: np.ndarray = plain.values  # type: ignore[attr-defined]
    kept = rows(plain, similar(input=11, k=1, include_target="true"))
    assert kept[0][1] == 0
    weighted = rows(
        plain, similar(input=11, k=1, neurons="[2, 0]", weights="[2.0, 0.5]", dist="'l1'")
    )
    row = weighted[0][0]
    assert isinstance(row, int)
    difference = np.abs(values - values[11])[row]
    assert weighted[0][1] == pytest.approx(2 * difference[2] + 0.5 * difference[0])
    top = np.argsort(-values[11], kind="stable")[:2].tolist()
    assert rows(plain, similar(input=11, neurons="TOP_NEURONS(2)")) == rows(
        plain, similar(input=11, neurons=str(top))
    )
    assert rows(plain, similar(input=11, neurons="RANGE(0, 2)")) == rows(
        plain, similar(input=11, neurons="[0, 1]")
    )


def test_parameters(plain: Session) -> None:
    sql = similar(input="?", k="?", neurons="?")
    found = plain.execute(sql, (4, 11, [0, 2])).arrow().column("input_id").to_pylist()
    assert found == [row[0] for row in rows(plain, similar(input=11, k=4, neurons="[0, 2]"))]


def test_a_correlated_query_and_a_shared_one(plain: Session) -> None:
    """A top-k table joins like any other, also twice and from a CTE."""
    sql = f"WITH near AS ({similar(input=11)}) SELECT a.input_id, b.rank FROM near a JOIN near b"
    wanted = [(row[0], row[2]) for row in rows(plain, similar(input=11))]
    assert rows(plain, sql + " ON a.input_id = b.input_id ORDER BY b.rank") == wanted
    near = f"(SELECT 1 FROM ({similar(input=11)}) n WHERE n.input_id = t.id)"
    exists = f"SELECT id FROM t WHERE EXISTS {near}"
    assert sorted(rows(plain, exists)) == sorted((row[0],) for row in wanted)


def test_channel_and_position(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(size=(30, 2, 3, 4)).astype(np.float32)
    session = session_over(values, tmp_path)
    for group, chosen in (("CHANNEL(1)", values[:, 1]), ("POSITION(2, 3)", values[:, :, 2, 3])):
        found = rows(session, similar(input=4, neurons=group, k=5))
        wanted = distances(chosen.reshape(30, -1), 4, "l2")
        assert [row[0] for row in found] == best(wanted, 5, np.arange(30) != 4)
    for wrong in ("CHANNEL(2)", "POSITION(3, 0)", "CHANNEL(1, 2)", "LAYER(3)"):
        with pytest.raises(errors.BindError):
            session.execute(similar(input=4, neurons=wrong))
    session.close()


def test_activations(plain: Session) -> None:
    values: np.ndarray = plain.values  # type: ignore[attr-defined]
    call = "ACTIVATIONS(data => t, model => m, layer => 'acts', id => id{})"
    found = rows(plain, f"SELECT * FROM {call.format('')} ORDER BY input_id, neuron_id")
    assert len(found) == 900 and found[4] == (1, 1, float(values[1, 1]))
    some = rows(plain, f"SELECT * FROM {call.format(', neurons => [2, 0]')} WHERE input_id = 9")
    assert sorted(some) == [(9, 0, float(values[9, 0])), (9, 2, float(values[9, 2]))]
    means = rows(
        plain, f"SELECT neuron_id, AVG(activation) FROM {call.format('')} GROUP BY ALL ORDER BY 1"
    )
    assert [row[1] for row in means] == pytest.approx(values.mean(0).tolist(), abs=1e-6)


def test_no_rows_and_nulls(plain: Session) -> None:
    assert rows(plain, similar(data="(SELECT * FROM t WHERE id > 999)", input=3)) == []
    plain.execute("INSERT INTO t VALUES (500, NULL, 0)")
    found = rows(plain, similar(input=3, k=1000))
    assert len(found) == 299 and 500 not in [row[0] for row in found]
    with pytest.raises(errors.BindError, match="input 500 of t is NULL"):
        rows(plain, similar(input=500))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": "'actz'"}, 'no layer "actz"; did you mean "acts"'),
        ({"model": "mm"}, 'model "mm" not found; did you mean "m"'),
        ({"neurons": "[3]"}, "neuron 3 does not exist; the layer's neurons are 0 … 2"),
        ({"neurons": "[-1]"}, "neuron -1 does not exist"),
        ({"neurons": "[1, 1]"}, "neuron 1 is listed twice"),
        ({"neurons": "[]"}, "at least one neuron"),
        ({"neurons": "[0.5]"}, "whole numbers"),
        ({"neurons": "TOP_NEURONS(4)"}, "from 1 to 3"),
        ({"k": "NULL"}, "k of topk_similar is a whole number of at least 1, not NULL"),
        ({"k": 0}, "not 0"),
        ({"k": None}, "needs k"),
        ({"input": "NULL"}, "input of topk_similar is NULL"),
        ({"input": 12345}, "input 12345 not found: no row of t has id = 12345"),
        ({"id": "half", "input": 0}, "input 0 is ambiguous: 150 rows"),
        ({"id": "ident"}, 'no column "ident"; there is "half", "id", "v"'),
        ({"image": "half"}, "needs a TENSOR column"),
        ({"dist": "'l3'"}, "dist of topk_similar is one of l1, l2, linf, cosine"),
        ({"weights": "[1.0]", "neurons": "[0, 1]"}, "1 weights for 2 neurons"),
        ({"weights": "[0.0]", "neurons": "[0]"}, "above 0"),
        ({"layers": "'acts'"}, 'no argument "layers"; did you mean "layer"'),
        ({"data": "(SELECT id FROM t)"}, "no TENSOR column"),
        ({"data": "(SELECT id, v, v AS w FROM t)"}, "several TENSOR columns"),
        ({"data": "nowhere"}, '"nowhere" not found'),
    ],
)
def test_errors(plain: Session, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(errors.Error) as caught:
        plain.execute(similar(**{"input": 3, **arguments}))
    assert message in caught.value.message


def test_index_errors(plain: Session) -> None:
    for sql, message in (
        ("NPI (m, 'actz')", 'no layer "actz"'),
        ("NPI (mm, 'acts')", 'model "mm" not found'),
        ("NPI (m)", "a model and a layer"),
        ("NPI (m, 'acts') WITH (partition = 3)", 'no option "partition"'),
        ("NPI (m, 'acts') WITH (image = 'half')", "no TENSOR column"),
    ):
        with pytest.raises(errors.Error) as caught:
            plain.execute(f"CREATE INDEX other ON t USING {sql}")
        assert message in caught.value.message
    assert len(rows(plain, "SHOW INDEXES")) == 1


def test_an_index_of_replaced_weights_is_never_used(plain: Session) -> None:
    assert "IndexTopN" in str(rows(plain, "EXPLAIN " + similar(input=3)))
    module = nn.Sequential(OrderedDict(acts=nn.Linear(3, 3), out=nn.Flatten()))
    with plain.open_transaction() as transaction:
        transaction.put_model(register_module("m", module, {}))
    text = str(rows(plain, "EXPLAIN " + similar(input=3)))
    assert "IndexTopN" not in text and "no index: i is of other weights of model m" in text
    assert len(rows(plain, similar(input=3))) == 3


def test_explain_says_why_there_is_no_index(plain: Session) -> None:
    for sql, reason in (
        (similar(input=3, layer="'out'"), "no NPI index of t covers it"),
        (similar(input=3, data="u"), "u has no NPI index"),
        (
            "SELECT * FROM TOPK_HIGHEST("
            "data => (SELECT id, v FROM t UNION ALL SELECT id, v FROM t),"
            " model => m, layer => 'acts', id => id, k => 3)",
            "v does not come unchanged from a table",
        ),
    ):
        plain.execute("CREATE OR REPLACE TABLE u AS SELECT * FROM t")
        assert f"(no index: {reason})" in str(rows(plain, "EXPLAIN " + sql))
        assert len(rows(plain, sql)) == 3


def test_a_database_keeps_model_and_index(tmp_path: Path) -> None:
    images = Path(__file__).parent.parent / "examples"
    folder = str(tmp_path / "kept.tsql")
    session = Session(Database.open(folder))
    copy = tmp_path / "net.pt2"
    copy.write_bytes((images / "fashion.pt2").read_bytes())
    session.execute(f"CREATE MODEL cnn FROM '{copy}' WITH (scale = 255)")
    session.execute(
        "CREATE TABLE d AS SELECT index AS id, value AS image FROM"
        f" read_npy('{images / 'images.npy'}') WHERE index < 300"
    )
    session.execute("CREATE INDEX i ON d USING NPI (cnn, 'relu3') WITH (partitions = 16)")
    sql = similar(data="d", model="cnn", layer="'relu3'", neurons="TOP_NEURONS(3)", input=5, k=4)
    before = rows(session, sql)
    session.close()
    copy.unlink()
    again = Session(Database.open(folder))
    assert "IndexTopN" in str(rows(again, "EXPLAIN " + sql))
    assert rows(again, sql) == before
    again.execute("SET use_indexes = false")
    assert rows(again, sql) == before
    again.close()
