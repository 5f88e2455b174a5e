"""Arithmetic that torch does not round as IEEE 754 asks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def square_root(values: Tensor) -> Tensor:
    """The nearest float to each square root; torch's vector library is off by one bit for some."""
    if values.device.type != "cpu":
        return values.sqrt()
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(np.sqrt(values.numpy()))
