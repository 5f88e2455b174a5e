"""Neurons through SQL: plans, what the searches run, batches of questions, and errors."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tensorsql
from tensorsql import errors
from tensorsql.session_state import SessionServices

COUNT = 1500
LAYER_SIZE = 6


def network(seed: int) -> nn.Module:
    """Whole weights, so that activations are exact however they are added; neuron 5 is dead."""
    random = np.random.default_rng(seed)
    first, second = nn.Linear(4, LAYER_SIZE), nn.Linear(LAYER_SIZE, 3)
    with torch.no_grad():
        for part in (first, second):
            part.weight.copy_(torch.from_numpy(random.integers(-3, 4, part.weight.shape)))
            part.bias.copy_(torch.from_numpy(random.integers(-5, 6, part.bias.shape)))
        first.weight[5], first.bias[5] = 0, -1
    parts = OrderedDict(fc1=first, relu1=nn.ReLU(), fc2=second, relu2=nn.ReLU())
    return nn.Sequential(parts).eval()


NETS = {"net": network(1), "other": network(2)}
VALUES = np.random.default_rng(3).integers(-40, 41, (COUNT, 4)).astype(np.float32)
IDS = np.random.default_rng(4).permutation(COUNT * 2)[:COUNT]


def activations(model: str, layer: str) -> np.ndarray:
    kept: list[torch.Tensor] = []
    hook = (
        NETS[model]
        .get_submodule(layer)
        .register_forward_hook(lambda _m, _i, output: kept.append(output.clone()))
    )
    with torch.no_grad():
        NETS[model](torch.from_numpy(VALUES))
    hook.remove()
    return kept[0].double().numpy()


def nearest(
    model: str, layer: str, place: int, neurons: list[int], k: int
) -> list[tuple[int, Any]]:
    """(id, l1 distance) of the rows nearest to the one at `place`, ties by id."""
    values = activations(model, layer)[:, neurons]
    distance = np.abs(values - values[place]).sum(1)
    order = [row for row in np.lexsort((IDS, distance)) if row != place][:k]
    return [(int(IDS[row]), float(distance[row])) for row in order]


def similar(**given: object) -> str:
    arguments = {
        "data": "t",
        "model": "net",
        "layer": "'relu1'",
        "neurons": "[0, 3]",
        "input": int(IDS[17]),
        "k": 8,
        "dist": "'l1'",
        **given,
    }
    shown = ", ".join(f"{name} => {each}" for name, each in arguments.items() if each is not None)
    return f"SELECT input_id, distance FROM TOPK_SIMILAR({shown})"


@pytest.fixture
def con() -> Iterator[tensorsql.Connection]:
    connection = tensorsql.connect()
    connection.register("source", {"id": IDS.astype(np.int32), "v": VALUES, "half": IDS % 2})
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TENSOR(4), half INTEGER)")
    connection.execute("INSERT INTO t SELECT id, v, half FROM source")
    for name, module in NETS.items():
        connection.register_model(name, module, input=[4])
    yield connection
    connection.close()


def explained(con: tensorsql.Connection, sql: str, analyze: bool = False) -> str:
    word = "EXPLAIN ANALYZE" if analyze else "EXPLAIN"
    return " ".join(str(con.execute(f"{word} {sql}").fetchall()[0][0]).split())


def number(text: str, what: str) -> int:
    found = re.search(rf"{what} (-?\d+)", text)
    assert found is not None, text
    return int(found.group(1))


@pytest.mark.parametrize("search", ["bound_first", "nta"])
def test_few_inputs_are_run(con: tensorsql.Connection, search: str) -> None:
    con.execute("CREATE INDEX i ON t USING NPI (net, 'relu1') WITH (partitions = 32)")
    con.execute(f"SET neuron_search = '{search}'")
    # The index keeps its bounds, not what it ran: a new session's cache is empty.
    con.session.services = SessionServices(lambda: True)
    text = explained(con, similar(), analyze=True)
    assert "IndexTopN" in text and "using i" in text
    verified, rejected = number(text, "verified"), number(text, "rejected")
    assert verified + rejected == COUNT - 1 and number(text, "accepted") == 0
    assert verified < COUNT / 2
    assert number(text, "inferences") == verified + 1  # the target too
    again = explained(con, similar(), analyze=True)
    assert number(again, "inferences") == 0 and number(again, "verified") == verified
    assert con.execute(similar()).fetchall() == nearest("net", "relu1", 17, [0, 3], 8)


def test_without_an_index_everything_is_run(con: tensorsql.Connection) -> None:
    text = explained(con, similar(), analyze=True)
    assert "IndexTopN" not in text
    assert number(text, "inferences") == COUNT
    assert con.execute(similar()).fetchall() == nearest("net", "relu1", 17, [0, 3], 8)


def test_sources_that_keep_the_index(con: tensorsql.Connection) -> None:
    con.execute("CREATE INDEX i ON t USING NPI (net, 'relu1') WITH (partitions = 32)")
    con.execute("CREATE VIEW even AS SELECT id AS number, v AS image FROM t WHERE half = 0")
    con.execute("CREATE TABLE names AS SELECT id, 'n' || id AS name FROM t")
    kept = [pair for pair in nearest("net", "relu1", 17, [0, 3], COUNT) if pair[0] % 2 == 0][:8]
    for source, id in (
        ("(SELECT * FROM t WHERE half = 0)", None),
        ("even", "number"),
        ("(SELECT t.*, n.name FROM t JOIN names n ON n.id = t.id WHERE t.half = 0)", "id"),
        ("(WITH w AS (SELECT * FROM t WHERE half = 0) SELECT * FROM w)", "id"),
    ):
        sql = similar(data=source, id=id)
        assert "IndexTopN" in explained(con, sql), source
        assert con.execute(sql).fetchall() == kept, source


def test_provenance_lost_is_said(con: tensorsql.Connection) -> None:
    con.execute("CREATE INDEX i ON t USING NPI (net, 'relu1') WITH (partitions = 32)")
    both = "(SELECT * FROM t WHERE half = 0 UNION ALL SELECT * FROM t WHERE half = 1)"
    sql = (
        f"SELECT input_id FROM TOPK_HIGHEST(data => {both}, model => net, layer => 'relu1', "
        "k => 4, id => id)"
    )
    values = activations("net", "relu1").sum(1)
    best = np.lexsort((IDS, -values))[:4]
    assert con.execute(sql).fetchall() == [(int(IDS[row]),) for row in best]
    assert "no index: v does not come unchanged from a table" in explained(con, sql)


def test_batches_of_models_and_layers(con: tensorsql.Connection) -> None:
    """One statement that compares two models, and one that asks several layers."""
    con.execute("CREATE INDEX a ON t USING NPI (net, 'relu1') WITH (partitions = 16)")
    con.execute("CREATE INDEX b ON t USING NPI (other, 'relu1') WITH (budget = 0.5)")
    both = f"""SELECT a.input_id, a.distance, b.distance FROM ({similar(k=300)}) a
        JOIN ({similar(k=300, model="other")}) b USING (input_id) ORDER BY 1"""
    one, two = (dict(nearest(model, "relu1", 17, [0, 3], 300)) for model in NETS)
    expected = [(id, one[id], two[id]) for id in sorted(one.keys() & two.keys())]
    assert con.execute(both).fetchall() == expected
    assert explained(con, both).count("IndexTopN") == 2
    layers = " UNION ALL ".join(
        f"SELECT '{layer}', * FROM ({similar(layer=repr(layer), neurons='[0, 2]')})"
        for layer in ("fc1", "relu1", "relu2")
    )
    expected_rows = [
        (layer, *pair)
        for layer in ("fc1", "relu1", "relu2")
        for pair in nearest("net", layer, 17, [0, 2], 8)
    ]
    assert sorted(con.execute(layers).fetchall()) == sorted(expected_rows)


def test_inside_larger_queries(con: tensorsql.Connection) -> None:
    """Filters stay above the top k; ORDER BY, joins, aggregates and subqueries see its rows."""
    con.execute("CREATE INDEX i ON t USING NPI (net, 'relu1') WITH (partitions = 32)")
    best = nearest("net", "relu1", 17, [0, 3], 8)
    even = [pair for pair in best if pair[0] % 2 == 0]
    found = con.execute(f"SELECT * FROM ({similar()}) WHERE input_id % 2 = 0").fetchall()
    assert found == even
    limit = best[4][1]
    near = con.execute(f"SELECT COUNT(*) FROM ({similar()}) WHERE distance <= {limit}").fetchall()
    assert near == [(sum(distance <= limit for _, distance in best),)]
    farthest = con.execute(f"{similar()} t ORDER BY distance DESC, input_id LIMIT 3").fetchall()
    assert farthest == sorted(best, key=lambda pair: (-pair[1], pair[0]))[:3]
    halves = con.execute(
        f"""SELECT half, COUNT(*), MAX(s.distance) FROM ({similar()}) s JOIN t ON t.id = s.input_id
        GROUP BY half ORDER BY half"""
    ).fetchall()
    odd = [pair for pair in best if pair[0] % 2 == 1]
    expected = [(h, len(p), max(d for _, d in p)) for h, p in ((0, even), (1, odd)) if p]
    assert halves == expected
    inside = f"SELECT id FROM t WHERE id IN (SELECT input_id FROM ({similar()})) ORDER BY id"
    assert con.execute(inside).fetchall() == sorted((id,) for id, _ in best)


def test_parameters(con: tensorsql.Connection) -> None:
    sql = similar(input="?", k="?", neurons="?")
    given = ([0, 3], int(IDS[17]), 8)
    assert con.execute(sql, given).fetchall() == nearest("net", "relu1", 17, [0, 3], 8)


def test_replaced_weights(con: tensorsql.Connection) -> None:
    """The index of the old weights is never used again, the answer is of the new ones."""
    con.execute("CREATE INDEX i ON t USING NPI (net, 'relu1') WITH (partitions = 32)")
    old = con.execute(similar()).fetchall()
    con.register_model("net", NETS["other"], replace=True, input=[4])
    new = nearest("other", "relu1", 17, [0, 3], 8)
    assert old != new and con.execute(similar()).fetchall() == new
    assert "no index: i is of other weights of model net" in explained(con, similar())
    con.execute("INSERT INTO t SELECT id + 100000, v, half FROM t WHERE id < 9")
    con.execute("CREATE OR REPLACE INDEX i ON t USING NPI (net, 'relu1') WITH (partitions = 32)")
    assert "using i" in explained(con, similar())
    found = con.execute(similar(data="(SELECT * FROM t WHERE id < 100000)")).fetchall()
    assert found == new
    con.register_model("net", NETS["net"], replace=True, input=[4])
    assert con.execute(similar(data="(SELECT * FROM t WHERE id < 100000)")).fetchall() == old


def test_weights_changed_in_place_are_not_seen(con: tensorsql.Connection) -> None:
    module = network(1)
    con.register_model("mine", module, input=[4])
    with torch.no_grad():
        module.get_parameter("fc1.weight").zero_()
    assert con.execute(similar(model="mine")).fetchall() == nearest("net", "relu1", 17, [0, 3], 8)
    assert module.get_parameter("fc1.weight").requires_grad


def test_kept_on_disk(tmp_path: Path) -> None:
    """Table, model file and index of a persistent database answer the same after reopening."""
    path, file = str(tmp_path / "kept.tsql"), tmp_path / "net.pt2"
    program = torch.export.export(
        NETS["net"],
        (torch.zeros(4, 4),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        strict=False,
    )
    torch.export.save(program, file)
    with tensorsql.connect(path) as con:
        con.register("source", {"id": IDS.astype(np.int32), "v": VALUES})
        con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TENSOR(4))")
        con.execute("INSERT INTO t SELECT id, v FROM source")
        con.execute(f"CREATE MODEL net FROM '{file}'")
        con.execute("CREATE INDEX i ON t USING NPI (net, 'relu1') WITH (partitions = 32)")
        con.execute("DELETE FROM t WHERE id % 5 = 2")
    file.unlink()
    kept = [pair for pair in nearest("net", "relu1", 17, [0, 3], COUNT) if pair[0] % 5 != 2][:8]
    if int(IDS[17]) % 5 == 2:
        pytest.fail("the target was deleted; choose another")
    with tensorsql.connect(path) as con:
        assert "using i" in explained(con, similar())
        assert con.execute(similar()).fetchall() == kept


SIMILAR_ERRORS = [
    ({"model": "nett"}, 'model "nett" not found; did you mean "net"?'),
    ({"layer": "'relu3'"}, 'model "net" has no layer "relu3"; did you mean "relu2" or "relu1"?'),
    (
        {"layer": "['fc1', 'relu1']"},
        "layer of topk_similar is a module path in quotes, such as 'fc1'",
    ),
    ({"layer": "NULL"}, "layer of topk_similar is a module path in quotes, such as 'fc1'"),
    ({"neurons": "[6]"}, "neuron 6 does not exist; the layer's neurons are 0 … 5"),
    ({"neurons": "[1, 1]"}, "neuron 1 is listed twice"),
    ({"neurons": "[]"}, "neurons needs at least one neuron"),
    ({"neurons": "[NULL]"}, "neurons takes whole numbers, not NULL"),
    ({"neurons": "'x'"}, "neurons takes whole numbers, not 'x'"),
    ({"neurons": "RANGE(2, 2)"}, "neurons needs at least one neuron"),
    (
        {"neurons": "RANGE(0, 999999999999)"},
        "neuron 999999999998 does not exist; the layer's neurons are 0 … 5",
    ),
    ({"neurons": "CHANNEL(0)"}, "CHANNEL is for layers of shape [C, H, W]; this one is [6]"),
    ({"neurons": "TOP_NEURONS(0)"}, "TOP_NEURONS takes a number from 1 to 6, not 0"),
    ({"neurons": "TOP_NEURON(2)"}, "neurons cannot be top_neuron(…); did you mean"),
    ({"input": 99999}, "input 99999 not found: no row of t has id = 99999"),
    ({"input": "'x'"}, "input 'x' not found: id \"id\" is INTEGER"),
    ({"input": "3.5"}, 'input 3.5 not found: id "id" is INTEGER'),
    ({"input": "NULL"}, "input of topk_similar is NULL; it names the row to compare with"),
    ({"input": "idd"}, 'column "idd" not found'),
    ({"k": 0}, "k of topk_similar is a whole number of at least 1, not 0"),
    ({"k": "NULL"}, "k of topk_similar is a whole number of at least 1, not NULL"),
    ({"k": "2.5"}, "k of topk_similar is a whole number of at least 1, not 2.5"),
    ({"k": "'many'"}, "k of topk_similar is a whole number of at least 1, not 'many'"),
    ({"k": None}, "topk_similar needs k => …"),
    ({"dist": "'l3'"}, "dist of topk_similar is one of l1, l2, linf, cosine, not 'l3'"),
    ({"dist": "NULL"}, "dist of topk_similar is one of l1, l2, linf, cosine, not NULL"),
    ({"weights": "[1.0]"}, "there are 1 weights for 2 neurons"),
    (
        {"weights": "[1.0, -1.0]"},
        "weights of topk_similar is a list of numbers above 0, one for each neuron",
    ),
    ({"include_target": "1"}, "include_target of topk_similar is true or false, not 1"),
    ({"score": "'sum'"}, 'topk_similar has no argument "score"; there is'),
    ({"image": "half"}, '"half" is INTEGER; image needs a TENSOR column'),
    ({"id": "half"}, "input"),
    ({"data": "tt"}, 'table "tt" not found; did you mean "t"?'),
    ({"data": "(SELECT id FROM t)"}, 'data has no TENSOR column; there is "id"'),
]


def test_errors_of_questions(con: tensorsql.Connection) -> None:
    for arguments, message in SIMILAR_ERRORS:
        with pytest.raises(errors.ProgrammingError) as caught:
            con.execute(similar(**arguments)).fetchall()
        assert caught.value.message.startswith(message), arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "score => 'median'",
            "score of topk_highest is one of sum, mean, min, max, l2, not 'median'",
        ),
        ("input => 3", 'topk_highest has no argument "input"; there is'),
        ("neurons => TOP_NEURONS(2)", "neurons cannot be top_neurons(…)"),
        ("neurons => [6]", "neuron 6 does not exist; the layer's neurons are 0 … 5"),
    ],
)
def test_errors_of_topk_highest(con: tensorsql.Connection, arguments: str, message: str) -> None:
    with pytest.raises(errors.BindError) as caught:
        con.execute(
            "SELECT * FROM TOPK_HIGHEST(data => t, model => net, layer => 'relu1', "
            f"k => 2, {arguments})"
        )
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("NPI (net)", "an NPI index takes a model and a layer, as in USING NPI (cnn, 'fc1')"),
        ("NPI (nett, 'relu1')", 'model "nett" not found; did you mean "net"?'),
        ("NPI (net, 'relu9')", 'model "net" has no layer "relu9"; did you mean'),
        (
            "NPI (net, 'relu1') WITH (partitions = 0)",
            "option partitions of an NPI index is a whole number from 1 to 32768, not 0",
        ),
        (
            "NPI (net, 'relu1') WITH (partitions = 'x')",
            "option partitions of an NPI index is a whole number from 1 to 32768, not 'x'",
        ),
        (
            "NPI (net, 'relu1') WITH (ratio = 2)",
            "option ratio of an NPI index is a number from 0 to 1, not 2",
        ),
        (
            "NPI (net, 'relu1') WITH (budget = 0)",
            "option budget of an NPI index is a number above 0, at most 1, not 0",
        ),
        (
            "NPI (net, 'relu1') WITH (budget = 0.2, partitions = 3)",
            "give an NPI index a budget, or partitions and ratio, not both",
        ),
        ("NPI (net, 'relu1') WITH (cell = 3)", 'an NPI index has no option "cell"; there is'),
        ("NPI (net, 'relu1') WITH (image = w)", '"w" is no TENSOR column of t; there is "v"'),
        ("NPY (net, 'relu1')", 'index method "npy" not found; did you mean "NPI"?'),
    ],
)
def test_errors_of_indexes(con: tensorsql.Connection, index: str, message: str) -> None:
    with pytest.raises(errors.ProgrammingError) as caught:
        con.execute(f"CREATE INDEX i ON t USING {index}")
    assert caught.value.message.startswith(message)
    assert con.execute("SHOW INDEXES").fetchall() == []


def test_an_index_is_made_once(con: tensorsql.Connection) -> None:
    con.execute("CREATE INDEX i ON t USING NPI (net, 'relu1') WITH (partitions = 4)")
    with pytest.raises(errors.CatalogError, match='index "i" already exists'):
        con.execute("CREATE INDEX i ON t USING NPI (net, 'fc1')")
    con.execute("DROP MODEL net")
    con.execute("INSERT INTO t SELECT id + 100000, v, half FROM t WHERE id < 9")
    con.register_model("net", NETS["net"], input=[4])
    found = con.execute(similar(data="(SELECT * FROM t WHERE id < 100000)")).fetchall()
    assert found == nearest("net", "relu1", 17, [0, 3], 8)
