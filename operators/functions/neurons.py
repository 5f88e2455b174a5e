"""Kernels over neurons: distances to a target, scores and activations of one layer.

Rows are run in chunks of the model's canonical batches; only active rows with an image are run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tensorsql.errors import BindError
from tensorsql.operators.functions.registry import Extent, live_rows
from tensorsql.operators.models.inference import CHUNK, chunk_of, inference_of
from tensorsql.planner.analysis.neurons import check_range
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import Column, Flat, List, take
from tensorsql.storage.columns.ragged import cumulated
from tensorsql.storage.columns.types import DOUBLE, Kind

Arguments = Sequence[Column]


def distance(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """Distance of each image to the target over a group of neurons, DOUBLE; NULL for no image."""
    return _measured(arguments, call, extent)


def score(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """Score of a group of neurons for each image, DOUBLE; NULL for no image."""
    return _measured(arguments, call, extent)


def _measured(arguments: Arguments, call: Call, extent: Extent) -> Column:
    column = expand(arguments[0])
    places = wanted_rows(column, extent)
    values = torch.zeros(extent.count, dtype=torch.float64, device=extent.device)
    if len(places):
        question = inference_of(extent.context).question(_checked(call), extent.context)
        for part, outputs in runs(column, places, call, extent):
            neurons = torch.arange(outputs.shape[1], device=outputs.device)
            group = question.group if len(question.group) else neurons
            check_range(tuple(group.tolist()), outputs.shape[1])
            chosen = outputs.index_select(1, group).T.double()
            values[part] = question.measure.values(chosen).to(extent.device)
    return Flat(DOUBLE, values, column.validity)


def activations(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """The activations of a group of neurons as a list of REAL; NULL for no image."""
    column = expand(arguments[0])
    places = wanted_rows(column, extent)
    indices = _checked(call).option("neurons").indices
    parts = []
    for _, outputs in runs(column, places, call, extent):
        if indices is not None:
            check_range(indices, outputs.shape[1])
            outputs = outputs.index_select(1, torch.tensor(indices, device=outputs.device))
        parts.append(outputs.to(extent.device))
    assert call.type.child is not None
    wide = call.type.child.kind is Kind.DOUBLE
    parts = parts or [torch.zeros(0, 0, device=extent.device)]
    values = torch.cat(parts).to(torch.float64 if wide else torch.float32)
    offsets = list_offsets(extent, places, values.shape[1])
    return List(call.type, offsets, Flat(call.type.child, values.reshape(-1)), column.validity)


def wanted_rows(column: Column, extent: Extent) -> Tensor:
    """Positions of the active rows that have a value."""
    return places_of(live_rows(extent, column), extent)


def places_of(wanted: Tensor | None, extent: Extent) -> Tensor:
    """int64 positions of the wanted rows (None = all)."""
    if wanted is None:
        return torch.arange(extent.count, device=extent.device)
    return torch.nonzero(wanted)[:, 0]


def list_offsets(extent: Extent, places: Tensor, width: int) -> Tensor:
    """The offsets of lists of so many elements at these places, empty ones elsewhere."""
    lengths = torch.zeros(extent.count, dtype=torch.int64, device=extent.device)
    return cumulated(lengths.index_fill_(0, places, width))


def runs(
    column: Column, places: Tensor, call: Call, extent: Extent
) -> Iterator[tuple[Tensor, Tensor]]:
    """(positions, outputs [n, neurons]) chunk by chunk, of the call's layer or the whole model."""
    inference, model = inference_of(extent.context), extent.context.model(call.option("model"))
    for part in torch.split(places, CHUNK):
        if len(part):
            extent.context.check()
            chunk = chunk_of(take(column, part), 0, len(part))
            yield part, inference.outputs(model, call.option("layer"), chunk)


def _checked(call: Call) -> Call:
    """The binder alone makes these calls; written by hand they lack their options."""
    if call.option("model") is None:
        raise BindError(
            f"{call.function.name} is part of TOPK_SIMILAR, TOPK_HIGHEST and ACTIVATIONS;"
            " use one of them in FROM"
        )
    return call
