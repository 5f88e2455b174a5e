"""What models take in and give out, in every statement alike: types, shapes, bytes, NaN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tensorsql
from tensorsql import errors

COUNT = 30
random = np.random.default_rng(6)
UNITS = random.random((COUNT, 4, 4))
COLUMNS = {
    "u8": random.integers(0, 256, (COUNT, 4, 4)).astype(np.uint8),
    "f32": UNITS.astype(np.float32),
    "f64": UNITS,
    "i32": random.integers(0, 50, (COUNT, 4, 4)).astype(np.int32),
    "i64": random.integers(0, 50, (COUNT, 4, 4)),
    "row": UNITS.astype(np.float32).reshape(COUNT, 1, 4, 4),
    "last": random.random((COUNT, 4, 4, 3)).astype(np.float32),
    "flat": random.random((COUNT, 16)).astype(np.float32),
}


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(256, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x.flatten(1)).mean(1))  # type: ignore[no-any-return]


class Logarithm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).log()


def flat(dtype: torch.dtype) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).to(dtype)


torch.manual_seed(9)
MODELS: dict[str, tuple[nn.Module, dict[str, Any]]] = {
    "single": (flat(torch.float32), {"input": [4, 4]}),
    "bytes": (flat(torch.float32), {"input": [4, 4], "scale": 255}),
    "plain": (flat(torch.float32), {"input": [1, 4, 4], "scale": 1}),
    "double": (flat(torch.float64), {"input": [4, 4]}),
    "brain": (flat(torch.bfloat16), {"input": [4, 4]}),
    "brained": (flat(torch.bfloat16), {"input": [4, 4], "scale": 1}),
    "tokens": (Tokens(), {"input": [4, 4]}),
    "channels": (nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten()), {"input": [3, 4, 4]}),
}
LAYERS = {"tokens": "head", "channels": "0"}
TAKEN = {
    *{("single", column) for column in ("f32", "row")},
    *{("bytes", column) for column in ("u8", "f32", "f64", "i32", "i64", "row")},
    *{("plain", column) for column in ("u8", "f32", "f64", "i32", "i64", "row")},
    *{("double", column) for column in ("f32", "f64", "row")},
    *{("brained", column) for column in ("u8", "f32", "f64", "i32", "i64", "row")},
    *{("tokens", column) for column in ("u8", "i32", "i64")},
}
REASONS = {
    ("single", "u8"): "float32.*uint8.*scale = 255.*scale = 1",
    ("single", "f64"): "float32.*float64.*scale = 1 .*rounded",
    ("single", "i64"): "float32.*int64.*scale = 1",
    ("single", "flat"): r"\[4, 4\].*\[16\]",
    ("brain", "f32"): "bfloat16.*float32.*scale = 1",
    ("double", "u8"): "float64.*uint8.*scale = 255",
    ("tokens", "f32"): "whole numbers.*float32",
    ("channels", "last"): r"\[3, 4, 4\].*\[4, 4, 3\]",
}


@pytest.fixture(scope="module")
def con() -> Iterator[tensorsql.Connection]:
    with tensorsql.connect() as connection:
        connection.register("f", {"id": np.arange(COUNT), **COLUMNS})
        connection.execute("CREATE TABLE t AS SELECT * FROM f")
        for name, (module, options) in MODELS.items():
            connection.register_model(name, module, **options)
        yield connection


def statements(model: str, column: str) -> list[str]:
    common = f"data => t, model => {model}, layer => '{LAYERS.get(model, '1')}', id => id"
    common += f", image => {column}"
    return [
        f"SELECT PREDICT({model}, {column}) FROM t ORDER BY id",
        f"SELECT PREDICT_PROBA({model}, {column}) FROM t",
        f"SELECT * FROM ACTIVATIONS({common}) ORDER BY input_id, neuron_id",
        f"SELECT * FROM TOPK_SIMILAR({common}, input => 3, k => 4)",
        f"SELECT * FROM TOPK_HIGHEST({common}, k => 4)",
        f"CREATE OR REPLACE INDEX i ON t USING NPI ({model}, '{LAYERS.get(model, '1')}')"
        f" WITH (image = '{column}', partitions = 4)",
    ]


@pytest.mark.parametrize("model", MODELS)
def test_every_statement_takes_the_same(con: tensorsql.Connection, model: str) -> None:
    """Or refuses the same, in the same words."""
    for column in COLUMNS:
        if (model, column) in TAKEN:
            before = [con.execute(each).fetchall() for each in statements(model, column)[:-1]]
            con.execute(statements(model, column)[-1])
            after = [con.execute(each).fetchall() for each in statements(model, column)[:-1]]
            assert before == after
            assert before[0] == [(each,) for each in classes(model, column)]
            con.execute("DROP INDEX i")
            continue
        for statement in statements(model, column):
            with pytest.raises(errors.BindError, match=REASONS.get((model, column), "takes")):
                con.execute(statement)


def classes(model: str, column: str) -> list[int]:
    module, options = MODELS[model]
    rows = torch.from_numpy(COLUMNS[column])
    if model == "tokens":
        rows = rows.long()
    elif "scale" in options:
        rows = rows.float() / options["scale"]
    if model != "tokens":
        rows = rows.to(next(module.parameters()).dtype)
    with torch.no_grad():
        return [int(module(row[None]).argmax()) for row in rows]


def test_numbers_for_token_models_are_whole(con: tensorsql.Connection) -> None:
    numbers = ", ".join(map(str, range(15)))
    assert len(con.execute(f"SELECT PREDICT(tokens, {numbers}, 15)").fetchall()) == 1
    with pytest.raises(errors.BindError, match="whole numbers"):
        con.execute(f"SELECT PREDICT(tokens, {numbers}, 1.5)")
    with pytest.raises(errors.BindError, match="scale"):
        con.register_model("scaled", Tokens(), input=[4, 4], scale=255)


def test_nan_is_no_class(con: tensorsql.Connection) -> None:
    con.register_model("logarithm", Logarithm(), input=[4, 4])
    con.register_model("all", Logarithm(), input=[4, 4], output="raw")
    con.register("below", {"x": np.stack([-np.ones((4, 4)), np.eye(4) + 1]).astype(np.float32)})
    sql = "SELECT PREDICT(logarithm, x), PREDICT_PROBA(logarithm, x, class => 0) FROM below"
    (silent, answered) = con.execute(sql).fetchall()
    assert silent == (None, None) and answered[0] == 0
    (raw,) = con.execute('SELECT PREDICT("all", x) FROM below LIMIT 1').fetchone() or ((),)
    assert len(raw) == 16 and np.isnan(raw).all()


def test_what_is_no_class_and_no_number_is_not_guessed(con: tensorsql.Connection) -> None:
    maps = nn.Conv2d(1, 3, 1)
    con.register_model("maps", maps, input=[1, 4, 4])
    with pytest.raises(errors.BindError, match=r"\[3, 4, 4\]"):
        con.execute("SELECT PREDICT(maps, f32) FROM t")
    with pytest.raises(errors.BindError, match=r"\[3, 4, 4\].*no class"):
        con.register_model("named", maps, input=[1, 4, 4], labels=["a", "b", "c"])
    with pytest.raises(errors.BindError, match="one number"):
        con.register_model("named", nn.Linear(4, 1), output="class")
    con.register_model("whole", maps, input=[1, 4, 4], output="raw")
    (first,) = con.execute("SELECT PREDICT(whole, f32) FROM t ORDER BY id LIMIT 1").fetchone() or ()
    with torch.no_grad():
        wanted = maps(torch.from_numpy(COLUMNS["row"][:1])).reshape(-1)
    assert first == pytest.approx(wanted.tolist(), abs=1e-6)


def test_equal_bytes_of_other_types_are_other_inputs(con: tensorsql.Connection) -> None:
    """The cache of activations knows a number from its bytes."""
    ones = np.full((1, 4, 4), 1.0, np.float32)
    con.register("real", {"x": ones})
    con.register("whole_numbers", {"x": ones.view(np.int32)})
    real, whole = (
        con.execute(f"SELECT PREDICT_PROBA(plain, x) FROM {table}").fetchall()
        for table in ("real", "whole_numbers")
    )
    assert real != whole
