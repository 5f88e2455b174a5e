"""The few operations that Python numbers and tensors spell differently, chosen by the operand.

Torch-free until an operand is a tensor.
"""

from __future__ import annotations

import math
from typing import Any


class Numbers:
    """Python numbers; conditions are booleans."""

    @staticmethod
    def where(condition: Any, one: Any, other: Any) -> Any:
        """`one` if the condition holds, else `other`."""
        return one if condition else other

    @staticmethod
    def minimum(one: Any, other: Any) -> Any:
        """The smaller."""
        return min(one, other)

    @staticmethod
    def maximum(one: Any, other: Any) -> Any:
        """The larger."""
        return max(one, other)

    @staticmethod
    def down(value: Any) -> Any:
        """The next double below; infinities stay."""
        return value if math.isinf(value) else math.nextafter(value, -math.inf)

    @staticmethod
    def up(value: Any) -> Any:
        """The next double above; infinities stay."""
        return value if math.isinf(value) else math.nextafter(value, math.inf)

    @staticmethod
    def floor(value: Any) -> Any:
        """The largest whole number not above, as a float."""
        return float(math.floor(value)) if math.isfinite(value) else value

    @staticmethod
    def ceil(value: Any) -> Any:
        """The smallest whole number not below, as a float."""
        return float(math.ceil(value)) if math.isfinite(value) else value

    @staticmethod
    def isnan(value: Any) -> Any:
        """Whether it is NaN."""
        return math.isnan(value)

    @staticmethod
    def divide(one: Any, other: Any) -> Any:
        """IEEE division of floats."""
        if other:
            return one / other
        return math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one)


def namespace(*operands: Any) -> Any:
    """The operations for these operands: `Numbers`, or `Tensors` if any is a tensor."""
    if all(isinstance(each, bool | int | float) for each in operands):
        return Numbers
    from tensorsql.storage.columns.tensor_numerics import Tensors

    return Tensors
