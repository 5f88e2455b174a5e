"""The demo's committed files agree with each other and with what their README states."""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
BOX_THRESHOLD = 25
LAYERS = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "fc1", "relu3", "fc2"]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.load(EXAMPLES / "images.npy", allow_pickle=False)


@pytest.fixture(scope="module")
def saliency() -> np.ndarray:
    return np.load(EXAMPLES / "saliency.npy", allow_pickle=False)


@pytest.fixture(scope="module")
def image_table() -> pa.Table:
    return pq.read_table(EXAMPLES / "images.parquet")


@pytest.fixture(scope="module")
def mask_table() -> pa.Table:
    return pq.read_table(EXAMPLES / "masks.parquet")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    spec = importlib.util.spec_from_file_location("network", EXAMPLES / "network.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.FashionNet()
    network.load_state_dict(load_file(EXAMPLES / "fashion.safetensors"))
    return network.eval()


@pytest.fixture(scope="module")
def inputs(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).unsqueeze(1).to(torch.float32) / 255


@pytest.fixture(scope="module")
def scores(network: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(part) for part in inputs.split(500)])


def stated(pattern: str) -> float:
    """The number the README's table of measurements gives in the row that starts so."""
    text = (EXAMPLES / "README.md").read_text()
    match = re.search(rf"^\| {pattern} \| ([0-9.]+)", text, flags=re.MULTILINE)
    assert match is not None, pattern
    return float(match.group(1))


def test_arrays_and_tables_have_the_stated_shapes(
    images: np.ndarray, saliency: np.ndarray, image_table: pa.Table, mask_table: pa.Table
) -> None:
    assert images.shape == saliency.shape == (2000, 28, 28)
    assert images.dtype == saliency.dtype == np.uint8
    assert image_table.column_names == (
        ["image_id", "label", "label_name", "split", "x0", "y0", "x1", "y1"]
    )
    assert mask_table.column_names == (
        ["mask_id", "image_id", "model_id", "mask_type", "label", "prediction"]
    )
    for table in (image_table, mask_table):
        assert table.num_rows == 2000
        assert all(column.null_count == 0 for column in table.columns)


def test_ids_are_positions_and_labels_agree(image_table: pa.Table, mask_table: pa.Table) -> None:
    for column in (image_table["image_id"], mask_table["image_id"], mask_table["mask_id"]):
        assert column.to_pylist() == list(range(2000))
    assert image_table["label"].equals(mask_table["label"])
    classes = pyarrow.csv.read_csv(EXAMPLES / "classes.csv")
    assert classes["id"].to_pylist() == list(range(10))
    names = classes["name"].to_pylist()
    labels = image_table["label"].to_pylist()
    assert image_table["label_name"].to_pylist() == [names[label] for label in labels]
    assert set(labels) == set(range(10))


def test_boxes_are_the_tightest_around_the_bright_pixels(
    images: np.ndarray, image_table: pa.Table
) -> None:
    boxes = zip(*(image_table[name].to_pylist() for name in ("x0", "y0", "x1", "y1")), strict=True)
    for image, box in zip(images, boxes, strict=True):
        rows, columns = np.nonzero(image > BOX_THRESHOLD)
        assert box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_saliency_maps_reach_the_scale_or_are_all_zero(saliency: np.ndarray) -> None:
    peaks = saliency.max(axis=(1, 2))
    assert set(peaks.tolist()) == {0, 255}
    assert int((peaks == 0).sum()) == stated("saliency maps that are zero everywhere")


def test_saliency_maps_are_grad_cam_of_the_committed_weights(
    network: nn.Module, inputs: Tensor, saliency: np.ndarray
) -> None:
    few = inputs[:50]
    features = network.relu2(network.conv2(network.pool1(network.relu1(network.conv1(few)))))
    features = features.detach().requires_grad_()
    best = network.fc2(network.relu3(network.fc1(network.flatten(network.pool2(features))))).amax(
        dim=1
    )
    for position in range(len(few)):
        (gradient,) = torch.autograd.grad(best[position], features, retain_graph=True)
        weights = gradient[position].mean(dim=(1, 2))
        coarse = torch.einsum("c,chw->hw", weights, features[position].detach()).relu()
        fine = nn.functional.interpolate(coarse[None, None], scale_factor=2, mode="bilinear")
        expected = fine[0, 0] / fine.max().clamp_min(1e-30) * 255
        # Half a step of the quantisation, and a little for another processor's rounding.
        difference = np.abs(expected.numpy() - saliency[position].astype(np.float64))
        assert difference.max() < 0.51


def test_predictions_and_accuracy_are_the_committed_weights(
    scores: Tensor, mask_table: pa.Table
) -> None:
    predictions = scores.argmax(dim=1).numpy()
    assert predictions.tolist() == mask_table["prediction"].to_pylist()
    right = int((predictions == mask_table["label"].to_numpy()).sum())
    assert right / 20 == stated("accuracy on the 2,000 images kept here")


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_archive_computes_what_the_weights_compute(
    network: nn.Module, inputs: Tensor, batch: int
) -> None:
    module = torch.export.load(EXAMPLES / "fashion.pt2").module()
    with torch.no_grad():
        torch.testing.assert_close(module(inputs[:batch]), network(inputs[:batch]))


def test_the_archive_keeps_the_layers_by_path() -> None:
    program = torch.export.load(EXAMPLES / "fashion.pt2")
    modules = dict(torch.export.unflatten(program).named_modules())
    assert [path for path in modules if path] == LAYERS


def test_the_archive_holds_neither_pickles_nor_paths() -> None:
    with zipfile.ZipFile(EXAMPLES / "fashion.pt2") as archive:
        assert archive.read("fashion/data/sample_inputs/model.pt") == b""
        weights = json.loads(archive.read("fashion/data/weights/model_weights_config.json"))
        assert not any(entry["use_pickle"] for entry in weights["config"].values())
        program = archive.read("fashion/models/model.json")
    assert json.loads(program)["guards_code"] == []
    assert b"stack_trace" not in program and b"site-packages" not in program


def test_the_model_files_are_small() -> None:
    for name in ("fashion.pt2", "fashion.safetensors"):
        assert (EXAMPLES / name).stat().st_size < 500_000
