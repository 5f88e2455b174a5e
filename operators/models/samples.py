"""Inputs to probe a model with: seeded, varied, and of the types a module may take."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tensorsql.errors import BindError
from tensorsql.operators.models.model import Model
from tensorsql.storage.columns.column import CPU

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
