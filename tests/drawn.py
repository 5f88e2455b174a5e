"""Masks and networks written as text, small enough to check what a query says of them by hand.

Masks stand beside each other under their ids; a digit is a pixel in tenths, so that 7 is 0.7:

    1    2    3
    000  099  555
    090  099  555

A network is a list of layers. Under `linear NAME` every line is a neuron, its weights and then its
bias; under `relu NAME` there is nothing:

    linear fc1
    1 0  0
    1 1 -3
    relu relu1
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

TENTHS = 10  # the stored pixel that means 1


def drawn_masks(text: str) -> tuple[list[int], np.ndarray]:
    """The ids, and the pixels [n, height, width] in tenths."""
    ids, *rows = (line.split() for line in text.splitlines())
    pixels = [[[int(digit) for digit in row[place]] for row in rows] for place in range(len(ids))]
    return [int(id) for id in ids], np.array(pixels, dtype=np.uint16)


def written_network(text: str) -> nn.Module:
    """The module, with its layers under their names."""
    layers = OrderedDict((name, _layer(kind, rows)) for kind, name, rows in _layers(text))
    return nn.Sequential(layers).eval()


def _layers(text: str) -> Iterator[tuple[str, str, list[list[float]]]]:
    """(kind, name, lines of numbers) of each layer."""
    kind, name, rows = "", "", list[list[float]]()
    for words in map(str.split, text.splitlines()):
        if words[0] not in ("linear", "relu"):
            rows.append([float(word) for word in words])
            continue
        if kind:
            yield kind, name, rows
        kind, name, rows = words[0], words[1], []
    yield kind, name, rows


def _layer(kind: str, rows: Sequence[Sequence[float]]) -> nn.Module:
    if kind == "relu":
        return nn.ReLU()
    layer = nn.Linear(len(rows[0]) - 1, len(rows))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([row[:-1] for row in rows]))
        layer.bias.copy_(torch.tensor([row[-1] for row in rows]))
    return layer
