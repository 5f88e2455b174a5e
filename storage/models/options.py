"""The WITH options of CREATE MODEL."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tensorsql.errors import BindError, nearest


@dataclass(frozen=True)
class ModelOptions:
    """How a model is loaded and what PREDICT makes of its output.

    `scale`: the input is stored / scale as float. `input`: the shape of one row. `output`: `class`
    (the position of the largest output) or `raw`. `labels`: names of the classes. `probabilities`:
    what PREDICT_PROBA does to the output: `softmax` or `none`. `features`: the names of the numbers
    an input is made of. `trust`: loading may run code.
    """

    trust: bool = False
    factory: str | None = None
    scale: float | None = None
    input: tuple[int, ...] | None = None
    output: str | None = None
    labels: tuple[str, ...] = ()
    probabilities: str = "softmax"
    features: tuple[str, ...] = ()

    @property
    def preprocessing(self) -> str:
        """What changes activations besides the weights: part of the model's identity."""
        return f"scale={self.scale} input={self.input}"


def read_options(given: Mapping[str, Any]) -> ModelOptions:
    """Checked options; BindError names the option that is unknown or does not fit."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        key = name.lower()
        if key == "classes":  # written by `describe`
            continue
        if key not in READERS:
            raise BindError(f'a model has no option "{name}"{nearest(key, READERS)}')
        try:
            values[key] = READERS[key](value)
        except (TypeError, ValueError) as error:
            raise BindError(f"option {key} of a model cannot be {value!r}: {error}") from error
    return ModelOptions(**values)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it is true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it is a text")
    return value


def _factory(value: Any) -> str:
    module, _, name = _text(value).partition(":")
    if not module or not name:
        raise ValueError("it is 'module:callable'")
    return f"{module}:{name}"


def _scale(value: Any) -> float:
    if isinstance(value, bool | str):
        raise ValueError("it is a number above 0")
    number = float(value)
    if not math.isfinite(number) or number <= 0:
        raise ValueError("it is a number above 0")
    return number


def _shape(value: Any) -> tuple[int, ...]:
    listed = isinstance(value, list | tuple) and len(value) > 0
    if not listed or not all(type(size) is int and size > 0 for size in value):
        raise ValueError("it is a list of sizes, as in [1, 28, 28]")
    return tuple(value)


def _labels(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ValueError("it is a list of names")
    labels = tuple(_text(label) for label in value)
    if len(set(labels)) < len(labels):
        raise ValueError("a name is listed twice")
    return labels


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        word = _text(value).lower()
        if word not in words:
            raise ValueError("it is " + " or ".join(f"'{each}'" for each in words))
        return word

    return read


READERS: dict[str, Callable[[Any], Any]] = {
    "trust": _flag,
    "factory": _factory,
    "scale": _scale,
    "input": _shape,
    "output": _one_of("class", "raw"),
    "labels": _labels,
    "features": _labels,
    "probabilities": _one_of("softmax", "none"),
}
