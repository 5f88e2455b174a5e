"""Activations kept in memory across queries, all neurons of a layer for every input run (IQA).

An input is known by its content, found by a 64-bit hash and compared in full: so the cache serves
tables, files, subqueries and repeated images alike, and no change of a table can make it stale.
Each layer in use has an equal share of the budget. A full share takes no more rows: the inputs
nearest to a query are run first and are the ones worth keeping.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tensorsql.storage.columns.column import CPU

DEFAULT_BYTES = 256 * 2**20

# The model's identity (weights, preprocessing, how it is run), the layer ("" = the model's output)
# and the type of the inputs.
LayerKey = tuple[str, ...]


def content_hash(rows: Tensor) -> Tensor:
    """int64 [n] from rows of bytes [n, width]: a polynomial that wraps, so equal rows agree."""
    width = rows.shape[1]
    padded = torch.nn.functional.pad(rows, (0, -width % 8)).contiguous().view(torch.int64)
    random = torch.Generator(CPU).manual_seed(0x5EED)
    drawn = torch.randint(-(2**62), 2**62, (padded.shape[1],), generator=random, device=CPU)
    factors = drawn.to(rows.device) * 2 + 1
    mixed = padded ^ (padded >> 29)
    return (mixed * factors).sum(1)


def as_bytes(rows: Tensor) -> Tensor:
    """The same rows as uint8 [n, bytes a row]."""
    return rows.reshape(len(rows), -1).contiguous().view(torch.uint8)


@dataclass
class LayerRows:
    """Inputs run through one layer, in the order they came; `order` sorts their hashes."""

    inputs: Tensor
    hashes: Tensor
    values: Tensor
    order: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.order = torch.argsort(self.hashes)

    @property
    def row_bytes(self) -> int:
        """Bytes one more row takes."""
        return 16 + self.inputs.shape[1] + self.values.shape[1] * self.values.element_size()

    @property
    def bytes(self) -> int:
        """Bytes of inputs, hashes and activations."""
        return self.inputs.nbytes + self.hashes.nbytes + self.order.nbytes + self.values.nbytes

    def find(self, inputs: Tensor, hashes: Tensor) -> Tensor:
        """The place of each input [n], -1 where it is not kept."""
        if not len(self.hashes) or inputs.shape[1] != self.inputs.shape[1]:
            return torch.full_like(hashes, -1)
        ranks = torch.searchsorted(self.hashes[self.order], hashes).clamp(max=len(self.order) - 1)
        places = self.order[ranks]
        same = (self.hashes[places] == hashes) & (self.inputs[places] == inputs).all(1)
        return torch.where(same, places, torch.full_like(places, -1))

    def add(self, inputs: Tensor, hashes: Tensor, values: Tensor) -> None:
        """Keep more rows."""
        self.inputs = torch.cat([self.inputs, inputs])
        self.hashes = torch.cat([self.hashes, hashes])
        self.values = torch.cat([self.values, values])
        self.order = torch.argsort(self.hashes)

    def shrink(self, count: int) -> None:
        """Keep the oldest `count` rows."""
        self.inputs, self.hashes = self.inputs[:count].clone(), self.hashes[:count].clone()
        self.values = self.values[:count].clone()
        self.order = torch.argsort(self.hashes)


class ActivationCache:
    """Bounded by `limit` bytes in all. Thread-safe."""

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self.limit = limit
        self._layers: dict[LayerKey, LayerRows] = {}
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Bytes in use."""
        with self._lock:
            return sum(layer.bytes for layer in self._layers.values())

    def get(self, key: LayerKey, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Which inputs [n, …] are kept (bool [n]), and their activations in that order."""
        with self._lock:
            layer = self._layers.get(key)
            if layer is None:
                return rows.new_zeros(len(rows), dtype=torch.bool), None
            inputs = as_bytes(rows)
            places = layer.find(inputs, content_hash(inputs))
            cached = places >= 0
            return cached, layer.values.index_select(0, places[cached])

    def put(self, key: LayerKey, rows: Tensor, values: Tensor) -> None:
        """Keep as many of these inputs as the layer's share has room for."""
        inputs = as_bytes(rows)
        hashes = content_hash(inputs)
        with self._lock:
            if key not in self._layers:
                self._layers[key] = LayerRows(inputs[:0], hashes[:0], values[:0])
                self._share_out()
            layer = self._layers[key]
            if layer.inputs.shape[1] != inputs.shape[1]:
                return
            fresh = torch.nonzero(layer.find(inputs, hashes) < 0)[:, 0]
            fresh = fresh[: max(0, self._share - layer.bytes) // layer.row_bytes]
            if len(fresh):
                layer.add(inputs[fresh], hashes[fresh], values[fresh])

    @property
    def _share(self) -> int:
        return self.limit // len(self._layers)

    def _share_out(self) -> None:
        for layer in self._layers.values():
            if layer.bytes > self._share:
                layer.shrink(self._share // layer.row_bytes)
