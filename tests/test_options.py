"""WITH options: each is kept as given or refused by name, type and range before any work begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tensorsql
from tensorsql import errors
from tensorsql.operators.models.inference import Inference
from tensorsql.operators.models.load import FORMATS
from tensorsql.operators.models.options import EVERY_MODEL, OPTIONS, checked_options


@pytest.fixture
def con(tmp_path: Path) -> Iterator[tensorsql.Connection]:
    """A database in a folder: what cannot be kept in a file shows here alone."""
    torch.manual_seed(1)
    with tensorsql.connect(str(tmp_path / "d.tsql")) as connection:
        values = np.random.default_rng(1).random((300, 4), dtype=np.float32)
        connection.register("f", {"id": np.arange(300), "v": values})
        connection.register_masks("maps", np.ones((3, 8, 8), np.float32), {"id": np.arange(3)})
        connection.execute("CREATE TABLE t AS SELECT * FROM f")
        connection.execute("CREATE TABLE m AS SELECT id, mask FROM maps")
        module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        connection.register_model("net", module)
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(
            module.eval(), (torch.zeros(4, 4),), dynamic_shapes=shapes, strict=False
        )
        torch.export.save(program, tmp_path / "net.pt2")
        yield connection


NPI = "CREATE INDEX i ON t USING NPI (net, '1') WITH ({})"
CHI = "CREATE INDEX i ON m USING CHI (mask) WITH ({})"
MODEL = "CREATE MODEL file FROM '{path}' WITH ({})"
GOOD = {
    NPI: [
        "budget = 0.2",
        "budget = 1",
        "budget = 1e-3",
        "partitions = 8, ratio = 0.25",
        "ratio = 0",
    ],
    CHI: ["cell = 4", "bins = 7, cell = 0"],
    MODEL: [
        "scale = 255",
        "scale = 127.5",
        "input = [4]",
        "output = 'raw'",
        "labels = ['a', 'b', 'c']",
    ],
}
BAD = {
    NPI: [
        *("budget = 0", "budget = 1000000", "budget = -0.5", "budget = 'NaN'::DOUBLE"),
        *("budget = '0.2'", "budget = true", "budget = NULL", "budget = [0.2]", "budgte = 0.2"),
        *("partitions = 0", "partitions = 2.5", "partitions = 40000", "partitions = true"),
        *("ratio = 1.5", "ratio = -1", "image = 7", "image = nothing", "blocks = 3"),
        *("budget = 0.2, ratio = 0.1", "weights_hash = 'x'"),
    ],
    CHI: ["cell = -1", "cell = 2.5", "bins = 0", "bins = true", "bins = 'many'", "blocks = 3"],
    MODEL: [
        *("scale = 0", "scale = true", "scale = '255'", "scale = NULL", "scale = 1e400"),
        *("input = 4", "input = [4.5]", "input = []", "input = [0]", "input = '4'"),
        *("output = 'both'", "output = 1", "labels = 'a'", "labels = ['a', 'a', 'b']"),
        *("classes = [1, 2, 3]", "factory = 'm:f'", "labels = []", "features = 'a'"),
        *("output = 'raw', labels = ['a', 'b', 'c']", "output = 'raw', probabilities = 'none'"),
        *("input = [99999999999]", "scale = 'NaN'::DOUBLE", "factory = ':f'", "factory = 'a:b:c'"),
        *("probabilities = 'x'", "features = [1]", "trust = 1", "trust = 'yes'", "sclae = 255"),
    ],
}


def statement(form: str, options: str, folder: Path) -> str:
    return form.format(options, path=folder / "net.pt2")


def cases(options: dict[str, list[str]]) -> list[Any]:
    return [(form, each) for form, listed in options.items() for each in listed]


@pytest.mark.parametrize(("form", "options"), cases(GOOD))
def test_options_that_are_kept(
    con: tensorsql.Connection, tmp_path: Path, form: str, options: str
) -> None:
    con.execute(statement(form, options, tmp_path))
    con.close()
    with tensorsql.connect(str(tmp_path / "d.tsql")) as again:
        assert again.execute("SHOW INDEXES").fetchall() or "file" in str(
            again.execute("SHOW MODELS").fetchall()
        )
    con._session = tensorsql.connect().session


@pytest.mark.parametrize("form", BAD)
def test_options_refused_before_work(
    con: tensorsql.Connection, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        pytest.fail("work began")

    monkeypatch.setattr(Inference, "run", never)
    for options in BAD[form]:
        with pytest.raises(errors.ProgrammingError, match=r"option|TENSOR|budget|output ="):
            con.execute(statement(form, options, tmp_path))
        assert con.execute("SHOW INDEXES").fetchall() == []
        assert "file" not in str(con.execute("SHOW MODELS").fetchall())


def test_every_option_is_read_or_refused(con: tensorsql.Connection, tmp_path: Path) -> None:
    """For each kind of model and each option there is: it is used, or it is an error."""
    values: dict[str, Any] = {
        "trust": True,
        "factory": "torch.nn:Identity",
        "scale": 2,
        "input": [4],
        "output": "class",
        "labels": ["a", "b", "c"],
        "features": ["a", "b", "c", "d"],
        "probabilities": "none",
    }
    assert set(values) == set(OPTIONS)
    for format in (*FORMATS.values(), None):
        read = EVERY_MODEL if format is None else format.options
        kind = "registered" if format is None else format.name
        for name, value in values.items():
            if name in read:
                assert checked_options(kind, {name: value}, read) == {name: value}
            else:
                with pytest.raises(errors.BindError, match=f"option {name} does nothing for a"):
                    checked_options(kind, {name: value}, read)
    net = nn.Sequential(nn.Linear(4, 3))
    for wrong in ({"trust": True}, {"factory": "a:b"}, {"scael": 2}, {"Scale": 1, "scale": 2}):
        with pytest.raises(errors.BindError, match="option"):
            con.register_model("other", net, **wrong)
    number = nn.Sequential(nn.Linear(4, 1))
    for wrong in ({"probabilities": "none"}, {"labels": ["a"]}, {"output": "class"}):
        with pytest.raises(errors.BindError, match="which is no class"):
            con.register_model("other", number, **wrong)
    con.register_model("other", net, scale=np.float32(2), input=np.array([4]))
    assert ("other", "module", "") in con.execute("SHOW MODELS").fetchall()


# Arguments of table functions: each its right values, then wrong ones

CALL = {"data": "t", "model": "net", "layer": "'1'", "neurons": "[1, 2]", "id": "id"}
ONLY = {
    "TOPK_SIMILAR": {"k": "3", "input": "5"},
    "TOPK_HIGHEST": {"k": "3"},
    "ACTIVATIONS": {},
}
WRONG = {
    "data": ["NULL", "3", "[1]", "'t'::VARCHAR", "nowhere", "(SELECT 1)"],
    "model": ["NULL", "3", "true", "[net]", "a.net", "nett", "(SELECT 1)"],
    "layer": ["NULL", "3", "true", "['1']", "'9'"],
    "neurons": ["NULL", "'1'", "true", "1.5", "[]", "[NULL]", "[8]", "[1, 1]", "TOP(1)", "id"],
    "image": ["NULL", "3", "true", "['v']", "id", "nothing"],
    "id": ["NULL", "0", "true", "['id']", "v", "nothing"],
    "k": ["NULL", "0", "-1", "2.5", "true", "'3'", "[3]", "id", "1e400"],
    "input": ["NULL", "true", "'x'", "1.5", "[5]", "id", "v", "5000"],
    "dist": ["NULL", "2", "true", "'l3'", "['l2']"],
    "score": ["NULL", "2", "true", "'most'", "['sum']"],
    "weights": ["NULL", "1", "'12'", "['1', '2']", "[true, true]", "[1, 0]", "[1]", "[1, NULL]"],
    "include_target": ["NULL", "1", "'yes'", "[true]"],
    "bogus": ["NULL", "1"],
}


def call_of(function: str, arguments: dict[str, str]) -> str:
    listed = ", ".join(f"{name} => {value}" for name, value in arguments.items())
    return f"SELECT count(*) FROM {function}({listed})"


@pytest.mark.parametrize("function", ONLY)
def test_arguments_of_neuron_functions(con: tensorsql.Connection, function: str) -> None:
    con.execute("CREATE TABLE u AS SELECT * FROM t")
    good = {**CALL, **ONLY[function]}
    assert con.execute(call_of(function, good)).fetchall()
    for name, values in WRONG.items():
        for value in values:
            text = call_of(function, {**good, name: value})
            with pytest.raises(errors.ProgrammingError) as found:
                con.execute(text)
            late = value in ("5000", "[8]") or "[1]" in value  # found by running, or of two parts
            assert found.value.position is not None or late, text
        twice = call_of(function, good)[:-1] + f", {name} => {good.get(name, '1')})"
        if name in good:
            with pytest.raises(errors.ProgrammingError, match="given twice"):
                con.execute(twice)
            if name not in ("neurons", "id"):
                left = {own: value for own, value in good.items() if own != name}
                with pytest.raises(errors.ProgrammingError, match=f"needs {name}"):
                    con.execute(call_of(function, left))


@pytest.mark.parametrize(
    "arguments",
    [
        *("MODEL = NULL, DATA = t", "MODEL = net, DATA = NULL", "MODEL = 3, DATA = t"),
        *("MODEL = net", "DATA = t", "MODEL = net, DATA = 3", "MODEL = net, DATA = t, k = 3"),
        *("MODEL = net, DATA = t, model => net", "net, t", "MODEL = a.net, DATA = t"),
    ],
)
def test_arguments_of_predict(con: tensorsql.Connection, arguments: str) -> None:
    with pytest.raises(errors.ProgrammingError) as found:
        con.execute(f"SELECT * FROM PREDICT({arguments})")
    assert found.value.position is not None


def test_a_class_is_named_as_it_is(con: tensorsql.Connection) -> None:
    for value in ("NULL", "true", "1.0", "'1'", "3", "id", "[1]"):
        with pytest.raises(errors.ProgrammingError):
            con.execute(f"SELECT PREDICT_PROBA(net, v, class => {value}) FROM t")
    assert con.execute("SELECT PREDICT_PROBA(net, v, class => 1) FROM t LIMIT 1").fetchall()
