"""Numeric operations on float64 and bool tensors, mixed with Python numbers."""

from __future__ import annotations

import math
from typing import Any

import torch


def _tensor(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    dtype = torch.bool if isinstance(value, bool) else torch.float64
    return torch.tensor(value, dtype=dtype, device="cpu")  # no dimensions: fits every device


def _step(value: Any, towards: float) -> torch.Tensor:
    number = _tensor(value)
    stepped = torch.nextafter(number, torch.full_like(number, towards))
    return torch.where(torch.isinf(number), number, stepped)


class Tensors:
    """What `numerics.Numbers` does, element by element."""

    @staticmethod
    def where(condition: Any, one: Any, other: Any) -> Any:
        """`one` where the condition holds, else `other`."""
        if isinstance(condition, bool):
            return one if condition else other
        return torch.where(condition, _tensor(one), _tensor(other))

    @staticmethod
    def minimum(one: Any, other: Any) -> Any:
        """The smaller."""
        return torch.minimum(_tensor(one), _tensor(other))

    @staticmethod
    def maximum(one: Any, other: Any) -> Any:
        """The larger."""
        return torch.maximum(_tensor(one), _tensor(other))

    @staticmethod
    def down(value: Any) -> Any:
        """The next double below; infinities stay."""
        return _step(value, -math.inf)

    @staticmethod
    def up(value: Any) -> Any:
        """The next double above; infinities stay."""
        return _step(value, math.inf)

    @staticmethod
    def floor(value: Any) -> Any:
        """The largest whole number not above."""
        return torch.floor(_tensor(value))

    @staticmethod
    def ceil(value: Any) -> Any:
        """The smallest whole number not below."""
        return torch.ceil(_tensor(value))

    @staticmethod
    def isnan(value: Any) -> Any:
        """Whether it is NaN."""
        return torch.isnan(_tensor(value))

    @staticmethod
    def divide(one: Any, other: Any) -> Any:
        """IEEE division."""
        return _tensor(one) / _tensor(other)
