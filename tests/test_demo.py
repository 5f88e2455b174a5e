"""The demo's answers against brute force in numpy and torch, and what its indexes saved."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import tensorsql
from tensorsql.parser.dialect import split

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


@dataclass
class Truth:
    """Everything the demo asks about, computed the plain way."""

    labels: np.ndarray
    names: list[str]
    predictions: np.ndarray
    boxes: np.ndarray
    saliency: np.ndarray
    activations: np.ndarray  # of layer relu3

    @property
    def wrong(self) -> np.ndarray:
        return self.labels != self.predictions

    def bright(self, inside: bool) -> np.ndarray:
        """CP(mask, box or -, (0.5, 1.0)): stored values from ceil(0.5 * 255) = 128."""
        pixels = self.saliency >= 128
        if inside:
            rows, columns = np.mgrid[:28, :28]
            x0, y0, x1, y1 = (self.boxes[:, i, None, None] for i in range(4))
            pixels &= (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
        return pixels.sum((1, 2))


@pytest.fixture(scope="module")
def truth() -> Truth:
    spec = importlib.util.spec_from_file_location("network", EXAMPLES / "network.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.FashionNet()
    network.load_state_dict(load_file(EXAMPLES / "fashion.safetensors"))
    kept: list[torch.Tensor] = []
    network.relu3.register_forward_hook(lambda _, __, output: kept.append(output))
    images = torch.from_numpy(np.load(EXAMPLES / "images.npy"))
    with torch.no_grad():
        scores = network(images.unsqueeze(1).float() / 255)
    table = pq.read_table(EXAMPLES / "images.parquet")
    boxes = np.stack([table[name].to_numpy() for name in ("x0", "y0", "x1", "y1")], 1)
    return Truth(
        table["label"].to_numpy(),
        table["label_name"].to_pylist(),
        scores.argmax(1).numpy(),
        boxes,
        np.load(EXAMPLES / "saliency.npy"),
        kept[0].numpy(),
    )


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """The rows of every statement of demo.sql on a database built by setup.sql."""
    folder = tmp_path_factory.mktemp("demo") / "demo.tsql"
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    with tensorsql.connect(str(folder)) as connection:
        for statement in split((EXAMPLES / "setup.sql").read_text()):
            connection.execute(statement)
        script = split((EXAMPLES / "demo.sql").read_text())
        yield [connection.execute(statement).fetchall() for statement in script]
    patch.undo()


def test_accuracy(answers: list[Any], truth: Truth) -> None:
    ((count, accuracy),) = answers[0]
    assert count == 2000
    assert float(accuracy) == pytest.approx((~truth.wrong).mean())


def test_most_confused_pairs(answers: list[Any], truth: Truth) -> None:
    names = dict(zip(truth.labels.tolist(), truth.names, strict=True))
    pairs: Counter[tuple[str, str]] = Counter()
    for label, prediction in zip(truth.labels, truth.predictions, strict=True):
        if label != prediction:
            low, high = sorted((int(label), int(prediction)))
            pairs[names[low], names[high]] += 1
    expected = sorted((-times, one, other) for (one, other), times in pairs.items())[:5]
    assert answers[1] == [(one, other, -times) for times, one, other in expected]


def test_mistakes_that_looked_beside_the_object(answers: list[Any], truth: Truth) -> None:
    inside, everywhere = truth.bright(inside=True), truth.bright(inside=False)
    asked = np.flatnonzero(truth.wrong & (everywhere > 0))
    share = inside[asked] / everywhere[asked]
    first = np.lexsort((asked, share))[:10]
    expected = [
        (int(i), int(truth.labels[i]), int(truth.predictions[i]), float(value))
        for i, value in zip(asked[first], share[first], strict=True)
    ]
    assert answers[2] == expected


def test_most_similar_images(answers: list[Any], truth: Truth) -> None:
    activations = truth.activations.astype(np.float64)
    ids = np.arange(len(activations))
    neurons = np.lexsort((np.arange(activations.shape[1]), -activations[1945]))[:3]
    distances = np.sqrt(((activations[:, neurons] - activations[1945, neurons]) ** 2).sum(1))
    others = ids[ids != 1945]
    expected = others[np.lexsort((others, distances[others]))][:10]
    assert [row[:2] for row in answers[3]] == [(i + 1, int(id)) for i, id in enumerate(expected)]
    assert [row[2] for row in answers[3]] == pytest.approx(distances[expected], abs=1e-4)
    assert [row[3] for row in answers[3]] == [truth.names[id] for id in expected]


def test_images_that_fire_a_neuron_most(answers: list[Any], truth: Truth) -> None:
    values = truth.activations[:, 35]
    expected = np.lexsort((np.arange(len(values)), -values))[:10]
    assert [row[:2] for row in answers[4]] == [(i + 1, int(id)) for i, id in enumerate(expected)]
    assert [row[2] for row in answers[4]] == pytest.approx(values[expected], abs=1e-4)


def counted(text: str, what: str) -> int:
    """The number an index node's line reports, e.g. "verified 12"."""
    found = re.search(rf"{what} (\d+)", text)
    assert found is not None, text
    return int(found.group(1))


@pytest.mark.parametrize("statement", [5, 6])
def test_most_masks_are_decided_by_the_index(answers: list[Any], statement: int) -> None:
    assert counted(answers[statement][0][0], "verified") < 700


def test_few_images_are_run(answers: list[Any]) -> None:
    assert counted(answers[7][0][0], "inferences") < 500
