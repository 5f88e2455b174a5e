"""Arithmetic that torch does not round as IEEE 754 asks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def square_root(values: Tensor) -> Tensor:
    """The nearest float to each square root; torch's vector library is off by one bit for some."""
    if not values.is_cpu:
        return values.sqrt()
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(np.sqrt(values.numpy())).to(values.device)


SPLITTER = float(2**27 + 1)


def multiply_add(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a * b + c of doubles, rounded once but for a last bit (Dekker's exact product)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = halves(a), halves(b)
    lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    back = total - product
    lost_in_sum = (product - (total - back)) + (c - back)
    exact = total + (lost + lost_in_sum)
    return torch.where(torch.isfinite(exact), exact, total)


def halves(values: Tensor) -> tuple[Tensor, Tensor]:
    """Two floats of half the digits that add up to the value (Veltkamp)."""
    scaled = values * SPLITTER
    high = scaled - (scaled - values)
    return high, values - high
