"""A toy family of models: `.linear`, a line of numbers, the weights of a sum."""

from __future__ import annotations

import torch
from torch import nn

from tensorsql.operators.models.file import ModelFile
from tensorsql.operators.models.model import Model
from tensorsql.operators.models.options import ModelOptions


def load(file: ModelFile, options: ModelOptions) -> Model:
    """A layer with these weights and no bias."""
    weights = torch.tensor([[float(word) for word in file.content.split()]])
    layer = nn.Linear(weights.shape[1], 1, bias=False)
    layer.load_state_dict({"weight": weights})
    return Model(layer.eval(), options.input, scale=options.scale)
