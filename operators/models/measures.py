"""How near or how high a row is: distances to a target and scores over a group of neurons.

A measure maps the activations of a group to one number, and boxes of activations to bounds of it.
Sums run over the neurons one by one, in order, whatever the number of rows. Rounding is monotone,
so the same operations on a box's nearest and farthest corner bound the value without any slack:
ties between bounds and values are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tensorsql.storage.columns.rounding import square_root

Bounds = tuple[Tensor, Tensor]


class Measure(Protocol):
    """One number per row from activations [neurons, rows], all float64."""

    @property
    def descending(self) -> bool:
        """Whether larger is better."""

    @property
    def monotone(self) -> bool:
        """Class (a): the threshold algorithm may be used; otherwise bounded over boxes only (b)."""

    @property
    def target(self) -> Tensor | None:
        """Activations [neurons] of the target; None = +∞ on every neuron."""

    def values(self, activations: Tensor) -> Tensor:
        """The exact value of each row."""

    def bounds(self, lower: Tensor, upper: Tensor) -> Bounds:
        """lower <= value <= upper for rows whose activations lie in these boxes."""

    def beyond(self, low: Tensor, high: Tensor) -> float:
        """The best value of a row no activation of which lies strictly between low and high.

        Monotone measures only; [neurons], infinite on a side where no row is left.
        """


def _total(parts: Tensor) -> Tensor:
    total = parts.new_zeros(parts.shape[1], dtype=torch.float64)
    for part in parts:
        total = total + part
    return total


def _largest(parts: Tensor) -> Tensor:
    return parts.amax(0)


def _rooted_total(parts: Tensor) -> Tensor:
    return square_root(_total(parts))


@dataclass(frozen=True, eq=False)
class Lp:
    """l1, l2 (rooted) or linf of the weighted differences to the target."""

    target: Tensor
    weights: Tensor | None
    power: int
    combine: Callable[[Tensor], Tensor]
    descending: bool = False
    monotone: bool = True

    def values(self, activations: Tensor) -> Tensor:
        """The distance of each row."""
        return self._of((activations - self.target[:, None]).abs())

    def bounds(self, lower: Tensor, upper: Tensor) -> Bounds:
        """Distances of each box's nearest and farthest corner."""
        below, above = self.target[:, None] - lower, upper - self.target[:, None]
        near = torch.maximum(-below, -above).clamp(min=0)
        return self._of(near), self._of(torch.maximum(below.abs(), above.abs()))

    def beyond(self, low: Tensor, high: Tensor) -> float:
        """The distance of the nearest corner outside; 0 on a side that does not hold the target."""
        near = torch.minimum(self.target - low, high - self.target).clamp(min=0)
        return float(self._of(near[:, None])[0])

    def _of(self, differences: Tensor) -> Tensor:
        parts = differences**self.power if self.power > 1 else differences
        return self.combine(parts if self.weights is None else parts * self.weights[:, None])


@dataclass(frozen=True, eq=False)
class Cosine:
    """1 − cosine of the angle to the target; 1 to a zero vector, 0 between two of them."""

    target: Tensor
    weights: Tensor | None
    descending: bool = False
    monotone: bool = False

    def values(self, activations: Tensor) -> Tensor:
        """The distance of each row, between 0 and 2."""
        dot = _total(activations * self._weighted)
        square = _total(activations * activations * self._weight)
        return self._distance(dot, square, square == 0)

    def bounds(self, lower: Tensor, upper: Tensor) -> Bounds:
        """From intervals of the product and of the norm, padded for the rounding of both."""
        ends = torch.stack([lower * self._weighted, upper * self._weighted])
        dot_low, dot_high = _total(ends.amin(0)), _total(ends.amax(0))
        squares = torch.stack([lower * lower, upper * upper])
        crosses = (lower <= 0) & (upper >= 0)
        small = _total(squares.amin(0).masked_fill(crosses, 0) * self._weight)
        large = _total(squares.amax(0) * self._weight)
        never = torch.zeros_like(large, dtype=torch.bool)
        nearest = self._distance(dot_high, torch.where(dot_high > 0, small, large), never)
        farthest = self._distance(dot_low, torch.where(dot_low < 0, small, large), never)
        pad = 1e-12 + 1e-15 * len(lower)
        low, high = nearest - pad, farthest + pad
        if not self._target_square:
            low, high = torch.zeros_like(low), torch.ones_like(high)
        touches_zero = crosses.all(0)
        if self._target_square:
            low = torch.where(touches_zero, low.clamp(max=1), low)
            high = torch.where(touches_zero, high.clamp(min=1), high)
        return low, high

    def beyond(self, low: Tensor, high: Tensor) -> float:
        """Unknown: the cosine is not monotone in the differences."""
        return 0.0

    @property
    def _weight(self) -> Tensor:
        return (
            torch.ones_like(self.target)[:, None]
            if self.weights is None
            else (self.weights[:, None])
        )

    @property
    def _weighted(self) -> Tensor:
        return self.target[:, None] * self._weight

    @property
    def _target_square(self) -> float:
        return float(_total(self.target[:, None] * self._weighted)[0])

    def _distance(self, dot: Tensor, square: Tensor, zero: Tensor) -> Tensor:
        """`square` 0 with a product beyond it leaves the cosine at its extreme."""
        target = self._target_square
        if not target:
            return (~zero).double()
        cosine = dot / (square_root(square) * target**0.5)
        cosine = torch.where(square == 0, dot.sign(), cosine).clamp(-1, 1)
        return torch.where(zero, torch.ones_like(cosine), 1 - cosine)


@dataclass(frozen=True, eq=False)
class Score:
    """How high a group of neurons is: sum, mean, min or max; the target lies at +∞ everywhere."""

    combine: Callable[[Tensor], Tensor]
    descending: bool = True
    monotone: bool = True
    target: Tensor | None = None

    def values(self, activations: Tensor) -> Tensor:
        """The score of each row."""
        return self.combine(activations)

    def bounds(self, lower: Tensor, upper: Tensor) -> Bounds:
        """Scores of each box's lowest and highest corner."""
        return self.combine(lower), self.combine(upper)

    def beyond(self, low: Tensor, high: Tensor) -> float:
        """The score of the highest corner below."""
        return float(self.combine(low[:, None])[0])


@dataclass(frozen=True, eq=False)
class Length:
    """The l2 norm of the group: grows with each activation only where none is negative."""

    monotone: bool
    descending: bool = True
    target: Tensor | None = None

    def values(self, activations: Tensor) -> Tensor:
        """The norm of each row."""
        return _rooted_total(activations**2)

    def bounds(self, lower: Tensor, upper: Tensor) -> Bounds:
        """Norms of each box's nearest and farthest corner from the origin."""
        near = torch.maximum(lower, -upper).clamp(min=0)
        far = torch.maximum(lower.abs(), upper.abs())
        return self.values(near), self.values(far)

    def beyond(self, low: Tensor, high: Tensor) -> float:
        """The norm of the highest corner below; activations are not negative here."""
        return float(self.values(low[:, None])[0]) if bool((low >= 0).all()) else float("-inf")


def _mean(parts: Tensor) -> Tensor:
    return _total(parts) / parts.shape[0]


def _smallest(parts: Tensor) -> Tensor:
    return parts.amin(0)


DISTANCES: dict[str, Callable[[Tensor, Tensor | None], Measure]] = {
    "l1": lambda target, weights: Lp(target, weights, 1, _total),
    "l2": lambda target, weights: Lp(target, weights, 2, _rooted_total),
    "linf": lambda target, weights: Lp(target, weights, 1, _largest),
    "cosine": Cosine,
}
SCORES: dict[str, Callable[[], Measure]] = {
    "sum": lambda: Score(_total),
    "mean": lambda: Score(_mean),
    "min": lambda: Score(_smallest),
    "max": lambda: Score(_largest),
    "l2": lambda: Length(monotone=False),
}
