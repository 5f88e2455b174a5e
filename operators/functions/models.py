"""Kernels of PREDICT and PREDICT_PROBA: torch models over a TENSOR or over numbers by position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import torch
from torch import Tensor

from tensorsql.errors import BindError
from tensorsql.operators.columns.layouts import values_of
from tensorsql.operators.functions.neurons import list_offsets, places_of, runs
from tensorsql.operators.functions.registry import Extent, narrowed
from tensorsql.operators.models.inference import CHUNK, WHERE, inference_of
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.changes import expand, widen
from tensorsql.storage.columns.column import (
    Column,
    Dictionary,
    Flat,
    List,
    StringDictionary,
    valid_rows,
)
from tensorsql.storage.columns.types import DOUBLE, Kind
from tensorsql.storage.tables.catalog import ModelEntry

Arguments = Sequence[Column]


def predict(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """The model's answer of each row: a number, a class, its label, or the raw outputs as a list.

    NULL in any argument gives NULL, and so does NaN among the outputs, but for raw ones. Of equal
    outputs the lowest class wins.
    """
    columns, validity, places = _inputs(arguments, extent)
    entry: ModelEntry = call.option("model")
    outputs = _outputs(columns, places, call, extent)
    if call.type.kind is Kind.LIST:
        return _lists(call, outputs, places, extent, validity)
    validity = _answered(validity, outputs, places, extent)
    if call.type.kind is Kind.DOUBLE:
        values = torch.zeros(extent.count, dtype=torch.float64, device=extent.device)
        values[places] = outputs.reshape(-1).double()
        return Flat(DOUBLE, values, validity)
    codes = torch.zeros(extent.count, dtype=torch.int32, device=extent.device)
    if len(places):
        # argmax does not say which of equal outputs it takes.
        peaks = outputs == outputs.amax(1, keepdim=True)
        codes[places] = (peaks.cumsum(1) == 0).sum(1).to(torch.int32)
    if call.type.kind is Kind.VARCHAR:
        return Dictionary(call.type, codes, _labels(entry), validity)
    return Flat(call.type, codes, validity)


def predict_proba(arguments: Arguments, call: Call, extent: Extent) -> Column:
    """Probabilities in class order as a list, or the one of the option `class`."""
    columns, validity, places = _inputs(arguments, extent)
    entry: ModelEntry = call.option("model")
    outputs = _outputs(columns, places, call, extent).double()
    if entry.options.get("probabilities", "softmax") == "softmax" and len(places):
        outputs = torch.softmax(outputs, 1)
    validity = _answered(validity, outputs, places, extent)
    if call.type.kind is Kind.LIST:
        return _lists(call, outputs, places, extent, validity)
    values = torch.zeros(extent.count, dtype=torch.float64, device=extent.device)
    if len(places):
        values[places] = outputs[:, call.option("class")]
    return Flat(DOUBLE, values, validity)


def _answered(
    validity: Tensor | None, outputs: Tensor, places: Tensor, extent: Extent
) -> Tensor | None:
    """The validity without the rows that have NaN among their outputs: those say nothing."""
    silent = outputs.isnan().any(1)
    if not bool(silent.any()):
        return validity
    every = torch.ones(extent.count, dtype=torch.bool, device=extent.device)
    answered = every if validity is None else validity.clone()
    answered[places[silent]] = False
    return answered


def _inputs(arguments: Arguments, extent: Extent) -> tuple[list[Column], Tensor | None, Tensor]:
    """The columns, the result's validity, and the positions of the rows to run."""
    columns = [expand(each) for each in arguments]
    validity = valid_rows(columns)
    return columns, validity, places_of(narrowed(extent.active, validity), extent)


def _outputs(columns: list[Column], places: Tensor, call: Call, extent: Extent) -> Tensor:
    """Outputs [n, width] of the rows at these places."""
    if call.option("model") is None:
        raise BindError("PREDICT takes a model as its first argument")
    if columns and columns[0].type.kind is Kind.TENSOR:
        parts = [outputs for _, outputs in runs(columns[0], places, call, extent)]
    else:
        parts = list(_numeric_runs(columns, places, call, extent))
    return torch.cat(parts).to(extent.device) if parts else torch.zeros(0, 1, device=extent.device)


def _numeric_runs(
    columns: list[Column], places: Tensor, call: Call, extent: Extent
) -> Iterator[Tensor]:
    """Numbers stacked by position as one row of features; not worth keeping for later."""
    inference, model = inference_of(extent.context), extent.context.model(call.option("model"))
    for part in torch.split(places, CHUNK):
        if len(part):
            extent.context.check()
            rows = [values_of(widen(each)).index_select(0, part) for each in columns]
            stacked = torch.stack(rows, 1)
            yield inference.run_numbers(model, stacked.to(WHERE))


def _lists(
    call: Call, outputs: Tensor, places: Tensor, extent: Extent, validity: Tensor | None
) -> Column:
    offsets = list_offsets(extent, places, outputs.shape[1])
    return List(call.type, offsets, Flat(DOUBLE, outputs.reshape(-1).double()), validity)


def _labels(entry: ModelEntry) -> StringDictionary:
    labels = pa.array(list(entry.options["labels"]), pa.large_string())
    return StringDictionary(labels, sorted=False, unique=True)
