"""What a model is, found by running it: whether a row's answer is the row's own, and no accident.

A few rows are run in the canonical batch: twice, beside other rows at other places, beside copies
of themselves, and alone. Ordinary networks give them the same bits in each full batch. One whose
values differ by rounding alone is run a row at a time from then on; one whose values differ by more
has rows that depend on each other, or on chance, and is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tensorsql.errors import BindError, DataError, UnsupportedError
from tensorsql.operators.models.identity import raw_bytes
from tensorsql.operators.models.model import Model, as_activation
from tensorsql.storage.columns.column import CPU
from tensorsql.storage.tables.catalog import Running

QUANTISED = 0.1  # dynamic quantisation rounds by the range of the batch: to a few of 256 steps
OUTPUT = ""  # the model's own output among the layers'
Layers = dict[str, Tensor]


@dataclass(frozen=True)
class Trial:
    """Layers with the shape of one row, in the order they run; `prints` tells functions apart."""

    layers: tuple[tuple[str, tuple[int, ...]], ...]
    running: Running
    prints: bytes


def try_model(model: Model) -> Trial:
    """Try a model, and set how it is to be run.

    UnsupportedError for one whose answers are not its rows' own, BindError for one that cannot run.
    """
    with torch.random.fork_rng(devices=[]):
        rows, seen = _first_run(model)
        _refuse_chance(model, rows)
        apart = _distances(model, rows, seen)
        limit = _tolerance(model)
        _refuse_dependence(apart, limit)
        # A layer may have as many rows as there are inputs, and yet none of its own for each.
        seen = {path: value for path, value in seen.items() if apart.get(path, 0.0) <= limit}
        if any(path in apart for path in seen):
            model.alone = True
            model.batch = 1 if _alone(model, rows[:1]) is not None else model.batch
    wide = any(value.dtype is torch.float64 for value in seen.values())
    shapes = {path: tuple(value.shape[1:]) for path, value in seen.items()}
    running = Running(
        str(model.dtype).removeprefix("torch."),
        "float64" if wide else "float32",
        shapes.pop(OUTPUT),
        model.batch,
        model.alone,
    )
    return Trial(tuple(shapes.items()), running, _prints(seen, running))


def _first_run(model: Model) -> tuple[Tensor, Layers]:
    """The first inputs that the model takes, and what it made of them."""
    problem: Exception | None = None
    for dtype in input_types(model):
        model.dtype = dtype
        for rows in samples(model, dtype):
            try:
                return rows, _observed(model, rows, _places(len(rows)))
            except (BindError, DataError) as error:
                problem = problem or error
    assert problem is not None
    hint = "; is the input stated right?" if isinstance(problem, DataError) else ""
    raise BindError(f"{problem}{hint}") from problem


def _places(count: int) -> list[int]:
    """The rows that are watched."""
    return sorted({0, count // 3, 2 * count // 3, count - 1})


def _observed(model: Model, rows: Tensor, places: list[int]) -> Layers:
    """Values of the rows at these places in every layer with a row per input, and the output's.

    A module's later calls are `path@1`, `path@2`, …
    """
    layers: Layers = {}
    calls: dict[str, int] = {}

    def see(path: str, value: Any) -> None:
        number = calls[path] = calls.get(path, -1) + 1
        plain = isinstance(value, Tensor) and value.dim() > 1 and len(value) == len(rows)
        if plain and not value.is_complex():
            layers[f"{path}@{number}" if number else path] = as_activation(value)[places]

    output = model.watched(rows, see)
    layers[OUTPUT] = output[places].clone()
    return layers


def _refuse_chance(model: Model, rows: Tensor) -> None:
    everything = list(range(len(rows)))
    before = model.watched(rows, _ignore)[everything].clone()
    state = torch.get_rng_state()
    after = model.watched(rows, _ignore)
    drew = not torch.equal(state, torch.get_rng_state())
    if drew or _apart(before, after) > 0:
        why = "draws random numbers" if drew else "gives one input other values each time it runs"
        raise UnsupportedError(
            f"the model {why}, as dropout and counters do; put it into eval mode, export it in"
            " that mode, or take out what depends on chance or on earlier runs"
        )


def _ignore(path: str, value: Any) -> None:
    pass


def _distances(model: Model, rows: Tensor, seen: Layers) -> dict[str, float]:
    """How far apart the same rows' values are by what surrounds them, in layers where they are."""
    places = _places(len(rows))
    apart: dict[str, float] = {}
    others = _beside_others(model, rows, places)
    copies = _observed(model, rows[:1].expand_as(rows), places[:1])
    for path, values in seen.items():
        distance = max(_apart(values, others.get(path)), _apart(values[:1], copies.get(path)))
        if distance:
            apart[path] = distance
    alone = _alone(model, rows[:1])
    if alone is not None and _apart(seen[OUTPUT][:1], alone) > 30 * _tolerance(model):
        apart[OUTPUT] = float("inf")  # runs of other shapes round otherwise, hence the 30
    return apart


def _beside_others(model: Model, rows: Tensor, places: list[int]) -> Layers:
    """Values of the watched rows at other places of a batch of other rows."""
    moved = places[::-1]
    batch = neighbours(rows)
    batch[moved] = rows[places]
    try:
        return _observed(model, batch, moved)
    except (BindError, DataError):  # it takes no such neighbours; its own kind it took
        return _observed(model, rows.flip(0), [len(rows) - 1 - place for place in places])


def _refuse_dependence(apart: dict[str, float], limit: float) -> None:
    if apart.get(OUTPUT, 0.0) <= limit:
        return
    first = next(path for path, distance in apart.items() if distance > limit)
    what = f'layer "{first}"' if first else "the model"
    raise UnsupportedError(
        f"rows of the model depend on each other: {what} gives a row other values beside other"
        " rows, as batch normalisation in training mode or an operation over axis 0 does"
    )


def _alone(model: Model, row: Tensor) -> Tensor | None:
    """The output of a batch of this one row; None if the model does not take it."""
    try:
        output = model.forward(row.clone())
        return as_activation(output) if len(output) == 1 else None
    except (BindError, DataError, TypeError):
        return None


def _tolerance(model: Model) -> float:
    """What rounding may do to a value, in parts of its layer's greatest."""
    if any("quantized" in type(part).__module__ for part in model.module.modules()):
        return QUANTISED
    dtype = model.dtype if model.dtype.is_floating_point else torch.float32
    return float(torch.finfo(dtype).eps ** 0.5)


def _apart(one: Tensor, other: Tensor | None) -> float:
    """The greatest difference in parts of the greatest value; 0 only for the same values."""
    if other is None or one.shape != other.shape:
        return float("inf")
    one, other = one.double(), other.double()
    same = (one == other) | (one.isnan() & other.isnan())
    if bool(same.all()):
        return 0.0
    difference = (one - other).abs()[~same].max()
    largest = torch.maximum(one.abs(), other.abs()).nan_to_num(0, 0, 0).max()
    return float((difference / largest).nan_to_num(torch.inf))


def _prints(seen: Layers, running: Running) -> bytes:
    digest = hashlib.sha256(repr(running).encode())
    for path, value in seen.items():
        digest.update(path.encode() + raw_bytes(value))
    return digest.digest()


SEED = 20
LIMITS = (30_000, 1_000, 100, 10, 2, 1)  # of token ids: a vocabulary's size is not known


def input_types(model: Model) -> list[torch.dtype]:
    """Element types the model may take, likeliest first: what its file or first weights say."""
    if model.stated is not None:
        return [model.stated]
    weights = (p.dtype for p in model.module.parameters() if p.is_floating_point())
    floats = [next(weights, torch.float32)]
    parts = [part for part in model.module.modules() if list(part.parameters(False))]
    if not any(isinstance(part, nn.Embedding | nn.EmbeddingBag) for part in parts):
        return floats if parts else [*floats, torch.int64]
    first = isinstance(parts[0], nn.Embedding | nn.EmbeddingBag)
    return [torch.int64, *floats] if first else [*floats, torch.int64]


def samples(model: Model, dtype: torch.dtype) -> Iterator[Tensor]:
    """Batches [batch, *shape] of random rows, of one kind each, likeliest first."""
    shape = (model.batch, *(model.shape or ()))
    random = torch.Generator(CPU).manual_seed(SEED)
    if dtype.is_complex or (not dtype.is_floating_point and model.scale is not None):
        what = str(dtype).removeprefix("torch.")
        raise BindError(f"a model of {what} inputs takes no scale, nor complex numbers")
    if not dtype.is_floating_point:
        most = 2 if dtype is torch.bool else torch.iinfo(dtype).max + 1
        for limit in dict.fromkeys(min(limit, most) for limit in LIMITS):
            yield torch.randint(limit, shape, generator=random, device=CPU).to(dtype)
        return
    if model.scale is not None:
        yield (torch.randint(256, shape, generator=random, device=CPU) / model.scale).to(dtype)
    yield torch.randn(shape, generator=random, device=CPU).to(dtype)
    yield torch.rand(shape, generator=random, device=CPU).to(dtype)
    yield torch.randint(1, 3, shape, generator=random, device=CPU).to(dtype)
    yield torch.ones(shape, dtype=dtype, device=CPU)


def neighbours(rows: Tensor) -> Tensor:
    """Rows unlike these to stand beside them: greater, negative, constant, and some of the same."""
    random = torch.Generator(CPU).manual_seed(SEED + 1)
    other = rows[torch.randperm(len(rows), generator=random, device=CPU)].clone()
    if rows.dtype.is_floating_point:
        other[0::5] *= 8
        other[1::5] *= -1
    other[2::5] = 0
    other[3::5] = 1
    return other
