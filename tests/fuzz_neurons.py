"""Hypothesis strategies that make small networks, inputs for them and questions about neurons.

Weights and inputs are small whole numbers, so that activations are exact in any order of adding:
ties are ties, and an answer has one right order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

import tensorsql

Draw = Callable[[st.SearchStrategy[Any]], Any]

DISTANCES = ("l2", "l1", "linf", "cosine")
SCORES = ("sum", "mean", "min", "max", "l2")
SOURCES: dict[str, Callable[[int, int], bool]] = {
    "t": lambda id, half: True,
    "(SELECT * FROM t WHERE half = 0)": lambda id, half: half == 0,
    "odd": lambda id, half: half == 1,
    "(SELECT id, v FROM t WHERE id % 3 <> 1) AS d": lambda id, half: id % 3 != 1,
    "(SELECT t.* FROM t JOIN (SELECT 1 AS half) h ON t.half = h.half)": lambda id, half: half == 1,
    "(SELECT * FROM t WHERE id < 0)": lambda id, half: False,
}


@dataclass(frozen=True)
class Network:
    """A module, the shape of its input and the layers to ask about."""

    module: nn.Module
    shape: tuple[int, ...]
    layers: tuple[str, ...]

    def activations(self, layer: str, inputs: np.ndarray) -> np.ndarray:
        """float64 [n, …] of a layer, every input run by plain PyTorch."""
        kept: list[torch.Tensor] = []
        part = self.module.get_submodule(layer)
        hook = part.register_forward_hook(lambda _m, _i, output: kept.append(output.clone()))
        with torch.no_grad():
            self.module(torch.from_numpy(inputs))
        hook.remove()
        return kept[0].double().numpy()


@dataclass(frozen=True, repr=False)
class Inputs:
    """Rows in order: ids (not in order), halves and values; NULL where `missing`."""

    ids: np.ndarray
    halves: np.ndarray
    values: np.ndarray
    missing: np.ndarray

    def __repr__(self) -> str:
        return f"{len(self.ids)} inputs of shape {self.values.shape[1:]}"

    def load(self, con: tensorsql.Connection) -> None:
        """The table t(id, half, v) and the view `odd`."""
        shape = ", ".join(map(str, self.values.shape[1:]))
        con.execute("DROP TABLE IF EXISTS t")
        con.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, half INTEGER, v TENSOR({shape}))")
        con.execute("CREATE OR REPLACE VIEW odd AS SELECT * FROM t WHERE half = 1")
        self.insert(con)

    def insert(self, con: tensorsql.Connection) -> None:
        """Append the rows to t."""
        columns = {"id": self.ids, "half": self.halves, "v": self.values, "missing": self.missing}
        con.register("source", columns)
        con.execute("INSERT INTO t SELECT id, half, CASE WHEN NOT missing THEN v END FROM source")
        con.unregister("source")

    def take(self, rows: np.ndarray) -> Inputs:
        """Some of the rows."""
        return Inputs(self.ids[rows], self.halves[rows], self.values[rows], self.missing[rows])

    def and_(self, other: Inputs) -> Inputs:
        """These rows, then those."""
        mine, more = vars(self), vars(other)
        return Inputs(*(np.concatenate([mine[name], more[name]]) for name in mine))


def _real(random: np.random.Generator, module: nn.Module) -> None:
    """Weights as training leaves them: activations depend on the order of adding."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.from_numpy(random.normal(size=tuple(weight.shape))))


def _whole(random: np.random.Generator, module: nn.Module, dead: float) -> None:
    """Small whole weights; some neurons never fire."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Conv2d):
                size = tuple(part.weight.shape)
                part.weight.copy_(torch.from_numpy(random.integers(-2, 3, size)))
                bias = random.integers(-2, 3, size[0])
                silent = random.random(size[0]) < dead
                bias[silent] = -1
                part.weight[torch.from_numpy(silent)] = 0
                assert part.bias is not None
                part.bias.copy_(torch.from_numpy(bias))


@st.composite
def networks(draw: Draw, like: Network | None = None, whole: bool = True) -> Network:
    """An MLP or a small CNN; `like` another with new weights."""
    random = np.random.default_rng(draw(st.integers(0, 2**20)))
    convolves = draw(st.booleans()) if like is None else len(like.shape) > 1
    if convolves:
        parts: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(1, 2, 3, padding=1),
            "relu1": nn.ReLU(),
            "pool": nn.MaxPool2d(2),
            "flat": nn.Flatten(),
            "out": nn.Linear(8, 3),
        }
        shape: tuple[int, ...] = (1, 4, 4)
        layers: tuple[str, ...] = ("relu1", "conv1", "pool", "out")
    else:
        width = draw(st.integers(1, 4)) if like is None else like.shape[0]
        parts = {
            "fc1": nn.Linear(width, 5),
            "relu1": nn.ReLU(),
            "fc2": nn.Linear(5, 3),
            "relu2": nn.ReLU(),
            "out": nn.Linear(3, 2),
        }
        shape, layers = (width,), ("relu1", "fc1", "relu2", "out")
    module = nn.Sequential(OrderedDict(parts)).eval()
    if whole:
        _whole(random, module, draw(st.sampled_from((0.3, 0.0, 0.9))))
    else:
        _real(random, module)
    return Network(module, shape, layers)


@st.composite
def inputs(draw: Draw, shape: tuple[int, ...], first: int = 0) -> Inputs:
    """0 to 90 inputs with many equal ones; ids from `first` on, shuffled, with gaps."""
    count = draw(st.sampled_from((30, 90, 7, 1))) if first == 0 else draw(st.sampled_from((1, 12)))
    random = np.random.default_rng(draw(st.integers(0, 2**20)))
    kinds = draw(st.sampled_from((count, 5)))
    values = random.integers(-1, 3, (kinds, *shape)).astype(np.float32)
    ids = first + random.permutation(count) * 2 + random.integers(0, 2, count)
    rare = draw(st.sampled_from((0.0, 0.2)))
    return Inputs(
        ids.astype(np.int32),
        random.integers(0, 2, count).astype(np.int32),
        values[random.integers(0, kinds, count)],
        random.random(count) < rare,
    )


@dataclass(frozen=True)
class Question:
    """TOPK_SIMILAR or TOPK_HIGHEST: the query, and all rows that qualify with their values."""

    layer: str
    model: str
    source: str
    neurons: str | None
    measure: str
    k: int
    target: int | None = None
    weights: tuple[float, ...] | None = None
    include_target: bool = False

    @property
    def sql(self) -> str:
        """The query."""
        similar = self.target is not None
        given = {
            "data": self.source,
            "model": self.model,
            "layer": f"'{self.layer}'",
            "neurons": self.neurons,
            "k": self.k,
            ("dist" if similar else "score"): f"'{self.measure}'",
            "input": self.target,
            "weights": None if self.weights is None else str(list(self.weights)),
            "include_target": "true" if self.include_target else None,
        }
        shown = ", ".join(f"{name} => {v}" for name, v in given.items() if v is not None)
        return f"SELECT * FROM {'TOPK_SIMILAR' if similar else 'TOPK_HIGHEST'}({shown})"

    def values(self, network: Network, rows: Inputs) -> dict[int, float]:
        """The distance or score of every row that qualifies, by id."""
        known = rows.take(np.flatnonzero(~rows.missing))
        if len(known.ids) == 0:
            return {}
        found = network.activations(self.layer, known.values)
        shape, flat = found.shape[1:], found.reshape(len(found), -1)
        target = None
        if self.target is not None:
            target = flat[int(np.flatnonzero(known.ids == self.target)[0])]
        group = flat[:, _indices(self.neurons, shape, target)]
        if target is None:
            result = _score(self.measure, group)
        else:
            chosen = target[_indices(self.neurons, shape, target)]
            result = _distance(self.measure, group, chosen, self.weights)
        keep = SOURCES[self.source]
        return {
            int(id): float(value)
            for id, half, value in zip(known.ids, known.halves, result, strict=True)
            if keep(id, half) and (self.include_target or id != self.target)
        }

    def answer(self, network: Network, rows: Inputs) -> list[tuple[int, float, int]]:
        """(input_id, value, rank), ties by id."""
        sign = 1 if self.target is not None else -1
        found = self.values(network, rows).items()
        first = sorted(found, key=lambda pair: (sign * pair[1], pair[0]))[: self.k]
        return [(id, value, rank) for rank, (id, value) in enumerate(first, 1)]


def _indices(neurons: str | None, shape: tuple[int, ...], target: Any) -> np.ndarray:
    places = np.arange(int(np.prod(shape)))
    if neurons is None:
        return places
    name, _, rest = neurons.partition("(")
    numbers = [int(text) for text in (rest or name).strip("()[]").split(",")]
    match name:
        case "CHANNEL":
            return places.reshape(shape)[numbers[0]].ravel()
        case "POSITION":
            return places.reshape(shape)[:, numbers[0], numbers[1]]
        case "RANGE":
            return places[numbers[0] : numbers[1]]
        case "TOP_NEURONS":
            result: np.ndarray = np.argsort(-target, kind="stable")[: numbers[0]]
            return result
    return np.array(numbers)


def _distance(dist: str, group: np.ndarray, target: np.ndarray, weights: Any) -> np.ndarray:
    factor = np.ones(group.shape[1]) if weights is None else np.array(weights)
    difference = np.abs(group - target)
    match dist:
        case "l1":
            return (difference * factor).sum(1)
        case "l2":
            return np.sqrt((difference**2 * factor).sum(1))
        case "linf":
            return (difference * factor).max(1)
    length = np.sqrt((group**2 * factor).sum(1)) * np.sqrt((target**2 * factor).sum())
    product = (group * target * factor).sum(1)
    both_zero = (group == 0).all(1) & (target == 0).all()
    cosine = np.divide(product, length, out=np.zeros(len(group)), where=length > 0)
    return np.where(both_zero, 0.0, 1 - cosine.clip(-1, 1))


def _score(score: str, group: np.ndarray) -> np.ndarray:
    match score:
        case "l2":
            return np.sqrt((group**2).sum(1))
        case "mean":
            return group.sum(1) / group.shape[1]
    return {"sum": group.sum, "min": group.min, "max": group.max}[score](axis=1)


@st.composite
def questions(draw: Draw, networks: dict[str, Network], rows: Inputs) -> Question:
    """Any question about one of the networks, by the name of its model."""
    model = draw(st.sampled_from(sorted(networks)))
    network = networks[model]
    layer = draw(st.sampled_from(network.layers))
    probe = np.zeros((1, *network.shape), np.float32)
    shape = network.activations(layer, probe).shape[1:]
    targets = rows.ids[~rows.missing].tolist()
    target = draw(st.none() | st.sampled_from(targets)) if targets else None
    neurons, size = draw(_groups(shape, top=target is not None))
    question = Question(
        layer,
        model,
        draw(st.sampled_from(tuple(SOURCES))),
        neurons,
        draw(st.sampled_from(SCORES if target is None else DISTANCES)),
        draw(st.sampled_from((3, 1, 10, 200))),
    )
    if target is None:
        return question
    weight = st.sampled_from((1.0, 0.5, 2.0, 4.0))
    weights = draw(st.none() | st.tuples(*[weight] * size)) if neurons is not None else None
    return replace(question, target=target, weights=weights, include_target=draw(st.booleans()))


@st.composite
def _groups(draw: Draw, shape: tuple[int, ...], top: bool) -> tuple[str | None, int]:
    """The text of `neurons` and how many they are."""
    count = int(np.prod(shape))
    forms = ["list", "one", "all", "range"]
    forms += ["top"] * 2 if top else []
    forms += ["channel", "position"] if len(shape) == 3 else []
    form = draw(st.sampled_from(forms))
    number = draw(st.integers(1, min(count, 4)))
    match form:
        case "all":
            return None, count
        case "one":
            return str(draw(st.integers(0, count - 1))), 1
        case "range":
            first = draw(st.integers(0, count - number))
            return f"RANGE({first}, {first + number})", number
        case "top":
            return f"TOP_NEURONS({number})", number
        case "channel":
            return f"CHANNEL({draw(st.integers(0, shape[0] - 1))})", count // shape[0]
        case "position":
            y, x = draw(st.integers(0, shape[1] - 1)), draw(st.integers(0, shape[2] - 1))
            return f"POSITION({y}, {x})", shape[0]
    chosen = draw(st.permutations(range(count)))[:number]
    return str(list(chosen)), number


def difference(
    question: Question,
    found: Sequence[Any],
    expected: Sequence[Any],
    values: dict[int, float],
    slack: float = 0.0,
) -> str:
    """What is wrong with the rows found, or nothing; values may be off by the slack.

    A cosine may be off by a rounding in any case. Within the slack the order is free.
    """
    if len(found) != len(expected) or len({row[0] for row in found}) < len(found):
        return f"expected {expected}\nfound    {found}"
    slack = slack or (1e-9 if question.measure == "cosine" else 0.0)
    for one, other in zip(found, expected, strict=True):
        close = abs(one[1] - other[1]) <= slack and abs(values[one[0]] - one[1]) <= slack
        if one[2] != other[2] or not close or (one[0] != other[0] and not slack):
            return f"expected {other}\nfound    {one}"
    return ""
