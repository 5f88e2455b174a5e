"""What queries need to know of a model before they run it: its inputs, layers and prediction."""

from __future__ import annotations

import dataclasses
import hashlib
import math

from torch import nn

from tensorsql.errors import BindError, UnsupportedError
from tensorsql.operators.models.model import Model
from tensorsql.operators.models.options import ModelOptions
from tensorsql.operators.models.trial import try_model
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import Type
from tensorsql.storage.tables.catalog import ModelEntry

LARGEST_BATCH = 2**30  # values of one batch, which is run whole


def describe(entry: ModelEntry, model: Model, options: ModelOptions) -> ModelEntry:
    """The record with inputs, layers and PREDICT's result type, once the model was tried.

    Its identity includes what the trial saw: code is no part of a module's weights.
    """
    model.shape = model.shape or input_shape(model.module)
    if model.shape is None:
        raise BindError(
            "the model does not say what it takes; state one row, as in input = [3, 224, 224]"
        )
    if model.batch * math.prod(model.shape) > LARGEST_BATCH:
        raise UnsupportedError(
            f"the model takes batches of {model.batch} rows of {list(model.shape)}, which are too"
            f" large: {LARGEST_BATCH} values are the most"
        )
    trial = try_model(model)
    output = _output_type(trial.running.output, options)
    completed = dict(entry.options)
    if output in (types.INTEGER, types.VARCHAR):
        completed["classes"] = list(options.labels) or list(range(max(trial.running.output)))
    digest = hashlib.sha256(entry.weights_hash.encode() + trial.prints).hexdigest()
    return dataclasses.replace(
        entry,
        inputs=_inputs(model, options),
        output=output,
        layers=trial.layers,
        options=completed,
        running=trial.running,
        weights_hash=digest,
        handle=model,
    )


def require_unchanged(entry: ModelEntry, model: Model, options: ModelOptions) -> None:
    """Try a model that came without; UnsupportedError if its record is not what is found now."""
    try:
        described = describe(entry, model, options)
    except (BindError, UnsupportedError) as error:
        raise UnsupportedError(f'model "{entry.name}": {error.message}') from error
    running = dataclasses.replace(described.running, output=(), probed=False)
    recorded = entry.inputs, entry.output, entry.running
    if (described.inputs, described.output, running) != recorded or set(entry.layers) - set(
        described.layers
    ):
        raise UnsupportedError(
            f'model "{entry.name}" was created by an older version, which ran it in another way;'
            f' create it again from "{entry.source}"'
        )


def input_shape(module: nn.Module) -> tuple[int, ...] | None:
    """A network that begins with a linear layer says what it takes; others have to be told."""
    first = next((part for part in module.modules() if list(part.parameters(False))), None)
    return (first.in_features,) if isinstance(first, nn.Linear) else None


def _inputs(model: Model, options: ModelOptions) -> tuple[tuple[str, Type], ...]:
    """Numbers by the names of `features`, else one tensor."""
    assert model.shape is not None
    if not options.features:
        element = str(model.dtype).removeprefix("torch.")
        return (("input", types.tensor(model.shape, element)),)
    if model.shape != (len(options.features),):
        shape = ", ".join(map(str, model.shape))
        raise BindError(f"the input is [{shape}], but {len(options.features)} features are named")
    kind = types.DOUBLE if model.dtype.is_floating_point else types.BIGINT
    return tuple((name, kind) for name in options.features)


def _output_type(shape: tuple[int, ...], options: ModelOptions) -> Type | None:
    """A class, a number, all values as a list if asked for, or None: nothing PREDICT could say."""
    sizes = [size for size in shape if size != 1]
    if 0 in sizes:
        raise UnsupportedError(f"the model gives {list(shape)} a row, which holds no value")
    if options.output == "raw":
        _refuse_class_options(options, "output = 'raw' gives what the model gives")
        return types.list_of(types.DOUBLE) if sizes else types.DOUBLE
    if len(sizes) == 1:
        _check_labels(sizes[0], options)
        return types.VARCHAR if options.labels else types.INTEGER
    size_text = f"{list(shape)}" if sizes else "one number"
    _refuse_class_options(options, f"the model gives {size_text} a row")
    return None if sizes else types.DOUBLE


def _refuse_class_options(options: ModelOptions, reason: str) -> None:
    """BindError for what is said of classes where there are none."""
    said = {
        "labels": bool(options.labels),
        "probabilities": options.probabilities is not None,
        "output = 'class'": options.output == "class",
    }
    names = [name for name, is_said in said.items() if is_said]
    if names:
        raise BindError(f"{reason}, which is no class: it takes no {' and no '.join(names)}")


def _check_labels(width: int, options: ModelOptions) -> None:
    if options.labels and len(options.labels) != width:
        raise BindError(
            f"the model has {width} outputs, but {len(options.labels)} labels are given"
        )
