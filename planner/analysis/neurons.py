"""What a neuron query names: a group of neurons and the row it is compared with. Torch-free."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tensorsql.errors import BindError, nearest
from tensorsql.storage.tables.catalog import ModelEntry, Relation, TableName


@dataclass(frozen=True)
class NeuronGroup:
    """Neurons of a layer, counted from 0 in C, H, W order.

    `indices` None and `top` 0: the whole layer. `top` n: the n most activated of the target, ties
    to the lower number. `text` is what the user wrote.
    """

    indices: tuple[int, ...] | None = None
    top: int = 0
    text: str = field(default="all", compare=False)

    def __str__(self) -> str:
        return self.text


WHOLE_LAYER = NeuronGroup()


@dataclass(frozen=True)
class TargetRow:
    """The row of `table` whose `id_column` (None = the row id) is `value`; its image column."""

    table: TableName | Relation = field(repr=False)
    image: str
    id_column: str | None
    value: Any

    def __str__(self) -> str:
        return str(self.value)


def layer_shape(model: ModelEntry, layer: str) -> tuple[int, ...]:
    """Shape of the layer's output a row; BindError lists the layers there are."""
    layers = dict(model.layers)
    if not layers:
        raise BindError(
            f'model "{model.name}" has no layer that can be asked for: a scripted, traced or'
            " exported program runs them out of sight; create the model from its module"
        )
    if layer not in layers:
        hint = nearest(layer, layers) or f"; DESCRIBE MODEL {model.name} lists its layers"
        raise BindError(f'model "{model.name}" has no layer "{layer}"{hint}')
    return layers[layer]


def neuron_list(indices: tuple[int, ...], shape: tuple[int, ...], text: str) -> NeuronGroup:
    """A checked list: at least one neuron, none twice, none the layer does not have."""
    if not indices:
        raise BindError("neurons needs at least one neuron")
    if len(set(indices)) < len(indices):
        twice = next(each for each in indices if indices.count(each) > 1)
        raise BindError(f"neuron {twice} is listed twice")
    check_range(indices, math.prod(shape))
    return NeuronGroup(indices, text=text)


def check_range(indices: tuple[int, ...], count: int) -> None:
    """BindError for a neuron outside 0 … count - 1."""
    for index in (min(indices), max(indices)):
        if not 0 <= index < count:
            raise BindError(
                f"neuron {index} does not exist; the layer's neurons are 0 … {count - 1}"
            )


def channel(shape: tuple[int, ...], number: int) -> NeuronGroup:
    """`CHANNEL(c)`: every place of one channel of a layer [C, H, W]."""
    channels, *places = _channels_first(shape, "CHANNEL")
    if not 0 <= number < channels:
        raise BindError(f"channel {number} does not exist; the channels are 0 … {channels - 1}")
    size = math.prod(places)
    indices = tuple(range(number * size, (number + 1) * size))
    return NeuronGroup(indices, text=f"CHANNEL({number})")


def at_position(shape: tuple[int, ...], y: int, x: int) -> NeuronGroup:
    """`POSITION(y, x)`: every channel at one place of a layer [C, H, W]."""
    channels, height, width = _channels_first(shape, "POSITION")
    if not (0 <= y < height and 0 <= x < width):
        raise BindError(
            f"position ({y}, {x}) does not exist; y is 0 … {height - 1}, x is 0 … {width - 1}"
        )
    indices = tuple(c * height * width + y * width + x for c in range(channels))
    return NeuronGroup(indices, text=f"POSITION({y}, {x})")


def _channels_first(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    if len(shape) != 3:
        shown = ", ".join(map(str, shape))
        raise BindError(f"{name} is for layers of shape [C, H, W]; this one is [{shown}]")
    return shape[0], shape[1], shape[2]
