"""Makes the demo's data and model from the Fashion-MNIST files.

Trains the network on the training images, then writes the first test images, their saliency maps,
the tables about both and the model. The idx files are those of the Debian package
`dataset-fashion-mnist`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from network import FashionNet
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

Bytes = npt.NDArray[np.uint8]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Fainter pixels are noise of the scans: a box around them would often be the whole image.
BOX_THRESHOLD = 25
SALIENCY_SCALE = 255


@dataclass(frozen=True)
class LabelledImages:
    """Grey images uint8 [n, 28, 28] and their classes uint8 [n]."""

    images: Bytes
    labels: Bytes


def read_idx(path: Path) -> Bytes:
    """The array of a gzipped idx file of unsigned bytes, in the shape its header states."""
    with gzip.open(path, "rb") as file:
        content = file.read()
    if content[:3] != b"\0\0\x08":
        raise SystemExit(f"{path} is not an idx file of unsigned bytes")
    shape = np.frombuffer(content, dtype=">i4", count=content[3], offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def read_split(folder: Path, prefix: str) -> LabelledImages:
    """One split of the data set; `prefix` is `train` or `t10k`."""
    return LabelledImages(
        read_idx(folder / f"{prefix}-images-idx3-ubyte.gz"),
        read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz"),
    )


def network_input(images: Bytes) -> Tensor:
    """Images as the network takes them: float32 [n, 1, 28, 28] in [0, 1]."""
    return torch.from_numpy(images.copy()).unsqueeze(1).to(torch.float32) / 255


def train(data: LabelledImages, epochs: int, batch_size: int) -> FashionNet:
    """A network trained by SGD with a one-cycle learning rate; the seed is the caller's."""
    network = FashionNet()
    inputs, labels = network_input(data.images), torch.from_numpy(data.labels.astype(np.int64))
    # SGD leaves fewer of fc1's neurons dead than Adam does, and the demo queries neurons.
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    steps = epochs * -(-len(inputs) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    for epoch in range(epochs):
        total_loss = 0.0
        for rows in torch.split(torch.randperm(len(inputs)), batch_size):
            loss = functional.cross_entropy(network(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total_loss += loss.item() * len(rows)
        print(f"epoch {epoch + 1}: mean loss {total_loss / len(inputs):.4f}")
    return network.eval()


def predict(network: FashionNet, images: Bytes) -> npt.NDArray[np.int64]:
    """The class with the highest score for each image."""
    with torch.no_grad():
        parts = [network(part).argmax(dim=1) for part in torch.split(network_input(images), 500)]
    return torch.cat(parts).numpy()


def saliency_maps(network: FashionNet, images: Bytes) -> npt.NDArray[np.float32]:
    """Grad-CAM maps [n, 28, 28] of the predicted class on the last convolution's feature maps.

    Each map is scaled to a maximum of 1. A map that is zero everywhere, because no place speaks
    for the class, stays zero.
    """
    maps = [grad_cam(network, part) for part in torch.split(network_input(images), 500)]
    return torch.cat(maps).numpy()


def grad_cam(network: FashionNet, inputs: Tensor) -> Tensor:
    """Grad-CAM maps [n, 28, 28] of one batch [n, 1, 28, 28]."""
    outputs: list[Tensor] = []
    hook = network.relu2.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
    scores = network(inputs)
    hook.remove()
    # Images do not touch each other, so the sum's gradient holds each image's own.
    (gradient,) = torch.autograd.grad(scores.max(dim=1).values.sum(), outputs[0])
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    coarse = (weights * outputs[0].detach()).sum(dim=1, keepdim=True).relu()
    fine = functional.interpolate(coarse, size=inputs.shape[-2:], mode="bilinear").squeeze(1)
    peak = fine.amax(dim=(1, 2), keepdim=True)
    return torch.where(peak > 0, fine / peak, fine)


def bounding_boxes(images: Bytes) -> npt.NDArray[np.int32]:
    """Boxes [n, 4] x0, y0, x1, y1 of the pixels above the threshold: 0-based, half-open."""
    bright = images > BOX_THRESHOLD
    x0, x1 = extent(np.any(bright, axis=1))
    y0, y1 = extent(np.any(bright, axis=2))
    return np.stack([x0, y0, x1, y1], axis=1).astype(np.int32)


def extent(occupied: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First true position, and one past the last, along the second axis of [n, length]."""
    return occupied.argmax(axis=1), occupied.shape[1] - occupied[:, ::-1].argmax(axis=1)


def write_classes(path: Path) -> None:
    """The class ids and names as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "name"])
        writer.writerows(enumerate(CLASS_NAMES))


def write_images(folder: Path, data: LabelledImages) -> None:
    """The pixels, and a table of one row per image; row `i` describes `images.npy[i]`."""
    boxes = bounding_boxes(data.images)
    columns = {
        "image_id": pa.array(np.arange(len(data.images), dtype=np.int32)),
        "label": pa.array(data.labels.astype(np.int32)),
        "label_name": pa.array([CLASS_NAMES[label] for label in data.labels]),
        "split": pa.array(["test"] * len(data.images)),
        **{name: pa.array(boxes[:, i]) for i, name in enumerate(("x0", "y0", "x1", "y1"))},
    }
    np.save(folder / "images.npy", data.images)
    pq.write_table(pa.table(columns), folder / "images.parquet")


def write_masks(folder: Path, network: FashionNet, data: LabelledImages) -> None:
    """The saliency maps, and a table of one row per map; row `i` describes `saliency.npy[i]`."""
    maps = saliency_maps(network, data.images)
    ids = np.arange(len(maps), dtype=np.int32)
    columns = {
        "mask_id": pa.array(ids),
        "image_id": pa.array(ids),
        "model_id": pa.array(np.ones(len(maps), dtype=np.int32)),
        "mask_type": pa.array(["grad_cam"] * len(maps)),
        "label": pa.array(data.labels.astype(np.int32)),
        "prediction": pa.array(predict(network, data.images).astype(np.int32)),
    }
    quantised = np.rint(maps * SALIENCY_SCALE).astype(np.uint8)
    print(f"all-zero maps: {(~quantised.any(axis=(1, 2))).sum()} of {len(maps)}")
    np.save(folder / "saliency.npy", quantised)
    pq.write_table(pa.table(columns), folder / "masks.parquet")


def write_model(folder: Path, network: FashionNet) -> None:
    """The weights as safetensors, and the whole network as an export archive of any batch size."""
    (folder / "fashion.safetensors").write_bytes(save(network.state_dict()))
    example = torch.zeros(2, 1, 28, 28)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(network, (example,), dynamic_shapes={"image": {0: batch}})
    # The example would be stored as a pickle, the stack traces with the paths of this machine.
    program.example_inputs = None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    torch.export.save(program, folder / "fashion.pt2")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source",
        type=Path,
        default=Path("/usr/share/datasets/fashion-mnist"),
        help="folder of the idx .gz files (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).resolve().parent,
        help="folder to write to (default: beside this script)",
    )
    parser.add_argument("--images", type=int, default=2000, help="test images to keep")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


def main() -> None:
    """Trains, measures and writes every file of the demo."""
    arguments = parse_arguments()
    torch.set_num_threads(2)
    torch.manual_seed(arguments.seed)
    torch.use_deterministic_algorithms(True)
    test = read_split(arguments.source, "t10k")
    shown = LabelledImages(test.images[: arguments.images], test.labels[: arguments.images])
    training = read_split(arguments.source, "train")
    network = train(training, arguments.epochs, arguments.batch_size)
    for data in (test, shown):
        right = int((predict(network, data.images) == data.labels).sum())
        print(f"accuracy on {len(data.labels)} test images: {right / len(data.labels):.4f}")
    write_classes(arguments.output / "classes.csv")
    write_images(arguments.output, shown)
    write_masks(arguments.output, network, shown)
    write_model(arguments.output, network)


if __name__ == "__main__":
    main()
