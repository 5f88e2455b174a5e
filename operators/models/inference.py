"""Running models for queries: opened models, cached activations, targets and measures."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.errors import BindError, DataError
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.columns.text import flat_of_arrow
from tensorsql.operators.models.activations import ActivationCache
from tensorsql.operators.models.load import open_model
from tensorsql.operators.models.measures import DISTANCES, SCORES, Measure
from tensorsql.operators.models.model import Model
from tensorsql.operators.runtime.metrics import count
from tensorsql.operators.runtime.program import Context, Services
from tensorsql.planner.analysis.neurons import NeuronGroup, TargetRow
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.arrow import to_arrow
from tensorsql.storage.columns.changes import fetch
from tensorsql.storage.columns.column import CPU, Column, slice_column
from tensorsql.storage.columns.types import (
    BOOLEAN,
    Kind,
)
from tensorsql.storage.tables.catalog import ModelEntry, Reader, Relation

WHERE = CPU  # models lie there: inputs are moved to them, and outputs are kept
CHUNK = 1024  # inputs between two looks at the cancel flag
LOOKUP_ROWS = 65536
TARGETS_KEPT = 64


@dataclass(frozen=True, eq=False)
class Question:
    """A neuron query made concrete: the group's neurons (int64) and the measure over them."""

    group: Tensor
    measure: Measure
    target_row: int | None = None  # the target's row id, for distances


class Inference:
    """What inference remembers across queries. Thread-safe.

    `trust` says whether models that came with a database may run code when opened.
    """

    def __init__(
        self, cache: ActivationCache | None = None, trust: Callable[[], bool] = lambda: False
    ) -> None:
        self._trust = trust
        self.cache = ActivationCache() if cache is None else cache
        self._models: dict[str, Model] = {}
        self._targets: dict[tuple[int, int], tuple[TargetRow, int, Tensor]] = {}
        self._lock = threading.Lock()

    def model(self, entry: ModelEntry) -> Model:
        """The loaded model, from the record or opened once."""
        if isinstance(entry.handle, Model):
            return entry.handle
        with self._lock:
            if entry.weights_hash not in self._models:
                self._models[entry.weights_hash] = open_model(entry, self._trust())
            return self._models[entry.weights_hash]

    def outputs(self, entry: ModelEntry, layer: str | None, rows: Tensor) -> Tensor:
        """Activations [n, neurons] of a layer, or the model's outputs, for stored inputs [n, …].

        Inputs seen before come from the cache, with the same bits.
        """
        key = (entry.weights_hash, layer or "", str(rows.dtype))  # bytes alone do not tell numbers
        cached, values = self.cache.get(key, rows)
        if values is not None and len(values) == len(rows):
            return values
        fresh = self.run(entry, layer, rows[~cached])
        self.cache.put(key, rows[~cached], fresh)
        if values is None or not len(values):
            return fresh
        result = fresh.new_empty(len(rows), fresh.shape[1])
        result[cached], result[~cached] = values, fresh
        return result

    def run(self, entry: ModelEntry, layer: str | None, rows: Tensor) -> Tensor:
        """The same without looking at the cache."""
        model = self.model(entry)
        try:
            prepared = model.prepare(rows)
        except DataError as error:
            raise DataError(f'model "{entry.name}": {error.message}') from error
        count(inferences=len(rows))
        outputs = model.outputs(prepared, layer)
        return outputs.reshape(len(rows), -1) if len(rows) else outputs.reshape(0, 0)

    def run_numbers(self, entry: ModelEntry, rows: Tensor) -> Tensor:
        """The model's outputs for rows of numbers [n, width], which are its input in C order."""
        model = self.model(entry)
        if model.scale is None:
            rows = rows.to(model.dtype)
        return self.run(entry, None, rows.reshape(len(rows), *(model.shape or rows.shape[1:])))

    def question(self, call: Call, context: Context) -> Question:
        """The group and measure of a `neuron_distance` or `neuron_score` call."""
        target: TargetRow | None = call.option("target")
        group: NeuronGroup = call.option("neurons")
        entry, layer = context.model(call.option("model")), call.option("layer")
        if target is None:
            indices = _indices(group, dict(entry.layers)[layer], None)
            return Question(indices, SCORES[call.option("score")]())
        row, activations = self._target(target, context.relation(target.table), entry, layer)
        indices = _indices(group, tuple(activations.shape), activations)
        weights = call.option("weights")
        factors = None if weights is None else activations.new_tensor(weights, dtype=torch.float64)
        if factors is not None and len(factors) != len(indices):
            raise BindError(f"there are {len(factors)} weights for {len(indices)} neurons")
        chosen = activations.index_select(0, indices).double()
        return Question(indices, DISTANCES[call.option("dist")](chosen, factors), row)

    def _target(
        self, target: TargetRow, relation: Relation, entry: ModelEntry, layer: str
    ) -> tuple[int, Tensor]:
        """Row id and activations of the target; looked up once for each query and snapshot."""
        key = id(target), relation.version
        remembered = self._targets.get(key)
        if remembered is None or remembered[0] is not target:
            reader = relation.open()
            place = find_row(target, relation, reader)
            image = tensor_rows(reader.read(target.image, place, place + 1))
            if image is None:
                raise BindError(f"input {target} of {relation.name} is NULL")
            activations = self.outputs(entry, layer, image)[0]
            row = int(reader.row_ids(place, place + 1)[0])
            remembered = (target, row, activations)
            with self._lock:
                while len(self._targets) >= TARGETS_KEPT:
                    del self._targets[next(iter(self._targets))]
                self._targets[key] = remembered
        return remembered[1], remembered[2]


def _indices(group: NeuronGroup, shape: tuple[int, ...], target: Tensor | None) -> Tensor:
    if group.top:
        assert target is not None
        return torch.argsort(target, descending=True, stable=True)[: group.top]
    if group.indices is None:
        return torch.arange(math.prod(shape), device=WHERE)
    return torch.tensor(group.indices, dtype=torch.int64, device=WHERE)


def inference_of(context: Context) -> Inference:
    """The session's inference."""
    assert context.services is not None
    return context.services.shared(_inference)


def _inference(services: Services) -> Inference:
    return Inference(trust=services.trusts_models)


def tensor_rows(column: Column) -> Tensor | None:
    """The values [n, …] of a TENSOR column; None for a single NULL row."""
    if column.type.kind is not Kind.TENSOR:
        raise DataError(f"a model takes a TENSOR, not {column.type}")
    if len(column) == 1 and column.validity is not None and not bool(column.validity[0]):
        return None
    return values_of(fetch(column))


def find_row(target: TargetRow, relation: Relation, reader: Reader) -> int:
    """The position of the target; BindError if there is no such row, or more than one."""
    if target.id_column is None:
        place = int(reader.positions(torch.tensor([int(target.value)], device=CPU))[0])
        places = [] if place < 0 else [place]
    else:
        places = []
        for start in range(0, relation.rows, LOOKUP_ROWS):
            stop = min(start + LOOKUP_ROWS, relation.rows)
            hits = _equal(reader.read(target.id_column, start, stop), target.value)
            live = reader.live(start, stop)
            hits = hits if live is None else hits & live
            places += (torch.nonzero(hits)[:, 0] + start).tolist()
    name = target.id_column or "row id"
    if not places:
        raise BindError(
            f"input {target} not found: no row of {relation.name} has {name} = {target}"
        )
    if len(places) > 1:
        raise BindError(
            f"input {target} is ambiguous: {len(places)} rows of {relation.name} have "
            f"{name} = {target}; name another column with id => …"
        )
    return int(places[0])


def _equal(column: Column, value: Any) -> Tensor:
    array = to_arrow(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    same = pc.fill_null(pc.equal(array, pa.scalar(value, array.type)), False)
    return flat_of_arrow(same, BOOLEAN).values


def chunk_of(column: Column, start: int, stop: int) -> Tensor:
    """Values of rows start … stop - 1 of a TENSOR column without NULLs."""
    values = tensor_rows(slice_column(column, start, stop))
    assert values is not None
    return values.to(WHERE)
